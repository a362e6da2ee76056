// The lines of a log as the screen holds them: bounded, in order, with gaps marked. Pure.

/** @typedef {{ epoch: string, seq: number, at: string | null, level: string | null, tag: string | null, text: string, lost?: number }} Line */
/** @typedef {Line | { gap: string, key: string }} Shown */

const MOST_LINES = 2000;

/**
 * Return the lines with new ones, the latest MOST_LINES of them. Lines that are known already are skipped.
 * @param {Line[]} lines @param {Line[]} added
 */
export function appendLines(lines, added) {
  const last = lines.at(-1);
  const fresh = added.filter((line) => !last || line.epoch !== last.epoch || line.seq > last.seq);
  return fresh.length ? [...lines, ...fresh].slice(-MOST_LINES) : lines;
}

/** Severities, the worst first. */
export const LEVELS = ["E", "W", "I", "D", "V"];

/**
 * Return the lines that pass the filters, and a mark where lines are missing.
 * @param {Line[]} lines
 * @param {{ text: string, level: string, tag: string }} filters `level`: this one and worse
 * @returns {Shown[]}
 */
export function showLines(lines, { text, level, tag }) {
  const words = text.toLowerCase();
  const worst = level ? LEVELS.slice(0, LEVELS.indexOf(level) + 1) : null;
  /** @type {Shown[]} */
  const shown = [];
  let before = /** @type {Line | null} */ (null);
  for (const line of lines) {
    const gap = before && describeGap(before, line);
    if (gap) shown.push({ gap, key: `gap ${line.epoch} ${line.seq}` });
    before = line;
    const passes = (!worst || worst.includes(line.level ?? "")) && (!tag || line.tag === tag) && (!words || `${line.tag ?? ""} ${line.text}`.toLowerCase().includes(words));
    if (passes) shown.push(line);
  }
  return shown;
}

/** @param {Line} before @param {Line} line */
function describeGap(before, line) {
  if (before.epoch !== line.epoch) return "The service restarted; lines between may be missing.";
  const missing = line.seq - before.seq - 1;
  return missing > 0 && !line.lost ? `${missing} lines are missing here.` : null;
}

/** @param {Line[]} lines */
export const listTags = (lines) => [...new Set(lines.flatMap(({ tag }) => (tag ? [tag] : [])))].sort();
