import { html } from "../../html.js";
import { download, resolvePath } from "../../data/api.js";
import { reportErrors } from "../../data/toasts.js";

export function LinksCard() {
  const save = (/** @type {string} */ path) => () => void reportErrors(() => download(path));
  return html`
    <section class="card">
      <header><h2>Data and interfaces</h2></header>
      <div class="row">
        <a class="button" href=${resolvePath("docs")}>API reference</a>
        <button class="button" onClick=${save("admin/backup")}>Download backup</button>
        <button class="button" onClick=${save("admin/backup?history=true")}>Backup with history</button>
      </div>
      <p class="soft small">A backup holds no pool passwords. Prometheus scrapes <span class="mono">/metrics</span>.</p>
    </section>
  `;
}
