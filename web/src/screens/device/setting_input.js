import { html } from "../../html.js";
import { showSetting, textOf } from "./settings_values.js";

/** @param {{ setting: import("./settings_values.js").Setting, text?: string, problem?: string, limits?: { min: number, max: number } | null, onChange: (text: string) => void }} props */
export function SettingInput({ setting, text = textOf(setting), problem, limits, onChange }) {
  const { key, label, type, unit, hint, needsRestart, options } = setting;
  const id = `setting-${key}`;
  const common = { id, "aria-invalid": problem ? "true" : undefined, "aria-describedby": `${id}-note`, onChange: (/** @type {any} */ event) => onChange(event.currentTarget.value) };
  const range = limits ?? (setting.min === undefined && setting.max === undefined ? null : setting);
  const note = problem || [hint, range && type !== "choice" ? `${range.min ?? ""} to ${range.max ?? ""}${unit ? ` ${unit}` : ""}` : limits && `${limits.min} to ${limits.max} ${unit}`, needsRestart && "acts after a restart"].filter(Boolean).join(" · ");
  const unknown = text === "" ? html`<option value="">not reported</option>` : null;
  const isChanged = text !== textOf(setting);
  return html`
    <div class=${isChanged ? "field changed" : "field"}>
      <label for=${id}>${label}${unit ? ` (${unit})` : ""}</label>
      ${type === "boolean"
        ? html`<select class="select" ...${common} value=${text}>${unknown}<option value="true">on</option><option value="false">off</option></select>`
        : type === "choice" && !limits
          ? html`<select class="select" ...${common} value=${text}>${unknown}${options?.map((option) => html`<option key=${option} value=${String(option)}>${showSetting(setting, option)}</option>`)}</select>`
          : key.endsWith("Cert")
            ? html`<textarea class="input mono" ...${common} onInput=${common.onChange} spellcheck=${false} value=${text}></textarea>`
            : html`<input
              class="input"
              ...${common}
              onInput=${common.onChange}
              type=${type === "secret" ? "password" : "text"}
              inputmode=${type === "integer" || type === "number" || limits ? "decimal" : undefined}
              autocomplete=${type === "secret" ? "new-password" : "off"}
              spellcheck=${false}
              placeholder=${type === "secret" ? "unchanged" : ""}
              value=${text}
            />`}
      <span class=${problem ? "error" : "hint"} id=${`${id}-note`}>${note}</span>
    </div>
  `;
}
