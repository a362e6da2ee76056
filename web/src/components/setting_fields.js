// The fields of settings for many miners, in groups. An empty field leaves a setting as it is.
import { html } from "../html.js";
import { GROUPS } from "../data/settings_table.js";
import { SettingField } from "./setting_field.js";

/** @param {{ texts: Record<string, string>, errors: Record<string, string[]>, onChange: (key: string, text: string) => void, groups?: typeof GROUPS, extra?: Record<string, any>, keepsSecrets?: boolean }} props `extra`: group → what follows its fields */
export function SettingFields({ texts, errors, onChange, groups = GROUPS, extra = {}, keepsSecrets }) {
  const show = (/** @type {import("../data/settings_table.js").Field} */ field) => html`
    <${SettingField} key=${field.key} field=${field} text=${texts[field.key] ?? ""} errors=${errors[field.key]} keepsSecret=${keepsSecrets} onChange=${(/** @type {string} */ text) => onChange(field.key, text)} />`;
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
