// Add devices: by a scan of the network, by address, from miners seen before; and the miners to leave out.
import { useEffect, useRef, useState } from "preact/hooks";
import { html } from "../../html.js";
import { get, post, put, remove } from "../../data/api.js";
import { listen } from "../../data/socket.js";
import { reportErrors } from "../../data/toasts.js";
import { useLoad } from "../../data/use_load.js";
import { LoadState } from "../../components/load_state.js";
import { AddressForm } from "./address_form.js";
import { laterState } from "./found.js";
import { FoundList } from "./found_list.js";
import { IgnoredList } from "./ignored_list.js";
import { RememberedList } from "./remembered_list.js";
import { ScanCard } from "./scan_card.js";

export function AddScreen() {
  const latest = useRef(/** @type {import("./found.js").ScanState | undefined} */ (undefined));
  const accept = (/** @type {import("./found.js").ScanState} */ state) => (latest.current = laterState(latest.current, state));
  const scan = useLoad(() => get("devices/scan").then(({ data }) => accept(data)));
  const ignored = useLoad(() => get("devices/ignored").then((answer) => /** @type {any[]} */ (answer.data)));
  const [address, setAddress] = useState("");
  useEffect(() => listen("scan_update", (state) => scan.setData(() => accept(state))), []);

  const start = () => reportErrors(async () => {
    const { data } = await post("devices/scan");
    scan.setData(() => accept(data));
  });
  const ignore = (/** @type {string[]} */ macs) => reportErrors(async () => {
    for (const mac of macs) await put(`devices/ignored/${mac}`);
    await ignored.reload();
  });
  const stopIgnoring = (/** @type {string} */ mac) => reportErrors(async () => {
    await remove(`devices/ignored/${mac}`);
    await ignored.reload();
  });
  const ignoredMacs = new Set((ignored.data ?? []).map(({ mac }) => mac));

  return html`
    <div class="screen-head"><h1>Add devices</h1></div>
    ${scan.data
      ? html`
          <${ScanCard} state=${scan.data} onStart=${start} />
          ${scan.data.found.length > 0 && html`<${FoundList} found=${scan.data.found} ignored=${ignoredMacs} onEnterMac=${setAddress} onIgnore=${ignore} onStopIgnoring=${stopIgnoring} />`}
        `
      : html`<section class="card"><${LoadState} error=${scan.error} onRetry=${scan.reload} /></section>`}
    <div class="columns">
      <${AddressForm} key=${address} initialIp=${address} />
      <div class="stack">
        <${RememberedList} ignored=${ignoredMacs} listed=${new Set(scan.data?.found.map(({ mac }) => mac))} onIgnore=${ignore} />
        <${IgnoredList} ignored=${ignored} onStopIgnoring=${stopIgnoring} />
      </div>
    </div>
  `;
}
