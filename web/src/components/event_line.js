// One event of a timeline: time, tone, sentence, and how often it repeated.
import { html } from "../html.js";
import { eventTone } from "../data/event_kinds.js";
import { formatTime, formatUtc } from "../data/format.js";
import { formatRoute } from "../data/router.js";
import { StatusShape } from "./status.js";

/** @param {{ event: any, isLinked?: boolean }} props `isLinked`: with a link to the device or job */
export function EventLine({ event, isLinked = true }) {
  const { mac, message, details, count, last } = event;
  const target = details?.job ? formatRoute(`jobs/${details.job}`) : mac && isLinked ? formatRoute(`devices/${mac}`) : "";
  return html`
    <li class="timeline-event">
      <time class="number" dateTime=${last} title=${formatUtc(last)}>${formatTime(last, Date.parse(last))}</time>
      <${StatusShape} tone=${eventTone(event.kind)} />
      <span>${target ? html`<a href=${target}>${message}</a>` : message}</span>
      <span class="count number">${count > 1 ? `${count} times` : ""}</span>
    </li>
  `;
}
