// One option of a job, with a line that explains it.
import { html } from "../../html.js";

/** @param {{ option: import("./job_options.js").Option, value: any, onChange: (value: any) => void }} props */
export function OptionField({ option: { key, label, hint, type, unit, min, max }, value, onChange }) {
  const id = `option-${key}`;
  const note = html`<span id=${`${id}-note`} class="hint">${hint}</span>`;
  if (type === "check") {
    return html`
      <div class="field">
        <label class="check"><input type="checkbox" checked=${value} aria-describedby=${`${id}-note`} onChange=${(/** @type {any} */ event) => onChange(event.target.checked)} />${label}</label>
        ${note}
      </div>`;
  }
  return html`
    <div class="field">
      <label for=${id}>${label}${unit ? ` (${unit})` : ""}</label>
      <input id=${id} class="input number" type=${type} min=${min} max=${max} value=${value} autocomplete="off" aria-describedby=${`${id}-note`} onInput=${(/** @type {any} */ event) => onChange(event.target.value)} />
      ${note}
    </div>
  `;
}
