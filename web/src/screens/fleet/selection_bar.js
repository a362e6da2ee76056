// What can be done with the selected devices.
import { html } from "../../html.js";
import { patch } from "../../data/api.js";
import { getRow } from "../../data/fleet.js";
import { formatRoute } from "../../data/router.js";
import { reportErrors } from "../../data/toasts.js";
import { selection } from "./state.js";
import { TagDialog } from "./tag_dialog.js";
import { useState } from "preact/hooks";

export function SelectionBar() {
  const [isTagging, setTagging] = useState(false);
  const macs = [...selection.value];
  if (macs.length === 0) return null;
  const link = (/** @type {string} */ action) => formatRoute("jobs", { new: action, macs: macs.join() });
  return html`
    <div class="selection-bar" role="region" aria-label="Selected devices">
      <strong class="number">${macs.length} selected</strong>
      <a class="button" href=${link("apply-preset")}>Apply preset</a>
      <a class="button" href=${link("settings")}>Change settings</a>
      <a class="button" href=${link("restart")}>Restart</a>
      <button class="button" onClick=${() => setTagging(true)}>Tag</button>
      <button class="button quiet" onClick=${() => { selection.value = new Set(); }}>Clear</button>
    </div>
    ${isTagging ? html`<${TagDialog} macs=${macs} onClose=${() => setTagging(false)} onSave=${(/** @type {string} */ tag, /** @type {boolean} */ isAdded) => reportErrors(() => saveTag(macs, tag, isAdded), `Tag ${tag} ${isAdded ? "added to" : "removed from"} ${macs.length} devices`)} />` : null}
  `;
}

/** @param {string[]} macs @param {string} tag @param {boolean} isAdded */
async function saveTag(macs, tag, isAdded) {
  for (const mac of macs) {
    const without = (getRow(mac)?.tags ?? []).filter((present) => present !== tag);
    await patch(`devices/imprint/${mac}`, { device: { tags: isAdded ? [...without, tag] : without } });
  }
}
