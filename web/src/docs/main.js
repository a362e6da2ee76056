import { effect } from "@preact/signals";
import { render } from "preact";
import { html } from "../html.js";
import { theme } from "../data/preferences.js";
import { DocsPage } from "./page.js";

effect(() => {
  document.documentElement.dataset.theme = theme.value;
});
render(html`<${DocsPage} />`, /** @type {HTMLElement} */ (document.getElementById("app")));
