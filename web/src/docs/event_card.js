// One Socket.IO event.
import { html } from "../html.js";
import { Prose } from "./prose.js";
import { SchemaTree } from "./schema_tree.js";

/** @param {{ document: any, event: any }} props */
export function EventCard({ document, event: { id, name, isSent, summary, description, payload, reply } }) {
  return html`
    <article class="card docs-operation" id=${id} tabindex="-1">
      <h3><${Prose} text=${summary} /></h3>
      <p class="mono docs-path"><span class="method">${isSent ? "service →" : "client →"}</span> ${name}</p>
      <p class="soft"><${Prose} text=${description} /></p>
      ${payload ? html`<${SchemaTree} title="Payload" document=${document} schema=${payload} />` : html`<p class="soft small">Without a payload.</p>`}
      ${reply ? html`<${SchemaTree} title="Acknowledgement" document=${document} schema=${reply} />` : null}
    </article>
  `;
}
