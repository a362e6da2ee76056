import { effect } from "@preact/signals";
import { render } from "preact";
import { App } from "./app.js";
import { html } from "./html.js";
import { theme } from "./data/preferences.js";

effect(() => {
  document.documentElement.dataset.theme = theme.value;
});
render(html`<${App} />`, /** @type {HTMLElement} */ (document.getElementById("app")));
