// One device: problems and figures first, then a tab for each purpose.
import { html } from "../../html.js";
import { LoadState } from "../../components/load_state.js";
import { Segmented } from "../../components/segmented.js";
import { replaceQuery, route } from "../../data/router.js";
import { BoardCard } from "./board_card.js";
import { Charts } from "./charts.js";
import { Chips } from "./chips.js";
import { DetailsTab } from "./details_tab.js";
import { DeviceHeader } from "./header.js";
import { Figures } from "./figures.js";
import { DeviceProblems } from "./problems.js";
import { HistoryTab } from "./history_tab.js";
import { LogTab } from "./log_tab.js";
import { SettingsTab } from "./settings_tab.js";
import { useDevice } from "./use_device.js";

const TABS = /** @type {[string, string][]} */ ([
  ["", "Overview"],
  ["settings", "Settings"],
  ["log", "Log"],
  ["history", "Changes and events"],
  ["details", "Details"],
]);

/** @param {{ id: string }} props `id`: the MAC */
export function DeviceScreen({ id }) {
  const { device, error, reload } = useDevice(id);
  if (!device) return html`<h1 class="visually-hidden">Device</h1><${LoadState} error=${error} onRetry=${reload} />`;
  const tab = route.value.query.tab ?? "";
  return html`
    <${DeviceHeader} device=${device} />
    <${DeviceProblems} device=${device} />
    <${Figures} mac=${id} />
    <div class="tabs"><${Segmented} label="Parts of this screen" options=${TABS} value=${tab} onChange=${(/** @type {string} */ value) => replaceQuery({ tab: value })} /></div>
    ${tab === "" && html`<${Charts} mac=${id} /><div class="device-parts"><${Chips} chips=${device.chips} /><${BoardCard} device=${device} /></div>`}
    ${tab === "settings" && html`<${SettingsTab} mac=${id} />`}
    ${tab === "log" && html`<${LogTab} mac=${id} warning=${device.logWarning} />`}
    ${tab === "history" && html`<${HistoryTab} mac=${id} />`}
    ${tab === "details" && html`<${DetailsTab} device=${device} />`}
  `;
}
