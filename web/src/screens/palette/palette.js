// Ctrl-K finds devices, screens and actions; "/" goes to the search of the screen.
import { useEffect, useState } from "preact/hooks";
import { html } from "../../html.js";
import { Dialog } from "../../components/dialog.js";
import { allRows } from "../../data/fleet.js";
import { theme } from "../../data/preferences.js";
import { navigate } from "../../data/router.js";
import { findEntries } from "./entries.js";

/** @type {import("./entries.js").Entry[]} */
const FIXED = [
  { key: "fleet", text: "Fleet", hint: "screen", path: "" },
  { key: "add", text: "Add devices", hint: "screen, scan", path: "add" },
  { key: "presets", text: "Presets", hint: "screen", path: "presets" },
  { key: "jobs", text: "Jobs", hint: "screen", path: "jobs" },
  { key: "events", text: "Events", hint: "screen", path: "events" },
  { key: "about", text: "About", hint: "screen, backup, shortcuts", path: "about" },
  { key: "problems", text: "Devices that need attention", hint: "filter", path: "?tile=attention" },
  { key: "light", text: "Light theme", hint: "action", run: () => { theme.value = "light"; } },
  { key: "dark", text: "Dark theme", hint: "action", run: () => { theme.value = "dark"; } },
  { key: "system", text: "Theme of the system", hint: "action", run: () => { theme.value = "system"; } },
];

/** @returns {import("./entries.js").Entry[]} */
const listEntries = () => [
  ...FIXED,
  ...allRows.value.map((row) => ({ key: row.mac, text: row.title, hint: [row.ip, row.mac, ...(row.tags ?? [])].join(" "), path: `devices/${row.mac}` })),
];

/** @param {EventTarget | null} target */
const isTyping = (target) => target instanceof HTMLElement && target.matches("input, textarea, select, [contenteditable]");

export function Palette() {
  const [isOpen, setOpen] = useState(false);
  useEffect(() => {
    const onKey = (/** @type {KeyboardEvent} */ event) => {
      if (event.key === "k" && (event.ctrlKey || event.metaKey)) setOpen((present) => !present);
      else if (event.key === "/" && !isTyping(event.target)) /** @type {HTMLElement | null} */ (document.querySelector("[data-search]"))?.focus();
      else if (event.key === "?" && !isTyping(event.target)) navigate("about");
      else return;
      event.preventDefault();
    };
    addEventListener("keydown", onKey);
    return () => removeEventListener("keydown", onKey);
  }, []);
  return isOpen ? html`<${PaletteDialog} onClose=${() => setOpen(false)} />` : null;
}

/** @param {{ onClose: () => void }} props */
function PaletteDialog({ onClose }) {
  const [text, setText] = useState("");
  const [at, setAt] = useState(0);
  const found = findEntries(listEntries(), text);
  const choose = (/** @type {import("./entries.js").Entry | undefined} */ entry) => {
    if (!entry) return;
    onClose();
    if (entry.run) entry.run();
    else location.hash = `#/${entry.path}`;
  };
  const onKey = (/** @type {KeyboardEvent} */ event) => {
    const step = /** @type {Record<string, number>} */ ({ ArrowDown: 1, ArrowUp: -1 })[event.key];
    if (step) setAt((at + step + found.length) % Math.max(1, found.length));
    else if (event.key === "Enter") choose(found[at]);
    else return;
    event.preventDefault();
  };
  return html`
    <${Dialog} title="Find" kind="palette" onClose=${onClose}>
      <input
        class="input"
        role="combobox"
        aria-expanded="true"
        aria-controls="palette-list"
        aria-activedescendant=${found[at] ? `palette-${at}` : undefined}
        aria-label="Find a device, a screen or an action"
        placeholder="Device, screen or action"
        autofocus
        value=${text}
        onInput=${(/** @type {any} */ event) => { setText(event.currentTarget.value); setAt(0); }}
        onKeyDown=${onKey}
      />
      <ul id="palette-list" role="listbox" aria-label="Results">
        ${found.map(
          (entry, index) => html`
            <li key=${entry.key} id=${`palette-${index}`} role="option" aria-selected=${index === at} onMouseMove=${() => setAt(index)} onClick=${() => choose(entry)}>
              <span>${entry.text}</span><span class="soft small">${entry.hint}</span>
            </li>
          `,
        )}
      </ul>
      ${found.length ? null : html`<p class="none">Nothing matches.</p>`}
    <//>
  `;
}
