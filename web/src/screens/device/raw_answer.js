// The last answer of the miner without secrets, for bug reports.
import { html } from "../../html.js";
import { download } from "../../data/api.js";
import { reportErrors, showToast } from "../../data/toasts.js";

/** @param {{ device: any }} props */
export function RawAnswer({ device }) {
  const text = JSON.stringify(device.info, null, 2);
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(text);
      showToast("Copied");
    } catch {
      showToast("The browser does not allow copying on this page; select the text instead", "error");
    }
  };
  return html`
    <section class="card" aria-label="Raw answer">
      <header>
        <h2 class="grow">Raw answer</h2>
        <button class="button" onClick=${copy}>Copy</button>
        <button class="button" onClick=${() => reportErrors(() => download(`devices/${device.mac}/diagnostics`))}>Download diagnostics</button>
      </header>
      <p class="soft small">The answer holds no passwords, but addresses and the pool user. The diagnostics file is safe to post in public.</p>
      <pre class="raw" tabindex="0">${text}</pre>
    </section>
  `;
}
