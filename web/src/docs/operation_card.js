// One operation: what it does, its parameters, its schemas, and a recorded example.
import { html } from "../html.js";
import { resolvePath } from "../data/api.js";
import { readToken } from "../data/session.js";
import { buildCurl, resolve } from "./documents.js";
import { Example } from "./example.js";
import { Parameters } from "./parameters.js";
import { Prose } from "./prose.js";
import { SchemaTree } from "./schema_tree.js";

/** @param {{ document: any, id: string, method: string, path: string, operation: any }} props */
export function OperationCard({ document, id, method, path, operation }) {
  const request = operation.requestBody?.content?.["application/json"];
  const [status, answer] = Object.entries(operation.responses).find(([code]) => code.startsWith("2")) ?? ["", {}];
  const [type, content] = Object.entries(answer.content ?? {}).find(([, each]) => each.example !== undefined) ?? Object.entries(answer.content ?? {})[0] ?? ["", {}];
  const errors = Object.entries(operation.responses).filter(([code]) => /^[45]/.test(code));
  const curl = buildCurl(resolvePath("./"), { method, path, operation }, { body: request?.example, needsToken: readToken() !== null });
  return html`
    <article class="card docs-operation" id=${id} tabindex="-1">
      <h3>${operation.summary}</h3>
      <p class="mono docs-path"><span class="method">${method}</span> ${path}</p>
      <p><${Prose} text=${operation.description} /></p>
      <${Parameters} document=${document} parameters=${operation.parameters} />
      ${request ? html`<${SchemaTree} title="Request body" document=${document} schema=${request.schema} />` : null}
      ${content.schema ? html`<${SchemaTree} title=${`Answer ${status}`} document=${document} schema=${content.schema} />` : null}
      <details>
        <summary>Errors</summary>
        <dl class="facts">${errors.map(([code, each]) => html`<dt key=${code}>${code}</dt><dd><${Prose} text=${resolve(document, each).description} /></dd>`)}</dl>
      </details>
      <${Example} curl=${curl} type=${type} body=${content.example} />
    </article>
  `;
}
