// The API reference: contents and search at the left, every operation and event at the right.
import { useEffect, useState } from "preact/hooks";
import { html } from "../html.js";
import { LoadState } from "../components/load_state.js";
import { ThemeButton } from "../components/theme_button.js";
import { get, resolvePath } from "../data/api.js";
import { isSignInNeeded } from "../data/session.js";
import { SignInScreen } from "../screens/signin/screen.js";
import { Contents } from "./contents.js";
import { listEvents, listOperations, matches } from "./documents.js";
import { EventCard } from "./event_card.js";
import { OperationCard } from "./operation_card.js";
import { Prose } from "./prose.js";

export function DocsPage() {
  const [documents, setDocuments] = useState(/** @type {any} */ (null));
  const [error, setError] = useState(/** @type {Error | undefined} */ (undefined));
  const [search, setSearch] = useState("");
  const needsToken = isSignInNeeded.value;
  const load = () => {
    setError(undefined);
    Promise.all([get("openapi.json"), get("asyncapi.json")]).then(([openapi, asyncapi]) => setDocuments({ openapi, asyncapi }), setError);
  };
  useEffect(() => {
    if (!needsToken) load();
  }, [needsToken]);
  useEffect(() => {
    const onKey = (/** @type {KeyboardEvent} */ event) => {
      if (event.key !== "/" || (event.target instanceof HTMLElement && event.target.matches("input"))) return;
      event.preventDefault();
      /** @type {HTMLElement | null} */ (document.querySelector("[data-search]"))?.focus();
    };
    addEventListener("keydown", onKey);
    return () => removeEventListener("keydown", onKey);
  }, []);

  if (needsToken) return html`<${SignInScreen} />`;
  if (!documents) return html`<main class="screen"><h1>Pluto API</h1><${LoadState} error=${error} onRetry=${load} /></main>`;
  const { openapi, asyncapi } = documents;
  const operations = listOperations(openapi).filter(({ id, operation }) => matches(`${id} ${operation.summary}`, search));
  const events = listEvents(asyncapi).filter(({ name, summary }) => matches(`event ${name} ${summary}`, search));
  const groups = openapi.tags.filter((/** @type {any} */ tag) => operations.some(({ group }) => group === tag.name));
  return html`
    <div class="docs">
      <nav class="docs-nav" aria-label="Contents">
        <div class="row"><a class="brand" href=${resolvePath("./")}>Pluto</a><span class="grow"></span><${ThemeButton} /></div>
        <input class="input" type="search" data-search aria-label="Search operations and events" placeholder="Search  ( / )" value=${search} onInput=${(/** @type {any} */ event) => setSearch(event.currentTarget.value)} />
        <${Contents} groups=${groups} operations=${operations} events=${events} />
      </nav>
      <main class="docs-main">
        <header class="stack">
          <h1>Pluto API <span class="soft">${openapi.info.version}</span></h1>
          <p class="soft">
            The documents themselves: <a href=${resolvePath("openapi.json")}>openapi.json</a>, <a href=${resolvePath("asyncapi.json")}>asyncapi.json</a>.
            Answers have <code>message</code> and <code>data</code>, failures <code>error</code>, <code>message</code> and perhaps <code>details</code>.
          </p>
        </header>
        ${groups.map(
          (/** @type {any} */ { name, description }) => html`
            <section key=${name} class="stack" aria-label=${description}>
              <h2>${description}</h2>
              ${operations.filter(({ group }) => group === name).map((each) => html`<${OperationCard} key=${each.id} document=${openapi} ...${each} />`)}
            </section>
          `,
        )}
        ${events.length ? html`<section class="stack" aria-label="Socket.IO events"><h2>Socket.IO events</h2><p class="soft"><${Prose} text=${asyncapi.info.description} /></p>${events.map((event) => html`<${EventCard} key=${event.id} document=${asyncapi} event=${event} />`)}</section>` : null}
        ${operations.length + events.length === 0 ? html`<p class="soft">Nothing matches.</p>` : null}
      </main>
    </div>
  `;
}
