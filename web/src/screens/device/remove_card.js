import { html } from "../../html.js";
import { remove } from "../../data/api.js";
import { askOnce } from "../../data/confirm.js";
import { navigate } from "../../data/router.js";
import { reportErrors } from "../../data/toasts.js";

/** @param {{ device: any }} props */
export function RemoveCard({ device }) {
  const title = device.name ?? device.info.hostname ?? device.ip;
  const end = async () => {
    const text = "Its record, name, tags, notes and journal are deleted, and it is no longer polled. The miner itself is not changed.";
    if (!(await askOnce({ title: `Remove ${title}?`, text, action: "Remove" }))) return;
    if (await reportErrors(() => remove(`devices/imprint/${device.mac}`), `${title} removed`)) navigate("");
  };
  return html`
    <section class="card stack">
      <h2>Remove</h2>
      <p class="soft">Ends the registration of this miner. It can be registered again at any time.</p>
      <div><button class="button danger" onClick=${end}>Remove device</button></div>
    </section>
  `;
}
