// How carefully a job proceeds: a sentence, and the options on request.
import { html } from "../../html.js";
import { OptionField } from "./option_field.js";
import { hasOption, OPTIONS, readOptions } from "./job_options.js";
import { describeOptions } from "./job_words.js";

/** @param {{ action: string, options: Record<string, any>, onChange: (options: Record<string, any>) => void }} props */
export function OptionsForm({ action, options, onChange }) {
  const shown = OPTIONS.filter((option) => hasOption(option, action));
  return html`
    <p class="small">${describeOptions(readOptions(options, action))}</p>
    <details class="stack">
      <summary class="summary">Change</summary>
      <div class="fields options">
        ${shown.map((option) => html`<${OptionField} key=${option.key} option=${option} value=${options[option.key]} onChange=${(/** @type {any} */ value) => onChange({ ...options, [option.key]: value })} />`)}
      </div>
    </details>
  `;
}
