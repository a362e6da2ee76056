// Miners that were seen before and are not registered.
import { html } from "../../html.js";
import { get } from "../../data/api.js";
import { useLoad } from "../../data/use_load.js";
import { useMore } from "../../components/use_more.js";
import { FoundLine } from "./found_line.js";
import { fromDiscovered, updateKinds } from "./found.js";
import { currentFleet } from "./current_fleet.js";
import { registerMiners } from "./register.js";

/** @param {{ ignored: Set<string>, listed: Set<string | null>, onIgnore: (macs: string[]) => void }} props `listed`: those that the scan's list has */
export function RememberedList({ ignored, listed, onIgnore }) {
  const { data = [], error } = useLoad(() => get("devices/discovered").then((miners) => miners.map(fromDiscovered)));
  const fresh = updateKinds(data, currentFleet(ignored)).filter(({ kind, mac }) => kind === "new" && !listed.has(mac));
  const [lines, more] = useMore(fresh);
  return html`
    <section class="card flush" aria-label="Seen before">
      <header><h2 class="grow">Seen before</h2><span class="soft small number">${fresh.length || ""}</span></header>
      ${error && html`<p class="is-bad small inset">${error.message}</p>`}
      ${!error && !fresh.length && html`<p class="soft small inset">No other miner was seen. Miners that an earlier scan found and that are not registered stay in this list.</p>`}
      <ul class="lines">${lines.map((each) => html`<${FoundLine} key=${each.mac} found=${each} onIgnore=${() => onIgnore([/** @type {string} */ (each.mac)])} onRegister=${() => registerMiners([/** @type {string} */ (each.mac)])} />`)}</ul>
      ${more}
    </section>
  `;
}
