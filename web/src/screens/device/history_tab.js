// What was written to the miner, with undo, and what happened to it.
import { html } from "../../html.js";
import { EventList } from "../../components/event_list.js";
import { Journal } from "./journal.js";

/** @param {{ mac: string }} props */
export function HistoryTab({ mac }) {
  return html`
    <${Journal} mac=${mac} />
    <section aria-label="Events"><h2>Events</h2><${EventList} path=${`devices/${mac}/events`} mac=${mac} isLinked=${false} /></section>
  `;
}
