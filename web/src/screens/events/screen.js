// What happened: a timeline of all devices and of the service, with filters in the address.
import { html } from "../../html.js";
import { EventList } from "../../components/event_list.js";
import { FilterSelect } from "../../components/filter_select.js";
import { Segmented } from "../../components/segmented.js";
import { EVENT_GROUPS, kindsOfGroup } from "../../data/event_kinds.js";
import { allRows } from "../../data/fleet.js";
import { replaceQuery, route } from "../../data/router.js";

const GROUPS = /** @type {[string, string][]} */ ([["", "All"], ...EVENT_GROUPS]);
const MOST_NAMES = 500;

export function EventsScreen() {
  const { group = "", mac = "", text = "" } = route.value.query;
  const devices = [...allRows.value].sort((a, b) => a.title.localeCompare(b.title)).slice(0, MOST_NAMES);
  return html`
    <div class="screen-head"><h1>Events</h1></div>
    <div class="toolbar" role="search">
      <input
        class="input search"
        type="search"
        data-search
        placeholder="Search events  ( / )"
        aria-label="Search events"
        value=${text}
        onInput=${(/** @type {any} */ event) => replaceQuery({ text: event.currentTarget.value })}
      />
      <${FilterSelect} label="Device" any="Device: all" options=${devices.map((row) => [row.mac, row.title])} value=${mac} onChange=${(/** @type {string} */ value) => replaceQuery({ mac: value })} />
      <${Segmented} label="Kind" options=${GROUPS} value=${group} onChange=${(/** @type {string} */ value) => replaceQuery({ group: value })} />
    </div>
    <div><${EventList} kinds=${group ? kindsOfGroup(group) : ""} mac=${mac} text=${text} /></div>
  `;
}
