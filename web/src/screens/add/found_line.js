// One miner that a scan found.
import { html } from "../../html.js";
import { formatHashrate } from "../../data/format.js";
import { formatRoute } from "../../data/router.js";
import { StatusShape } from "../../components/status.js";
import { describeFound, KINDS } from "./found.js";

/** @param {{ found: import("./found.js").Found, selected?: boolean, busy?: boolean, onSelect?: false | ((isOn: boolean) => void), onRegister: () => void, onEnterMac?: () => void, onIgnore?: () => void, onStopIgnoring?: () => void }} props */
export function FoundLine({ found, selected, busy, onSelect, onRegister, onEnterMac, onIgnore, onStopIgnoring }) {
  const { mac, ip, kind, previousIp, hashrateGhs } = found;
  const title = found.title || found.hostname || ip;
  const isRegistered = kind === "registered" || kind === "moved";
  return html`
    <li class="line">
      ${onSelect && html`<span class="line-check">${kind === "new" && html`<input type="checkbox" aria-label=${`Select ${title}`} checked=${selected} onChange=${(/** @type {any} */ event) => onSelect(event.target.checked)} />`}</span>`}
      <span class=${`status line-state is-${KINDS[kind].tone}`}><${StatusShape} tone=${KINDS[kind].tone} />${KINDS[kind].label}</span>
      <span class="grow line-name">
        ${isRegistered ? html`<a href=${formatRoute(`devices/${mac}`)}>${title}</a>` : html`<strong>${title}</strong>`}
        <span class="soft small">${describeFound(found)}</span>
      </span>
      <span class="small number line-place">${ip}${previousIp && html` <span class="soft">was ${previousIp}</span>`}<br /><span class="soft mono">${mac ?? "MAC unknown"}</span></span>
      <span class="small number line-value">${hashrateGhs !== undefined && formatHashrate(hashrateGhs)}</span>
      <span class="row line-actions">
        ${kind === "new" && html`
          ${onIgnore && html`<button class="button quiet" disabled=${busy} aria-label=${`Ignore ${title}`} onClick=${onIgnore}>Ignore</button>`}
          <button class="button" disabled=${busy} aria-label=${`Register ${title}`} onClick=${onRegister}>Register</button>`}
        ${kind === "noMac" && onEnterMac && html`<button class="button" aria-label=${`Enter the MAC: ${title}`} onClick=${onEnterMac}>Enter the MAC</button>`}
        ${kind === "ignored" && onStopIgnoring && html`<button class="button quiet" aria-label=${`Stop ignoring ${title}`} onClick=${onStopIgnoring}>Stop ignoring</button>`}
      </span>
    </li>
  `;
}
