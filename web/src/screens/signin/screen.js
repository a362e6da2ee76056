// Asks for the token of a service that has one.
import { useState } from "preact/hooks";
import { html } from "../../html.js";
import { get } from "../../data/api.js";
import { requireSignIn, saveToken } from "../../data/session.js";

export function SignInScreen() {
  const [token, setToken] = useState("");
  const [error, setError] = useState("");
  const [isChecking, setChecking] = useState(false);
  const signIn = async (/** @type {Event} */ event) => {
    event.preventDefault();
    setChecking(true);
    try {
      await get("about", {}, undefined, token.trim());
      saveToken(token.trim());
    } catch (failure) {
      setError(/** @type {Error} */ (failure).message);
      requireSignIn();
    }
    setChecking(false);
  };
  return html`
    <main class="sign-in">
      <form class="card stack" onSubmit=${signIn}>
        <h1>Pluto</h1>
        <p class="soft">This service asks for a token (API_TOKEN). It stays in this tab and is forgotten when the tab is closed.</p>
        <div class="field">
          <label for="token">Token</label>
          <input
            id="token"
            class="input"
            type="password"
            autocomplete="current-password"
            required
            autofocus
            aria-invalid=${Boolean(error)}
            aria-describedby="token-error"
            value=${token}
            onInput=${(/** @type {any} */ event) => setToken(event.currentTarget.value)}
          />
          <p class="error" id="token-error" role="alert">${error}</p>
        </div>
        <button class="button primary" disabled=${isChecking}>Sign in</button>
      </form>
    </main>
  `;
}
