import { html } from "../../html.js";

const SHORTCUTS = [
  ["/", "Search on this screen"],
  ["Ctrl K", "Find a device, a screen or an action"],
  ["↑ ↓", "Move between rows of a table"],
  ["Enter", "Open the device"],
  ["Space", "Select the device"],
  ["Esc", "Close a dialog"],
];

export function ShortcutsCard() {
  return html`
    <section class="card">
      <header><h2>Keyboard</h2></header>
      <dl class="facts">
        ${SHORTCUTS.map(([keys, text]) => html`<dt key=${keys}><kbd>${keys}</kbd></dt><dd>${text}</dd>`)}
      </dl>
    </section>
  `;
}
