// The field of one setting.
import { html } from "../html.js";

/** @param {{ isRemoved?: boolean, onRemove?: (isRemoved: boolean) => void, field: import("../data/settings_table.js").Field, text: string, errors?: string[], onChange: (text: string) => void }} props */
export function SettingField({ field, text, errors, isRemoved, onRemove, onChange }) {
  const { key, label, type, unit, choices, hint, placeholder, min, max, step } = field;
  const id = `setting-${key}`;
  const note = type === "secret" ? (onRemove ? "Empty: the stored one is kept. It is never shown." : "It is stored by the service and never shown.") : hint;
  const common = {
    id,
    value: text,
    disabled: isRemoved,
    "aria-invalid": errors ? "true" : undefined,
    "aria-describedby": errors || note ? `${id}-note` : undefined,
    onInput: (/** @type {any} */ event) => onChange(event.target.value),
  };
  return html`
    <div class="field">
      <label for=${id}>${label}${unit ? ` (${unit})` : ""}</label>
      ${choices
        ? html`<select class="select" ...${common}><option value="">unchanged</option>${text && !choices.some(([value]) => String(value) === text) && html`<option value=${text}>${text}</option>`}${choices.map(([value, words]) => html`<option key=${value} value=${String(value)}>${words}</option>`)}</select>`
        : type === "long"
          ? html`<textarea class="input mono" ...${common}></textarea>`
          : html`<input class="input" autocomplete=${type === "secret" ? "new-password" : "off"} spellcheck="false" placeholder=${placeholder}
              type=${type === "number" ? "number" : type === "secret" ? "password" : "text"} min=${min} max=${max} step=${step} ...${common} />`}
      ${(errors || note) && html`<span id=${`${id}-note`} class=${errors ? "error" : "hint"}>${errors ? errors.join(" ") : note}</span>`}
      ${type === "secret" && onRemove && html`<label class="check small"><input type="checkbox" checked=${isRemoved} onChange=${(/** @type {any} */ event) => onRemove(event.target.checked)} />Remove the stored one</label>`}
    </div>
  `;
}
