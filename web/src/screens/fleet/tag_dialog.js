import { useState } from "preact/hooks";
import { html } from "../../html.js";
import { Dialog } from "../../components/dialog.js";
import { allTags } from "../../data/fleet.js";

/** @param {{ macs: string[], onClose: () => void, onSave: (tag: string, isAdded: boolean) => void }} props */
export function TagDialog({ macs, onClose, onSave }) {
  const [tag, setTag] = useState("");
  const save = (/** @type {boolean} */ isAdded) => {
    if (!tag.trim()) return;
    onSave(tag.trim(), isAdded);
    onClose();
  };
  return html`
    <${Dialog} title=${`Tag of ${macs.length} devices`} onClose=${onClose}>
      <form class="stack" onSubmit=${(/** @type {Event} */ event) => { event.preventDefault(); save(true); }}>
        <div class="field">
          <label for="tag">Tag</label>
          <input id="tag" class="input" list="known-tags" maxlength="64" autofocus value=${tag} onInput=${(/** @type {any} */ event) => setTag(event.currentTarget.value)} />
          <datalist id="known-tags">${allTags.value.map((known) => html`<option key=${known} value=${known} />`)}</datalist>
        </div>
        <div class="actions">
          <button type="button" class="button" onClick=${onClose}>Cancel</button>
          <button type="button" class="button" onClick=${() => save(false)}>Remove tag</button>
          <button class="button primary">Add tag</button>
        </div>
      </form>
    <//>
  `;
}
