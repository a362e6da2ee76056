// The service itself: version, resources, store, history, and how to use this page.
import { html } from "../../html.js";
import { Segmented } from "../../components/segmented.js";
import { get } from "../../data/api.js";
import { theme } from "../../data/preferences.js";
import { readToken, requireSignIn } from "../../data/session.js";
import { useInterval } from "../../data/use_interval.js";
import { useLoad } from "../../data/use_load.js";
import { HistoryCard } from "./history_card.js";
import { LinksCard } from "./links_card.js";
import { ServiceCard } from "./service_card.js";
import { ShortcutsCard } from "./shortcuts_card.js";
import { StoreCard } from "./store_card.js";

const RELOAD_MS = 10_000;
const THEMES = /** @type {[string, string][]} */ ([["system", "System"], ["light", "Light"], ["dark", "Dark"]]);

export function AboutScreen() {
  const { data, error, reload } = useLoad(async (signal) => {
    const [state, store] = await Promise.all([get("about", {}, signal), get("admin/store", {}, signal)]);
    return { about: state.data, stores: /** @type {any[]} */ (store.data) };
  });
  useInterval(reload, RELOAD_MS);
  const { about, stores = [] } = data ?? {};
  return html`
    <div class="screen-head">
      <h1>About</h1>
      <span class="grow"></span>
      <${Segmented} label="Theme" options=${THEMES} value=${theme.value} onChange=${(/** @type {string} */ value) => { theme.value = value; }} />
      ${readToken() ? html`<button class="button" onClick=${requireSignIn}>Sign out</button>` : null}
    </div>
    ${error ? html`<p class="is-bad" role="alert">${error.message}</p>` : null}
    <div class="about-grid">
      ${about ? html`<${ServiceCard} about=${about} />` : null}
      <${HistoryCard} store=${stores.find(({ history }) => history)} />
      <${StoreCard} stores=${stores} />
      <${LinksCard} />
      <${ShortcutsCard} />
    </div>
  `;
}
