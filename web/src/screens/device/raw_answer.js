// The last answer of the miner as the public may see it, for bug reports.
import { useRef } from "preact/hooks";
import { html } from "../../html.js";
import { LoadState } from "../../components/load_state.js";
import { download, get } from "../../data/api.js";
import { reportErrors, showToast } from "../../data/toasts.js";
import { useLoad } from "../../data/use_load.js";

/** @param {{ device: any }} props */
export function RawAnswer({ device }) {
  const path = `devices/${device.mac}/diagnostics`;
  const { data, error, reload } = useLoad((signal) => get(path, {}, signal), [device.mac]);
  const place = useRef(/** @type {HTMLElement | null} */ (null));
  return html`
    <section class="card" aria-label="Raw answer">
      <header>
        <h2 class="grow">Raw answer</h2>
        <button class="button" onClick=${reload}>Refresh</button>
        <button class="button" disabled=${!data} onClick=${() => copyText(/** @type {HTMLElement} */ (place.current))}>Copy</button>
        <button class="button" onClick=${() => reportErrors(() => download(path))}>Download diagnostics</button>
      </header>
      <p class="soft small">Safe to post in public: no passwords, wallet addresses, network names or full addresses. The diagnostics file has settings, journal, events and log too.</p>
      ${data ? html`<pre class="raw" ref=${place} tabindex="0">${JSON.stringify(data.answer ?? {}, null, 2)}</pre>` : html`<${LoadState} error=${error} onRetry=${reload} />`}
    </section>
  `;
}

/** Copy the text of an element. The clipboard's own interface needs HTTPS; without it the text is selected and copied. @param {HTMLElement} element */
async function copyText(element) {
  try {
    await navigator.clipboard.writeText(element.textContent ?? "");
  } catch {
    getSelection()?.selectAllChildren(element);
    if (!document.execCommand("copy")) return showToast("The browser does not allow copying; the text is selected", "error");
  }
  showToast("Copied");
}
