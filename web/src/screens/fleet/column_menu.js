// Chooses the columns. "As many as fit" is the default.
import { useState } from "preact/hooks";
import { html } from "../../html.js";
import { Dialog } from "../../components/dialog.js";
import { chooseColumns, COLUMNS } from "./columns.js";
import { chosenColumns } from "./state.js";

export function ColumnMenu() {
  const [isOpen, setOpen] = useState(false);
  const shown = new Set(chooseColumns(chosenColumns.value, innerWidth).map(({ key }) => key));
  const toggle = (/** @type {string} */ key) => {
    if (shown.has(key)) shown.delete(key);
    else shown.add(key);
    chosenColumns.value = [...shown];
  };
  return html`
    <button class="button desktop-only" aria-haspopup="dialog" onClick=${() => setOpen(true)}>Columns</button>
    ${isOpen
      ? html`
          <${Dialog} title="Columns" onClose=${() => setOpen(false)}>
            <div class="column-list">
              ${COLUMNS.map(
                ({ key, title }) => html`<label class="check" key=${key}><input type="checkbox" checked=${shown.has(key)} onChange=${() => toggle(key)} />${title}</label>`,
              )}
            </div>
            <div class="actions">
              <button class="button" onClick=${() => { chosenColumns.value = null; }}>As many as fit</button>
              <button class="button primary" onClick=${() => setOpen(false)}>Done</button>
            </div>
          <//>
        `
      : null}
  `;
}
