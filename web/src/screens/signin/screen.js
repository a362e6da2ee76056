import { html } from "../../html.js";

export function SignInScreen() {
  return html`<h1>Sign in</h1>`;
}
