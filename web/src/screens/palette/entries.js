// What the palette finds. Pure.

/** @typedef {{ key: string, text: string, hint: string, path?: string, run?: () => void }} Entry */

const MOST = 12;

/**
 * Return the entries that contain every word, those whose text begins with the search first.
 * @param {Entry[]} entries
 * @param {string} text
 */
export function findEntries(entries, text) {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  const matching = entries.filter(({ text: title, hint }) => {
    const haystack = `${title}\n${hint}`.toLowerCase();
    return words.every((word) => haystack.includes(word));
  });
  const rank = (/** @type {Entry} */ entry) => (words.length && entry.text.toLowerCase().startsWith(words[0]) ? 0 : 1);
  return matching.sort((a, b) => rank(a) - rank(b)).slice(0, MOST);
}
