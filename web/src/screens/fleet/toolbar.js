// Search, filters, grouping and columns of the table.
import { html } from "../../html.js";
import { asOptions, FilterSelect } from "../../components/filter_select.js";
import { allRows, allTags } from "../../data/fleet.js";
import { formatNumber } from "../../data/format.js";
import { formatFirmware } from "../../data/rows.js";
import { ColumnMenu } from "./column_menu.js";
import { STATUS_ORDER } from "./columns.js";
import { clearFilters, filters, isFiltered, order, setFilters, shownRows } from "./state.js";

const GROUPINGS = /** @type {[string, string][]} */ ([["tag", "By tag"], ["model", "By model"]]);

/** @param {(row: any) => string | undefined} read */
const distinct = (read) => /** @type {string[]} */ ([...new Set(allRows.value.map(read).filter(Boolean))]).sort();

export function Toolbar() {
  const present = filters.value;
  const statuses = STATUS_ORDER.filter((status) => allRows.value.some((row) => row.status === status));
  const parts = /** @type {[keyof typeof present, string, string[]][]} */ ([
    ["status", "Status", statuses],
    ["tag", "Tag", allTags.value],
    ["model", "Model", distinct((row) => row.model)],
    ["firmware", "Firmware", distinct(formatFirmware)],
  ]).filter(([name, , values]) => name !== "tag" || values.length);
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
        ${parts.map(
          ([name, label, values]) => html`<${FilterSelect}
            key=${name}
            label=${label}
            any=${`${label}: all`}
            options=${asOptions(values, present[name])}
            value=${present[name]}
            onChange=${(/** @type {string} */ value) => setFilters({ [name]: value })}
          />`,
        )}
        <${FilterSelect} label="Group by" any="No groups" options=${GROUPINGS} value=${order.value.group} onChange=${(/** @type {string} */ group) => { order.value = { ...order.value, group }; }} />
        <${ColumnMenu} />
      </div>
      <span class="grow"></span>
      <span class="soft number small" aria-live="polite">${formatNumber(shownRows.value.length)} of ${formatNumber(allRows.value.length)}</span>
      ${isFiltered.value ? html`<button class="button quiet" onClick=${clearFilters}>Clear filters</button>` : null}
    </div>
  `;
}
