// From the texts of the settings form to what is written. Pure.

/** @typedef {{ key: string, group: string, label: string, type: string, value?: any, options?: any[], optionLabels?: string[], min?: number, max?: number, step?: number, unit?: string, needsRestart: boolean, hint?: string }} Setting */
/** @typedef {{ setting: Setting, before: any, after: any }} Change */

/** Return the text of a value in the form. @param {Setting} setting */
export const textOf = ({ type, value }) => (type === "secret" || value === undefined || value === null ? "" : String(value));

/** Return a value with its unit, as a sentence shows it. @param {Setting} setting @param {any} value */
export function showSetting({ type, unit, options, optionLabels }, value) {
  if (type === "secret") return "hidden";
  if (value === undefined || value === null || value === "") return "empty";
  if (typeof value === "boolean") return value ? "on" : "off";
  const label = optionLabels?.[options?.findIndex((option) => String(option) === String(value)) ?? -1];
  return label ?? (unit ? `${value}\u00a0${unit}` : String(value));
}

/** Return the value of a text, of the type that the service takes. @param {Setting} setting @param {string} text */
export function parseText({ type, options, value }, text) {
  if (type === "boolean") return text === "true";
  if (type === "choice") return options?.find((option) => String(option) === text) ?? (typeof value === "number" ? Number(text) : text);
  return type === "integer" || type === "number" ? Number(text) : text;
}

/**
 * Return why a text is no value of this setting, "" if it is one. The service checks again.
 * @param {Setting} setting @param {string} text @param {{ min: number, max: number } | null} [limits] the hard limits with overclocking
 */
export function checkText({ type, min, max, unit, options }, text, limits) {
  if (limits && type === "choice") {
    const isInside = Number(text) >= limits.min && Number(text) <= limits.max;
    return isInside ? "" : `Between ${limits.min} and ${limits.max}${unit ? ` ${unit}` : ""}.`;
  }
  if (type === "choice") return options?.some((option) => String(option) === text) ? "" : "Choose one of the options.";
  if (type !== "integer" && type !== "number") return "";
  const value = Number(text);
  if (text.trim() === "" || !Number.isFinite(value) || (type === "integer" && !Number.isInteger(value))) return type === "integer" ? "A whole number is needed." : "A number is needed.";
  if ((min !== undefined && value < min) || (max !== undefined && value > max)) return `Between ${min ?? "−∞"} and ${max ?? "∞"}${unit ? ` ${unit}` : ""}.`;
  return "";
}

/**
 * Return what differs from the present values. A secret differs as soon as it has a text.
 * @param {Setting[]} settings @param {Record<string, string>} texts
 * @returns {Change[]}
 */
export function listChanges(settings, texts) {
  return settings.flatMap((setting) => {
    const text = texts[setting.key];
    if (text === undefined || text === textOf(setting)) return [];
    return [{ setting, before: setting.value, after: parseText(setting, text) }];
  });
}

/** Return the service's problems as one text per key. @param {Record<string, any>} details @returns {Record<string, string>} */
export function joinDetails(details) {
  return Object.fromEntries(Object.entries(details).filter(([, problems]) => problems).map(([key, problems]) => [key, [problems].flat().join(" ")]));
}
