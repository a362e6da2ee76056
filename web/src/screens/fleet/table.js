// The table of devices: only the rows in view exist, and scrolling renders in steps of ten rows.
import { signal, useComputed, useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { html } from "../../html.js";
import { navigate } from "../../data/router.js";
import { chooseColumns, NAME_COLUMN } from "./columns.js";
import { GroupRow } from "./group_row.js";
import { HeadCell } from "./head_cell.js";
import { DeviceRow } from "./row.js";
import { loadSparklines, readSparkline, sparkRevision } from "./sparklines.js";
import { chosenColumns, items, order, select, selection, shownRows, sortBy } from "./state.js";
import { visibleRange } from "./view.js";

const ROW_HEIGHT = 40;
const NARROW_ROW_HEIGHT = 68;
const NARROW = 720;
/** Index of the row that the arrow keys move from. */
const active = signal(0);

export function DeviceTable() {
  const box = useRef(/** @type {HTMLDivElement | null} */ (null));
  const width = useSignal(innerWidth);
  const scrolled = useSignal({ top: 0, height: innerHeight });
  const isNarrow = width.value < NARROW;
  const rowHeight = isNarrow ? NARROW_ROW_HEIGHT : ROW_HEIGHT;
  // The signal holds the range as text, so that scrolling within a step renders nothing.
  const range = useComputed(() => {
    const { start, end } = visibleRange({ count: items.value.length, rowHeight: width.value < NARROW ? NARROW_ROW_HEIGHT : ROW_HEIGHT, ...scrolled.value });
    return `${start} ${end}`;
  });

  useEffect(() => {
    let frame = 0;
    const measure = () => {
      frame = 0;
      if (!box.current) return;
      scrolled.value = { top: -box.current.getBoundingClientRect().top, height: innerHeight };
      width.value = box.current.clientWidth;
    };
    const schedule = () => { frame ||= requestAnimationFrame(measure); };
    addEventListener("scroll", schedule, { passive: true });
    addEventListener("resize", schedule);
    measure();
    return () => {
      removeEventListener("scroll", schedule);
      removeEventListener("resize", schedule);
      cancelAnimationFrame(frame);
    };
  }, []);

  const [start, end] = range.value.split(" ").map(Number);
  const shown = items.value.slice(start, end);
  const macs = shown.flatMap((item) => (item.kind === "row" ? [item.row.mac] : []));
  useEffect(() => {
    // Not while the user scrolls past.
    const first = setTimeout(() => loadSparklines(macs), 150);
    const timer = setInterval(() => loadSparklines(macs), 60_000);
    return () => {
      clearTimeout(first);
      clearInterval(timer);
    };
  }, [macs.join()]);

  sparkRevision.value;
  const columns = isNarrow ? [] : chooseColumns(chosenColumns.value, width.value);
  const columnKeys = columns.map(({ key }) => key).join();
  const total = columns.reduce((sum, column) => sum + column.width, NAME_COLUMN.width + 40);
  const areAllSelected = shownRows.value.length > 0 && shownRows.value.every(({ mac }) => selection.value.has(mac));
  return html`
    <div class=${`device-table${total > width.value ? " wide" : ""}${isNarrow ? " narrow" : ""}`} ref=${box}>
      <table aria-label="Devices" aria-rowcount=${items.value.length + 1} onKeyDown=${moveByKeys}>
        ${isNarrow
          ? null
          : html`
              <colgroup><col style=${{ width: "40px" }} /><col style=${{ minWidth: `${NAME_COLUMN.width}px` }} />${columns.map((column) => html`<col key=${column.key} style=${{ width: `${column.width}px` }} />`)}</colgroup>
              <thead>
                <tr>
                  <th scope="col"><input type="checkbox" aria-label="Select all shown devices" checked=${areAllSelected} onChange=${() => select(shownRows.value.map(({ mac }) => mac), !areAllSelected)} /></th>
                  ${[NAME_COLUMN, ...columns].map((column) => html`<${HeadCell} key=${column.key} column=${column} order=${order.value} onSort=${sortBy} />`)}
                </tr>
              </thead>
            `}
        <tbody>
          ${start ? html`<tr aria-hidden="true" key="above" style=${{ height: `${start * rowHeight}px` }}></tr>` : null}
          ${shown.map((item, at) =>
            item.kind === "group"
              ? html`<${GroupRow} key=${item.key} label=${item.label} rows=${item.rows} span=${columns.length + 2} />`
              : html`<${DeviceRow}
                  key=${item.key}
                  row=${item.row}
                  columns=${columns}
                  columnKeys=${columnKeys}
                  spark=${readSparkline(item.row.mac)}
                  index=${start + at}
                  isActive=${start + at === active.value}
                  isSelected=${selection.value.has(item.row.mac)}
                  isNarrow=${isNarrow}
                />`,
          )}
          ${end < items.value.length ? html`<tr aria-hidden="true" key="below" style=${{ height: `${(items.value.length - end) * rowHeight}px` }}></tr>` : null}
        </tbody>
      </table>
    </div>
  `;
}

/** Arrows move between rows, Enter opens one, Space selects it. @param {KeyboardEvent} event */
function moveByKeys(event) {
  const row = /** @type {HTMLElement} */ (event.target).closest("tr[data-index]");
  if (!row || event.target !== row) return;
  const index = Number(/** @type {HTMLElement} */ (row).dataset.index);
  const item = items.value[index];
  const step = /** @type {Record<string, number>} */ ({ ArrowDown: 1, ArrowUp: -1, j: 1, k: -1 })[event.key];
  if (step) focusRow(index, step);
  else if (event.key === "Enter" && item?.kind === "row") navigate(`devices/${item.row.mac}`);
  else if (event.key === " " && item?.kind === "row") select([item.row.mac], !selection.value.has(item.row.mac));
  else return;
  event.preventDefault();
}

/** Focus the next device's row in this direction. @param {number} index @param {number} step */
function focusRow(index, step) {
  let next = index + step;
  while (items.value[next]?.kind === "group") next += step;
  if (!items.value[next]) return;
  active.value = next;
  requestAnimationFrame(() => {
    const row = /** @type {HTMLElement | null} */ (document.querySelector(`tr[data-index="${next}"]`));
    row?.focus({ preventScroll: true });
    row?.scrollIntoView({ block: "nearest" });
  });
}
