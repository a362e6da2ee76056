import { useState } from "preact/hooks";
import { html } from "../../html.js";
import { patch } from "../../data/api.js";
import { allTags } from "../../data/fleet.js";
import { reportErrors } from "../../data/toasts.js";

/** @param {{ device: any }} props */
export function IdentityForm({ device }) {
  const [name, setName] = useState(device.name ?? "");
  const [tags, setTags] = useState((device.tags ?? []).join(", "));
  const [notes, setNotes] = useState(device.notes ?? "");
  const save = (/** @type {Event} */ event) => {
    event.preventDefault();
    const list = [...new Set(tags.split(",").map((/** @type {string} */ tag) => tag.trim()).filter(Boolean))];
    reportErrors(() => patch(`devices/imprint/${device.mac}`, { device: { name: name.trim() || null, notes: notes.trim() || null, tags: list } }), "Saved");
  };
  return html`
    <form class="card stack" onSubmit=${save}>
      <h2>Name and notes</h2>
      <div class="field">
        <label for="name">Name</label>
        <input id="name" class="input" maxlength="64" placeholder=${device.info.hostname} value=${name} onInput=${(/** @type {any} */ event) => setName(event.currentTarget.value)} />
        <span class="hint">Shown in place of the miner's hostname. It stays in this service.</span>
      </div>
      <div class="field">
        <label for="tags">Tags</label>
        <input id="tags" class="input" placeholder=${allTags.value.join(", ") || "home, attic"} value=${tags} onInput=${(/** @type {any} */ event) => setTags(event.currentTarget.value)} />
        <span class="hint">Separated by commas.</span>
      </div>
      <div class="field">
        <label for="notes">Notes</label>
        <textarea id="notes" class="input" maxlength="4096" value=${notes} onInput=${(/** @type {any} */ event) => setNotes(event.currentTarget.value)}></textarea>
      </div>
      <div class="actions"><button class="button primary">Save</button></div>
    </form>
  `;
}
