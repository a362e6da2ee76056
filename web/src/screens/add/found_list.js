// The miners that a scan found, to register or to ignore.
import { useState } from "preact/hooks";
import { html } from "../../html.js";
import { countOf } from "../../data/words.js";
import { useMore } from "../../components/use_more.js";
import { FoundLine } from "./found_line.js";
import { updateKinds } from "./found.js";
import { currentFleet } from "./current_fleet.js";
import { registerMiners } from "./register.js";

/** @param {{ found: import("./found.js").Found[], ignored: Set<string>, onEnterMac: (ip: string) => void, onIgnore: (macs: string[]) => void, onStopIgnoring: (mac: string) => void }} props */
export function FoundList({ found, ignored, onEnterMac, onIgnore, onStopIgnoring }) {
  const [selected, setSelected] = useState(/** @type {Set<string>} */ (new Set()));
  const [busy, setBusy] = useState(false);
  const present = updateKinds(found, currentFleet(ignored));
  const [lines, more] = useMore(present);
  const newMacs = present.filter(({ kind }) => kind === "new").map(({ mac }) => /** @type {string} */ (mac));
  const chosen = newMacs.filter((mac) => selected.has(mac));

  const register = async (/** @type {string[]} */ macs) => {
    setBusy(true);
    await registerMiners(macs);
    setBusy(false);
  };
  const toggle = (/** @type {string[]} */ macs, /** @type {boolean} */ isOn) => {
    const next = new Set(selected);
    for (const mac of macs) isOn ? next.add(mac) : next.delete(mac);
    setSelected(next);
  };

  return html`
    <section class="card flush" aria-label="Found miners">
      <header>
        <h2 class="grow">Found miners</h2>
        ${chosen.length > 0 && html`
          <button class="button" disabled=${busy} onClick=${() => onIgnore(chosen)}>Ignore ${chosen.length} selected</button>
          <button class="button" disabled=${busy} onClick=${() => register(chosen)}>Register ${chosen.length} selected</button>`}
        ${newMacs.length > 0 && html`<button class="button primary" disabled=${busy} onClick=${() => register(newMacs)}>Register ${newMacs.length > 1 ? `all ${newMacs.length} new` : countOf(1, "new miner")}</button>`}
      </header>
      <ul class="lines">
        ${newMacs.length > 1 && html`
          <li><label class="check soft"><input type="checkbox" checked=${chosen.length === newMacs.length} indeterminate=${chosen.length > 0 && chosen.length < newMacs.length}
            onChange=${(/** @type {any} */ event) => toggle(newMacs, event.target.checked)} />Select all new</label></li>`}
        ${lines.map((each) => html`
          <${FoundLine} key=${each.mac ?? each.ip} found=${each} selected=${selected.has(each.mac ?? "")} busy=${busy} onSelect=${newMacs.length > 0 && ((/** @type {boolean} */ isOn) => toggle([/** @type {string} */ (each.mac)], isOn))}
            onRegister=${() => register([/** @type {string} */ (each.mac)])} onEnterMac=${() => onEnterMac(each.ip)} onIgnore=${() => onIgnore([/** @type {string} */ (each.mac)])} onStopIgnoring=${() => onStopIgnoring(/** @type {string} */ (each.mac))} />`)}
      </ul>
      ${more}
    </section>
  `;
}
