// The service's problems by field (`details` of an error). Pure.

/** Return the problems below a prefix: `configuration.frequency` as `frequency`. @param {any} details @param {string} prefix @returns {Record<string, string[]>} */
export function errorsBelow(details, prefix) {
  const found = Object.entries(details ?? {}).filter(([name]) => name.startsWith(`${prefix}.`));
  return Object.fromEntries(found.map(([name, problems]) => [name.slice(prefix.length + 1), [problems].flat().map(String)]));
}
