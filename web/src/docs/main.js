import { render } from "preact";
import { html } from "../html.js";

render(html`<h1>API</h1>`, /** @type {HTMLElement} */ (document.getElementById("app")));
