import { html } from "../html.js";
import { nameType } from "./documents.js";
import { Prose } from "./prose.js";

/** Return what a parameter means, with its default. @param {any} parameter */
function describe({ description, schema }) {
  const parts = [description ?? schema?.description, schema?.default === undefined ? "" : `default: ${JSON.stringify(schema.default)}`];
  return parts.filter(Boolean).join("; ");
}

/** @param {{ document: any, parameters: any[] }} props */
export function Parameters({ document, parameters }) {
  if (!parameters.length) return null;
  return html`
    <div class="table-scroll">
      <table class="table">
        <thead><tr><th scope="col">Parameter</th><th scope="col">In</th><th scope="col">Type</th><th scope="col">Meaning</th></tr></thead>
        <tbody>
          ${parameters.map(
            (parameter) => html`
              <tr key=${parameter.name}>
                <td class="mono">${parameter.name}${parameter.required ? " *" : ""}</td><td>${parameter.in}</td><td>${nameType(document, parameter.schema)}</td>
                <td><${Prose} text=${describe(parameter)} /></td>
              </tr>
            `,
          )}
        </tbody>
      </table>
    </div>
  `;
}
