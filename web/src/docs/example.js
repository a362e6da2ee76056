import { html } from "../html.js";
import { CopyButton } from "./copy_button.js";

/** @param {{ curl: string, type: string, body: any }} props */
export function Example({ curl, type, body }) {
  const text = typeof body === "string" ? body : JSON.stringify(body, null, 2);
  return html`
    <details>
      <summary>Example</summary>
      <div class="row docs-curl"><pre class="raw grow" tabindex="0">${curl}</pre><${CopyButton} text=${curl} /></div>
      ${body === undefined ? null : html`<p class="soft small">${type}</p><pre class="raw" tabindex="0">${text}</pre>`}
    </details>
  `;
}
