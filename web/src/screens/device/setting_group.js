import { html } from "../../html.js";
import { SettingInput } from "./setting_input.js";

/** @param {{ title: string, settings: import("./settings_values.js").Setting[], texts: Record<string, string>, problems: Record<string, string>, limitsOf: (key: string) => any, onChange: (key: string, text: string) => void }} props */
export function SettingGroup({ title, settings, texts, problems, limitsOf, onChange }) {
  return html`
    <fieldset class="card setting-group">
      <legend>${title}</legend>
      <div class="setting-grid">
        ${settings.map(
          (setting) => html`<${SettingInput} key=${setting.key} setting=${setting} text=${texts[setting.key]} problem=${problems[setting.key]} limits=${limitsOf(setting.key)} onChange=${(/** @type {string} */ text) => onChange(setting.key, text)} />`,
        )}
      </div>
    </fieldset>
  `;
}
