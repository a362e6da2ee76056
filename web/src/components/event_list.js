// Events of the fleet or of one device, newest first and live, with older ones on request.
import { useEffect, useState } from "preact/hooks";
import { html } from "../html.js";
import { get } from "../data/api.js";
import { groupByDay, mergeEvent } from "../data/event_kinds.js";
import { isConnected, listen } from "../data/socket.js";
import { Empty } from "./empty.js";
import { EventLine } from "./event_line.js";

const PAGE = 100;

/** @param {{ path?: string, kinds?: string, mac?: string, text?: string, isLinked?: boolean }} props `path`: the route that lists them */
export function EventList({ path = "events", kinds = "", mac = "", text = "", isLinked = true }) {
  const [events, setEvents] = useState(/** @type {any[] | null} */ (null));
  const [cursor, setCursor] = useState(/** @type {string | null} */ (null));
  const [error, setError] = useState("");
  const isLive = isConnected.value;
  const load = async (/** @type {string | undefined} */ after, /** @type {AbortSignal | undefined} */ stop = undefined) => {
    try {
      const query = { kind: kinds, mac: path === "events" ? mac : "", limit: PAGE, cursor: after };
      const { data, nextCursor } = await get(path, query, stop);
      setEvents((present) => (after ? [...(present ?? []), ...data] : data));
      setCursor(nextCursor);
      setError("");
    } catch (failure) {
      if (!stop?.aborted) setError(/** @type {Error} */ (failure).message);
    }
  };
  useEffect(() => {
    const stop = new AbortController();
    load(undefined, stop.signal);
    const end = listen("event", (event) => {
      const isWanted = (!kinds || kinds.split(",").includes(event.kind)) && (!mac || event.mac === mac);
      if (isWanted) setEvents((present) => mergeEvent(present ?? [], event));
    });
    return () => {
      stop.abort();
      end();
    };
  }, [path, kinds, mac, isLive]);

  if (error) return html`<p class="is-bad" role="alert">${error}</p>`;
  if (events === null) return html`<p class="soft" role="status">Loading events …</p>`;
  const words = text.toLowerCase();
  const shown = words ? events.filter((event) => `${event.message} ${event.mac ?? ""}`.toLowerCase().includes(words)) : events;
  return html`
    ${shown.length === 0 ? html`<${Empty} title="No events"><p>Nothing of this kind is recorded${words ? " in the loaded part" : ""}.</p><//>` : null}
    <div class="timeline">
      ${groupByDay(shown).map(
        ({ day, events: ofDay }) => html`
          <section key=${day} aria-label=${day}>
            <h2>${day}</h2>
            <ul>${ofDay.map((event) => html`<${EventLine} key=${event.id} event=${event} isLinked=${isLinked} />`)}</ul>
          </section>
        `,
      )}
    </div>
    ${cursor ? html`<div class="row"><button class="button" onClick=${() => load(cursor)}>Load older events</button></div>` : null}
  `;
}
