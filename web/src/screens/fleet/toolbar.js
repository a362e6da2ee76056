// Search, filters, grouping and columns of the table.
import { html } from "../../html.js";
import { allRows, allTags } from "../../data/fleet.js";
import { formatNumber } from "../../data/format.js";
import { ColumnMenu } from "./column_menu.js";
import { STATUS_ORDER } from "./columns.js";
import { FilterSelect } from "./filter_select.js";
import { clearFilters, filters, isFiltered, order, setFilters, shownRows } from "./state.js";
import { formatFirmware } from "./view.js";

/** @param {(row: any) => string | undefined} read */
const distinct = (read) => [...new Set(allRows.value.map(read).filter(Boolean))].sort();

export function Toolbar() {
  const present = filters.value;
  const statuses = STATUS_ORDER.filter((status) => allRows.value.some((row) => row.status === status));
  return html`
    <div class="toolbar" role="search">
      <input
        class="input search"
        type="search"
        data-search
        placeholder="Search name, address, pool, tag  ( / )"
        aria-label="Search devices"
        value=${present.text}
        onInput=${(/** @type {any} */ event) => setFilters({ text: event.currentTarget.value })}
      />
      <div class="filters">
        <${FilterSelect} label="Status" options=${statuses} value=${present.status} onChange=${(/** @type {string} */ status) => setFilters({ status })} />
        ${allTags.value.length ? html`<${FilterSelect} label="Tag" options=${allTags.value} value=${present.tag} onChange=${(/** @type {string} */ tag) => setFilters({ tag })} />` : null}
        <${FilterSelect} label="Model" options=${distinct((row) => row.model)} value=${present.model} onChange=${(/** @type {string} */ model) => setFilters({ model })} />
        <${FilterSelect} label="Firmware" options=${distinct(formatFirmware)} value=${present.firmware} onChange=${(/** @type {string} */ firmware) => setFilters({ firmware })} />
        <${FilterSelect} label="Group by" none="No groups" options=${["tag", "model"]} value=${order.value.group} onChange=${(/** @type {string} */ group) => { order.value = { ...order.value, group }; }} />
        <${ColumnMenu} />
      </div>
      <span class="grow"></span>
      <span class="soft number small" aria-live="polite">${formatNumber(shownRows.value.length)} of ${formatNumber(allRows.value.length)}</span>
      ${isFiltered.value ? html`<button class="button quiet" onClick=${clearFilters}>Clear filters</button>` : null}
    </div>
  `;
}
