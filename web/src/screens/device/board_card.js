// What the firmware says about pool, board and chance, next to the chips.
import { html } from "../../html.js";
import { Time } from "../../components/time.js";
import { formatDifficulty, formatDuration, formatHashrate, formatPercent, formatUnit } from "../../data/format.js";

const YEAR_SECONDS = 31_557_600;

/** @param {{ device: any }} props */
export function BoardCard({ device }) {
  const { info, derived = {} } = device;
  /** @type {[string, any][]} */
  const facts = [
    ["Pool user", info.stratumUser],
    ["Share difficulty", info.currentDiff && formatDifficulty(info.currentDiff)],
    ...Object.entries(derived.provenHashrate ?? {}).map(([window, proven]) => /** @type {[string, any]} */ ([`Share-proven, ${window}`, formatProven(proven)])),
    ["Network difficulty", info.networkDifficulty && formatDifficulty(info.networkDifficulty)],
    ["Mean time to a block", derived.expectedBlockSeconds && formatLong(derived.expectedBlockSeconds)],
    ["Chance of a block per day", derived.blockProbabilityPerDay && formatPercent(derived.blockProbabilityPerDay * 100, 6)],
    ["Chip and board", [info.ASICModel, info.boardVersion].filter(Boolean).join(", ")],
    ["Frequency", info.frequency && formatUnit(info.frequency, "MHz")],
    ["Core voltage", info.coreVoltage && formatUnit(info.coreVoltage, "mV")],
    ["Last start", info.resetReason],
    ["Registered", html`<${Time} at=${device.createdAt} />`],
  ];
  return html`
    <section class="card" aria-label="Pool and board">
      <header><h2>Pool and board</h2></header>
      <dl class="facts">${facts.filter(([, value]) => value).map(([name, value]) => html`<dt key=${name}>${name}</dt><dd>${value}</dd>`)}</dl>
    </section>
  `;
}

/** @param {any} proven */
function formatProven({ estimateGhs, lowGhs, highGhs, reason }) {
  return estimateGhs === undefined ? reason : `${formatHashrate(estimateGhs)} (${formatHashrate(lowGhs)} to ${formatHashrate(highGhs)})`;
}

/** @param {number} seconds */
const formatLong = (seconds) => (seconds > 2 * YEAR_SECONDS ? formatUnit(seconds / YEAR_SECONDS, "years") : formatDuration(seconds));
