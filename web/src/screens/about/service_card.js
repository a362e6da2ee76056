import { html } from "../../html.js";
import { Time } from "../../components/time.js";
import { formatBytes, formatDuration, formatNumber, formatPercent } from "../../data/format.js";

/** @param {{ about: any }} props */
export function ServiceCard({ about }) {
  const { process, devices, polls } = about;
  return html`
    <section class="card">
      <header><h2>Service</h2></header>
      <dl class="facts">
        <dt>Version</dt><dd>${about.version} <span class="soft">on Python ${about.python}</span></dd>
        <dt>Running since</dt><dd><${Time} at=${about.startedAt} /> <span class="soft">(${formatDuration(about.uptimeSeconds)})</span></dd>
        <dt>CPU</dt><dd>${formatPercent(process.cpuPercent, 1)} of a core <span class="soft">(${formatDuration(process.cpuSeconds)} in all)</span></dd>
        <dt>Memory</dt><dd>${formatBytes(process.residentBytes)}</dd>
        <dt>Devices</dt><dd>${formatNumber(devices.online)} online, ${formatNumber(devices.monitored)} monitored, ${formatNumber(devices.registered)} registered</dd>
        <dt>Polls</dt><dd>${formatNumber(polls.completed)} answered, ${formatNumber(polls.failed)} failed</dd>
        <dt>Live clients</dt><dd>${formatNumber(about.clients)}</dd>
      </dl>
    </section>
  `;
}
