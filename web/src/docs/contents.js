import { html } from "../html.js";

/** Scroll to a part without a change of the address. @param {string} id */
const goTo = (id) => () => {
  const part = document.getElementById(id);
  part?.scrollIntoView();
  part?.focus({ preventScroll: true });
};

/** @param {{ groups: any[], operations: import("./documents.js").Operation[], events: any[] }} props */
export function Contents({ groups, operations, events }) {
  return html`
    <details class="docs-contents" open=${innerWidth > 900}>
      <summary>Contents</summary>
      ${groups.map(
        ({ name, description }) => html`
          <h3 key=${name}>${description}</h3>
          <ul>${operations.filter(({ group }) => group === name).map(({ id, method, operation }) => html`<li key=${id}><button class="link" onClick=${goTo(id)}><span class="method">${method}</span> ${operation.summary}</button></li>`)}</ul>
        `,
      )}
      ${events.length ? html`<h3>Socket.IO events</h3><ul>${events.map(({ id, name }) => html`<li key=${id}><button class="link" onClick=${goTo(id)}>${name}</button></li>`)}</ul>` : null}
    </details>
  `;
}
