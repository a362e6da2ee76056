import { html } from "../html.js";
import { dismissToast, toasts } from "../data/toasts.js";

export function Toasts() {
  return html`
    <div class="toasts" role="status" aria-live="polite">
      ${toasts.value.map(
        (toast) => html`
          <div key=${toast.id} class=${`toast ${toast.kind}`} role=${toast.kind === "error" ? "alert" : undefined}>
            <span>${toast.text}</span>
            <button class="button quiet icon" aria-label="Dismiss" onClick=${() => dismissToast(toast.id)}>×</button>
          </div>
        `,
      )}
    </div>
  `;
}
