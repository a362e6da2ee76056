// Name, status and address of the device, and what can be done with it.
import { html } from "../../html.js";
import { Status } from "../../components/status.js";
import { Time } from "../../components/time.js";
import { getRow } from "../../data/fleet.js";
import { DeviceActions } from "./actions.js";

/** @param {{ device: any }} props */
export function DeviceHeader({ device }) {
  const row = getRow(device.mac);
  const title = device.name ?? device.info.hostname ?? device.ip;
  return html`
    <header class="screen-head device-head">
      <div class="grow">
        <div class="row"><h1>${title}</h1><${Status} status=${device.status} detail=${device.statusDetail} /></div>
        <p class="soft small">
          ${row?.model ?? device.type} · ${row?.firmware ?? ""} ${row?.version ?? ""} ·
          ${" "}<a href=${`http://${device.ip}/`} target="_blank" rel="noreferrer noopener">${device.ip}</a> · <span class="mono">${device.mac}</span>
          ${device.lastSeen ? html` · last answer <${Time} at=${device.lastSeen} />` : " · never answered"}
        </p>
        ${device.tags?.length ? html`<p class="row">${device.tags.map((/** @type {string} */ tag) => html`<span class="tag" key=${tag}>${tag}</span>`)}</p>` : null}
      </div>
      <${DeviceActions} device=${device} title=${title} />
    </header>
  `;
}
