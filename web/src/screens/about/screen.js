// The service itself: version, resources, store, history, and how to use this page.
import { useEffect, useState } from "preact/hooks";
import { html } from "../../html.js";
import { Segmented } from "../../components/segmented.js";
import { get } from "../../data/api.js";
import { theme } from "../../data/preferences.js";
import { readToken, requireSignIn } from "../../data/session.js";
import { isConnected } from "../../data/socket.js";
import { HistoryCard } from "./history_card.js";
import { LinksCard } from "./links_card.js";
import { ServiceCard } from "./service_card.js";
import { ShortcutsCard } from "./shortcuts_card.js";
import { StoreCard } from "./store_card.js";

const RELOAD_MS = 10_000;
const THEMES = /** @type {[string, string][]} */ ([["system", "System"], ["light", "Light"], ["dark", "Dark"]]);

export function AboutScreen() {
  const [about, setAbout] = useState(/** @type {any} */ (null));
  const [stores, setStores] = useState(/** @type {any[]} */ ([]));
  const [error, setError] = useState("");
  const isLive = isConnected.value;
  useEffect(() => {
    const stop = new AbortController();
    const load = async () => {
      try {
        const [state, store] = await Promise.all([get("about", {}, stop.signal), get("admin/store", {}, stop.signal)]);
        setAbout(state.data);
        setStores(store.data);
        setError("");
      } catch (failure) {
        if (!stop.signal.aborted) setError(/** @type {Error} */ (failure).message);
      }
    };
    load();
    const timer = setInterval(load, RELOAD_MS);
    return () => {
      stop.abort();
      clearInterval(timer);
    };
  }, [isLive]);
  return html`
    <div class="screen-head">
      <h1>About</h1>
      <span class="grow"></span>
      <${Segmented} label="Theme" options=${THEMES} value=${theme.value} onChange=${(/** @type {string} */ value) => { theme.value = value; }} />
      ${readToken() ? html`<button class="button" onClick=${requireSignIn}>Sign out</button>` : null}
    </div>
    ${error ? html`<p class="is-bad" role="alert">${error}</p>` : null}
    <div class="about-grid">
      ${about ? html`<${ServiceCard} about=${about} />` : null}
      <${HistoryCard} store=${stores.find(({ history }) => history)} />
      <${StoreCard} stores=${stores} />
      <${LinksCard} />
      <${ShortcutsCard} />
    </div>
  `;
}
