// The fields of settings for many miners, in groups. An empty field leaves a setting as it is.
import { html } from "../html.js";
import { GROUPS } from "../data/settings_table.js";
import { SettingField } from "./setting_field.js";

/** @param {{ texts: Record<string, string>, errors: Record<string, string[]>, onChange: (key: string, text: string) => void, groups?: typeof GROUPS, extra?: Record<string, any>, removed?: Set<string>, onRemove?: (key: string, isRemoved: boolean) => void }} props `extra`: group → what follows its fields; `removed`: secrets to remove */
export function SettingFields({ texts, errors, onChange, groups = GROUPS, extra = {}, removed, onRemove }) {
  const show = (/** @type {import("../data/settings_table.js").Field} */ field) => html`
    <${SettingField} key=${field.key} field=${field} text=${texts[field.key] ?? ""} errors=${errors[field.key]} isRemoved=${removed?.has(field.key)}
      onRemove=${onRemove && ((/** @type {boolean} */ isRemoved) => onRemove(field.key, isRemoved))} onChange=${(/** @type {string} */ text) => onChange(field.key, text)} />`;
  return groups.map(({ title, fields, more = [] }) => html`
    <fieldset key=${title} class="group">
      <legend>${title}</legend>
      ${fields.length > 0 && html`<div class="fields">${fields.map(show)}</div>`}
      ${extra[title]}
      ${more.length > 0 && html`
        <details open=${more.some(({ key }) => texts[key] || errors[key])}>
          <summary>${fields.length ? "More settings" : "Settings"}</summary>
          <div class="fields">${more.map(show)}</div>
        </details>`}
    </fieldset>`);
}
