// The miners that the user does not want to be offered.
import { html } from "../../html.js";
import { Time } from "../../components/time.js";
import { useMore } from "../../components/use_more.js";

/** @param {{ ignored: { data?: any[], error?: Error }, onStopIgnoring: (mac: string) => void }} props */
export function IgnoredList({ ignored: { data = [], error }, onStopIgnoring }) {
  const [lines, more] = useMore(data);
  return html`
    <section class="card flush" aria-label="Ignored miners">
      <header><h2 class="grow">Ignored</h2><span class="soft small number">${data.length || ""}</span></header>
      ${error && html`<p class="is-bad small inset">${error.message}</p>`}
      ${!error && !data.length && html`<p class="soft small inset">No miner is ignored. A scan does not offer an ignored miner, for example one that another person owns.</p>`}
      <ul class="lines">
        ${lines.map(({ mac, hostname, ip, since }) => html`
          <li key=${mac} class="line">
            <span class="grow line-name"><strong>${hostname || ip || mac}</strong> <span class="soft small">since <${Time} at=${since || undefined} /></span></span>
            <span class="small number line-place">${ip}<br /><span class="soft mono">${mac}</span></span>
            <span class="row line-actions"><button class="button quiet" aria-label=${`Stop ignoring ${hostname || mac}`} onClick=${() => onStopIgnoring(mac)}>Stop ignoring</button></span>
          </li>`)}
      </ul>
      ${more}
    </section>
  `;
}
