// The choice of a job's devices: by filter, by hand, or all that a filter shows.
import { useMemo, useState } from "preact/hooks";
import { html } from "../../html.js";
import { allRows, allTags, loadedAt, loadError } from "../../data/fleet.js";
import { formatNumber } from "../../data/format.js";
import { formatFirmware } from "../../data/rows.js";
import { asOptions, FilterSelect } from "../../components/filter_select.js";
import { Status } from "../../components/status.js";
import { useMore } from "../../components/use_more.js";
import { filterRows, listValues, NO_FILTER } from "./device_filter.js";

/** @param {{ presets: import("../../data/presets.js").Preset[], macs: string[], filter: import("./device_filter.js").Filter, onChange: (macs: string[]) => void }} props */
export function DevicePicker({ presets, macs, filter: initial, onChange }) {
  const [filter, setFilter] = useState(initial);
  const [onlySelected, setOnlySelected] = useState(macs.length > 0);
  const rows = allRows.value;
  const selected = useMemo(() => new Set(macs), [macs]);
  const fitting = useMemo(() => filterRows(rows, filter).filter(({ mac }) => !onlySelected || selected.has(mac)), [rows, filter, onlySelected, selected]);
  const [lines, more] = useMore(fitting);
  const left = fitting.filter(({ mac }) => !selected.has(mac));
  const set = (/** @type {string} */ name) => (/** @type {string} */ value) => setFilter((present) => ({ ...present, [name]: value }));
  const toggle = (/** @type {string} */ mac) => onChange(selected.has(mac) ? macs.filter((each) => each !== mac) : [...macs, mac]);
  /** @type {[keyof typeof filter, string, [string, string][]][]} */
  const parts = [
    ["tag", "Any tag", asOptions(allTags.value)],
    ["status", "Any status", asOptions(listValues(rows, (row) => row.status))],
    ["model", "Any model", asOptions(listValues(rows, (row) => row.model))],
    ["firmware", "Any firmware", asOptions(listValues(rows, formatFirmware))],
    ["preset", "Any preset", presets.map(({ uuid, name }) => [uuid, name])],
  ];

  return html`
    <div class="stack">
      <div class="device-filters">
        <input class="input" type="search" aria-label="Filter devices by name, address or MAC" placeholder="Name, address or MAC" value=${filter.q} onInput=${(/** @type {any} */ event) => set("q")(event.target.value)} />
        ${parts.map(
          ([name, label, options]) => html`<${FilterSelect} key=${name} label=${label} kind="" value=${filter[name]} options=${options} disabled=${!options.length && !filter[name]} onChange=${set(name)} />`,
        )}
      </div>
      <div class="row">
        <button type="button" class="button" disabled=${!left.length} onClick=${() => onChange([...macs, ...left.map(({ mac }) => mac)])}>
          Select all ${formatNumber(fitting.length)} shown
        </button>
        <button type="button" class="button quiet" disabled=${!macs.length} onClick=${() => { onChange([]); setOnlySelected(false); }}>Select none</button>
        <label class="check"><input type="checkbox" checked=${onlySelected} onChange=${(/** @type {any} */ event) => setOnlySelected(event.target.checked)} />Only the ${formatNumber(macs.length)} selected</label>
        ${filter !== NO_FILTER && Object.values(filter).some(Boolean) && html`<button type="button" class="button quiet" onClick=${() => setFilter(NO_FILTER)}>Clear the filter</button>`}
      </div>
      ${rows.length === 0
        ? html`<p class="soft">${loadError.value ? loadError.value.message : loadedAt.value === null ? "Loading …" : html`No device is registered. <a href="#/add">Add devices</a> first.`}</p>`
        : html`
            <ul class="device-lines" aria-label="Devices">
              ${lines.map((row) => html`
                <li key=${row.mac}>
                  <label>
                    <input type="checkbox" checked=${selected.has(row.mac)} onChange=${() => toggle(row.mac)} />
                    <strong class="grow">${row.title}</strong>
                    <span class="soft small wide-only">${row.model}</span>
                    <span class="soft small number wide-only">${formatFirmware(row)}</span>
                    <${Status} status=${row.status} />
                  </label>
                </li>`)}
              ${lines.length === 0 && html`<li class="inset soft">No device fits.</li>`}
              ${more && html`<li>${more}</li>`}
            </ul>`}
    </div>
  `;
}
