// The live log of a device: pause, filters, levels with letter and colour, gaps.
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { html } from "../../html.js";
import { asOptions, FilterSelect } from "../../components/filter_select.js";
import { download } from "../../data/api.js";
import { formatNumber } from "../../data/format.js";
import { reportErrors } from "../../data/toasts.js";
import { countOf } from "../../data/words.js";
import { LogLine } from "./log_line.js";
import { listTags, showLines } from "./log_lines.js";
import { useLog } from "./use_log.js";

const LEVELS = /** @type {[string, string][]} */ ([["E", "Errors"], ["W", "Warnings and worse"], ["I", "Information and worse"], ["D", "Debug and worse"]]);

/** @param {{ mac: string, warning?: string }} props */
export function LogTab({ mac, warning }) {
  const [isPaused, setPaused] = useState(false);
  const [filters, setFilters] = useState({ text: "", level: "", tag: "" });
  const { lines, text, error, waitingCount } = useLog(mac, isPaused);
  const shown = useMemo(() => showLines(lines, filters), [lines, filters]);
  const box = useRef(/** @type {HTMLDivElement | null} */ (null));
  const isAtEnd = useRef(true);
  useEffect(() => {
    if (box.current && isAtEnd.current && !isPaused) box.current.scrollTop = box.current.scrollHeight;
  }, [shown, isPaused]);
  const change = (/** @type {Partial<typeof filters>} */ part) => setFilters({ ...filters, ...part });
  return html`
    <section class="card" aria-label="Log">
      <header class="toolbar">
        <input class="input search" type="search" data-search placeholder="Search lines  ( / )" aria-label="Search log lines" value=${filters.text} onInput=${(/** @type {any} */ event) => change({ text: event.currentTarget.value })} />
        <${FilterSelect} label="Level" any="Level: all" options=${LEVELS} value=${filters.level} onChange=${(/** @type {string} */ level) => change({ level })} />
        <${FilterSelect} label="Tag" any="Tag: all" options=${asOptions(listTags(lines), filters.tag)} value=${filters.tag} onChange=${(/** @type {string} */ tag) => change({ tag })} />
        <span class="grow"></span>
        <button class="button" aria-pressed=${isPaused} onClick=${() => setPaused(!isPaused)}>${isPaused ? (waitingCount ? `Continue (${formatNumber(waitingCount)} new)` : "Continue") : "Pause"}</button>
        <button class="button" onClick=${() => reportErrors(() => download(`devices/${mac}/logs/download`))}>Download</button>
      </header>
      ${warning ? html`<p class="is-warn small">${warning}</p>` : null}
      ${error ? html`<p class="is-bad" role="alert">${error}</p>` : null}
      <div
        class="log"
        ref=${box}
        tabindex="0"
        role="log"
        aria-live="off"
        aria-label="Log lines"
        onScroll=${(/** @type {any} */ event) => { isAtEnd.current = event.currentTarget.scrollHeight - event.currentTarget.scrollTop - event.currentTarget.clientHeight < 40; }}
      >
        ${shown.length ? shown.map((line) => html`<${LogLine} key=${"gap" in line ? line.key : `${line.epoch} ${line.seq}`} line=${line} />`) : html`<p class="soft">No lines${lines.length ? " that match" : " yet"}.</p>`}
      </div>
      <p class="soft small number">${countOf(lines.length, "line")} held · ${text || "…"}${isPaused ? " · paused; new lines wait" : ""}</p>
    </section>
  `;
}
