// A schema as a tree. Deeper objects open on request, so that a schema that contains itself ends.
import { useState } from "preact/hooks";
import { html } from "../html.js";
import { Prose } from "./prose.js";
import { listMembers, nameType, resolve } from "./documents.js";

/** @param {{ title: string, document: any, schema: any }} props */
export function SchemaTree({ title, document, schema }) {
  const [isOpen, setOpen] = useState(false);
  return html`
    <details onToggle=${(/** @type {any} */ event) => setOpen(event.currentTarget.open)}>
      <summary>${title}: ${nameType(document, schema)}</summary>
      ${isOpen ? html`<${Members} document=${document} schema=${schema} />` : null}
    </details>
  `;
}

/** @param {{ document: any, schema: any }} props */
function Members({ document, schema }) {
  const members = listMembers(document, schema);
  if (!members.length) return html`<p class="soft">${resolve(document, schema)?.description ?? "No fixed members."}</p>`;
  return html`
    <ul class="schema">
      ${members.map(([name, member, isRequired]) => {
        const { description, enum: values } = resolve(document, member) ?? {};
        const text = [member.description ?? description, values && `One of ${values.join(", ")}.`].filter(Boolean).join(" ");
        return html`
          <li key=${name}>
            <code>${name}</code> <span class="soft">${nameType(document, member)}${isRequired ? "" : ", optional"}</span> <${Prose} text=${text} />
            ${listMembers(document, member).length ? html`<${SchemaTree} title="members" document=${document} schema=${member} />` : null}
          </li>
        `;
      })}
    </ul>
  `;
}
