// Creates, edits or copies a preset.
import { useState } from "preact/hooks";
import { html } from "../../html.js";
import { patch, post } from "../../data/api.js";
import { errorsBelow } from "../../data/field_errors.js";
import { findChanges, readValues, writeTexts } from "../../data/settings_table.js";
import { showToast } from "../../data/toasts.js";
import { countOf } from "../../data/words.js";
import { SettingFields } from "../../components/setting_fields.js";
import { useErrorFocus } from "../../components/use_error_focus.js";
import { WorkerField } from "./worker_field.js";

/** @param {{ source?: import("../../data/presets.js").Preset, isCopy: boolean, onClose: (isSaved: boolean) => void }} props */
export function PresetForm({ source, isCopy, onClose }) {
  const [name, setName] = useState(source ? (isCopy ? `${source.name} (copy)` : source.name) : "");
  const [texts, setTexts] = useState(() => writeTexts(source?.configuration ?? {}));
  const [error, setError] = useState(/** @type {any} */ (null));
  const [busy, setBusy] = useState(false);
  const [removed, setRemoved] = useState(/** @type {Set<string>} */ (new Set()));
  const alert = useErrorFocus(error);
  const isEdit = source && !isCopy;
  const errors = errorsBelow(error?.details, "configuration");
  const change = (/** @type {string} */ key, /** @type {string} */ text) => setTexts((present) => ({ ...present, [key]: text }));

  const removeSecret = (/** @type {string} */ key, /** @type {boolean} */ isRemoved) => {
    setRemoved(new Set([...removed].filter((each) => each !== key).concat(isRemoved ? key : [])));
    change(key, "");
  };

  const save = async (/** @type {Event} */ event) => {
    event.preventDefault();
    setBusy(true);
    try {
      const values = readValues(texts);
      const gone = Object.fromEntries([...removed].map((key) => [key, null]));
      if (isEdit) await patch(`presets/${source.uuid}`, { name: name.trim(), configuration: { ...findChanges(source.configuration, values), ...gone } });
      else await post("presets", { name: name.trim(), configuration: values });
      showToast(`Preset “${name.trim()}” saved.`);
      onClose(true);
    } catch (failure) {
      setError(failure);
      setBusy(false);
    }
  };

  return html`
    <div class="screen-head"><h1>${isEdit ? "Edit preset" : isCopy ? "Copy preset" : "New preset"}</h1></div>
    <form class="card form" novalidate onSubmit=${save}>
      <div class="field name-field">
        <label for="preset-name">Name</label>
        <input id="preset-name" class="input" required maxlength="128" autocomplete="off" value=${name} onInput=${(/** @type {any} */ event) => setName(event.target.value)} />
      </div>
      <p class="soft small">An empty field is not part of the preset: it leaves that setting of a miner as it is.${isCopy && " Passwords are not copied: enter them again."}</p>
      <${SettingFields} texts=${texts} errors=${errors} onChange=${change} removed=${removed} onRemove=${isEdit && removeSecret}
        extra=${{ Pool: html`<${WorkerField} template=${texts.workerTemplate ?? ""} user=${texts.stratumUser ?? ""} errors=${errors.workerTemplate} onChange=${(/** @type {string} */ text) => change("workerTemplate", text)} />` }} />
      ${isEdit && source.associatedDevices > 0 && html`<p class="soft small">${countOf(source.associatedDevices, "device")} use this preset. They keep their settings until it is applied to them.</p>`}
      ${error && html`<p class="is-bad" role="alert" tabindex="-1" ref=${alert}>${error.message}</p>`}
      <div class="actions">
        <button type="button" class="button" onClick=${() => onClose(false)}>Cancel</button>
        <button class="button primary" disabled=${busy || !name.trim()}>${busy ? "Saving …" : "Save"}</button>
      </div>
    </form>
  `;
}
