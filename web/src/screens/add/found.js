// What a scan found, in words. Pure.
import { formatNumber } from "../../data/format.js";

/** @typedef {"new" | "moved" | "registered" | "ignored" | "noMac"} Kind */
/** @typedef {{ mac: string | null, ip: string, hostname?: string, model?: string, firmware?: string, version?: string, hashrateGhs?: number, kind: Kind, previousIp?: string, title?: string }} Found */
/** @typedef {{ state: "idle" | "running" | "done" | "failed", startedAt?: string, finishedAt?: string, probed: number, total: number, counts: Record<string, number>, found: Found[], error?: string }} ScanState */

/** Kind → words in a summary and label in the list, in the order of both. @type {Record<Kind, { words: string, label: string, tone: import("../../components/status.js").Tone }>} */
export const KINDS = {
  new: { words: "new", label: "new", tone: "good" },
  noMac: { words: "without a MAC", label: "no MAC", tone: "warn" },
  moved: { words: "moved", label: "moved", tone: "warn" },
  registered: { words: "registered already", label: "registered", tone: "idle" },
  ignored: { words: "ignored", label: "ignored", tone: "idle" },
};

const ORDER = Object.keys(KINDS);

/**
 * Return the later of two states of a scan. A short scan ends before the answer to its start arrives: that answer, which says
 * that it runs, is older than the update that ended it.
 * @param {ScanState | undefined} present @param {ScanState} next @returns {ScanState}
 */
export const laterState = (present, next) => (present?.finishedAt && present.startedAt === next.startedAt && !next.finishedAt ? present : next);

/** Return a sentence such as `3 new, 1 moved, 1 ignored`. @param {Record<string, number>} counts */
export function summariseCounts(counts) {
  const parts = Object.entries(KINDS).flatMap(([kind, { words }]) => (counts[kind] ? [`${formatNumber(counts[kind])} ${words}`] : []));
  return parts.join(", ") || "no miners";
}

/**
 * Return the found miners with what they are now, those to act on first: a scan's result ages while miners are registered and ignored.
 * @param {Found[]} found
 * @param {{ findRow: (mac: string) => { title: string } | undefined, isLoaded: boolean, ignored: Set<string> }} present the fleet, whether it is loaded, and the ignore list
 * @returns {Found[]}
 */
export function updateKinds(found, { findRow, isLoaded, ignored }) {
  return found
    .map((each) => {
      const row = each.mac ? findRow(each.mac) : undefined;
      /** @type {Found} */
      const updated = row ? { ...each, title: row.title, kind: each.kind === "moved" ? each.kind : "registered" } : { ...each, kind: kindOfUnregistered(each, isLoaded, ignored) };
      return updated;
    })
    .sort((a, b) => ORDER.indexOf(a.kind) - ORDER.indexOf(b.kind) || a.ip.localeCompare(b.ip, "en", { numeric: true }));
}

/** @param {Found} found @param {boolean} isLoaded @param {Set<string>} ignored @returns {Kind} */
function kindOfUnregistered({ mac, kind }, isLoaded, ignored) {
  if (!mac) return "noMac";
  if (!isLoaded && (kind === "moved" || kind === "registered")) return kind;
  return ignored.has(mac) ? "ignored" : "new";
}

/** Return a miner of GET /devices/discover as one of a scan. @param {any} miner @returns {Found} */
export function fromDiscovered({ mac, ip, info = {} }) {
  return { mac, ip, hostname: info.hostname, model: info.deviceModel ?? info.ASICModel, version: info.version, hashrateGhs: info.hashRate, kind: mac ? "new" : "noMac" };
}

/** Return model and firmware in words. @param {Found} found */
export const describeFound = ({ model, firmware, version }) => [model, firmware, version].filter(Boolean).join(" · ");
