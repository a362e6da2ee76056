// The settings that may go to many miners at once: the parts of a preset, and of a job that changes settings. Pure.
// The service checks each value; this table says how a field is shown.

/** @typedef {{ key: string, label: string, type?: "number" | "secret" | "long", unit?: string, min?: number, max?: number, step?: number | "any", choices?: [any, string][], hint?: string, placeholder?: string }} Field */
/** @typedef {{ title: string, fields: Field[], more?: Field[] }} Group */

/** @type {[any, string][]} */
const SWITCH = [[true, "on"], [false, "off"]];

/** @param {string} key */
const fallbackKey = (key) => `fallback${key[0].toUpperCase()}${key.slice(1)}`;

/** @type {Field[]} */
const POOL = [
  { key: "stratumURL", label: "Host", placeholder: "public-pool.io", hint: "Without stratum+tcp:// and without the port." },
  { key: "stratumPort", label: "Port", type: "number", min: 1, max: 65535, placeholder: "3333" },
  { key: "stratumUser", label: "User", placeholder: "Wallet address or account" },
  { key: "stratumPassword", label: "Password", type: "secret" },
];
/** @type {Field[]} */
const POOL_MORE = [
  { key: "stratumTLS", label: "TLS", choices: [[0, "off"], [1, "system certificates"], [2, "own certificate"]] },
  { key: "stratumCert", label: "Certificate (PEM)", type: "long" },
  { key: "stratumSuggestedDifficulty", label: "Suggested difficulty", type: "number", min: 0, max: 65535 },
  { key: "stratumExtranonceSubscribe", label: "Subscribe to extranonce", choices: SWITCH },
  { key: "stratumDecodeCoinbase", label: "Decode coinbase", choices: SWITCH },
  { key: "stratumProtocol", label: "Protocol", choices: [["SV1", "Stratum V1"], ["SV2", "Stratum V2"]] },
  { key: "stratumV2ChannelType", label: "V2 channel type" },
  { key: "stratumV2AuthorityPubkey", label: "V2 authority key" },
];
const asFallback = (/** @type {Field[]} */ fields) => fields.map((field) => ({ ...field, key: fallbackKey(field.key) }));

/** @type {Group[]} */
export const GROUPS = [
  { title: "Pool", fields: POOL, more: POOL_MORE },
  { title: "Fallback pool", fields: asFallback(POOL), more: asFallback(POOL_MORE) },
  {
    title: "Performance",
    fields: [
      { key: "frequency", label: "Frequency", type: "number", unit: "MHz", min: 1, max: 65535, step: "any", hint: "Must be among the options of each miner." },
      { key: "coreVoltage", label: "Core voltage", type: "number", unit: "mV", min: 1, max: 65535 },
    ],
  },
  {
    title: "Cooling",
    fields: [
      { key: "autofanspeed", label: "Fan control", choices: [[true, "automatic"], [false, "manual"], [2, "PID (NerdOS)"]] },
      { key: "manualFanSpeed", label: "Manual fan speed", type: "number", unit: "%", min: 0, max: 100 },
      { key: "minFanSpeed", label: "Minimum fan speed", type: "number", unit: "%", min: 0, max: 99 },
      { key: "temptarget", label: "Target temperature", type: "number", unit: "°C", min: 35, max: 66 },
    ],
    more: [{ key: "overheat_temp", label: "Overheat limit", type: "number", unit: "°C", min: 40, max: 90, hint: "NerdOS only." }],
  },
  {
    title: "Display and other",
    fields: [],
    more: [
      { key: "display", label: "Display type" },
      { key: "rotation", label: "Rotation", choices: [[0, "0°"], [90, "90°"], [180, "180°"], [270, "270°"]] },
      { key: "displayTimeout", label: "Display timeout", type: "number", unit: "min", min: -1, max: 65535, hint: "−1: always on." },
      { key: "invertscreen", label: "Inverted colours", choices: SWITCH },
      { key: "flipscreen", label: "Flipped screen", choices: SWITCH },
      { key: "autoscreenoff", label: "Automatic screen off", choices: SWITCH },
      { key: "statsFrequency", label: "Statistics interval", type: "number", unit: "s", min: 0, max: 65535 },
      { key: "jobInterval", label: "Job interval", type: "number", unit: "ms", min: 1, max: 65535, hint: "NerdOS only." },
      { key: "poolMode", label: "Pool mode", choices: [[0, "failover"], [1, "dual pool"]], hint: "NerdOS only." },
      { key: "useFallbackStratum", label: "Use the fallback pool", choices: SWITCH },
    ],
  },
];

/** The groups in the order of a job: what is tried out first, pools last. */
export const JOB_GROUPS = [...GROUPS.slice(2, 4), ...GROUPS.slice(0, 2), ...GROUPS.slice(4)];

export const FIELDS = GROUPS.flatMap(({ fields, more = [] }) => [...fields, ...more]);
const BY_KEY = new Map(FIELDS.map((field) => [field.key, field]));
const TITLES = new Map(GROUPS.flatMap(({ title, fields, more = [] }) => [...fields, ...more].map((field) => [field.key, title])));

/** Return the name of a setting in a list without groups. @param {string} key */
export function labelOf(key) {
  if (key === "workerTemplate") return "Worker";
  const field = BY_KEY.get(key);
  if (!field) return key;
  const group = TITLES.get(key) ?? "";
  return group.includes("ool") && !field.label.startsWith("Pool") ? `${group}: ${field.label.toLowerCase()}` : field.label;
}

/** Return a value with its unit or in words. @param {string} key @param {any} value */
export function showValue(key, value) {
  const field = BY_KEY.get(key);
  if (value === null || value === undefined) return field?.type === "secret" ? "hidden" : "–";
  const choice = field?.choices?.find(([each]) => each === value || Number(each) === Number(value));
  if (choice) return choice[1];
  if (typeof value === "boolean") return value ? "on" : "off";
  if (value === "") return "empty";
  return field?.unit ? `${value}\u00a0${field.unit}` : String(value);
}

/** Return the values of a form as the service takes them; empty fields are left out. @param {Record<string, any>} texts @returns {Record<string, any>} */
export function readValues(texts) {
  return Object.fromEntries(
    Object.entries(texts).flatMap(([key, text]) => {
      if (text === "" || text === null || text === undefined) return [];
      const field = BY_KEY.get(key);
      const choice = field?.choices?.find(([each]) => String(each) === String(text));
      if (choice) return [[key, choice[0]]];
      const number = Number(text);
      return [[key, field?.type === "number" && Number.isFinite(number) ? number : text]];
    }),
  );
}

/** Whether a form shows a part of a preset; others are fields of the Node backend. @param {string} key */
const isShown = (key) => BY_KEY.has(key) || key === "workerTemplate";

/** Return the texts of a form for stored values. @param {Record<string, any>} values @returns {Record<string, string>} */
export function writeTexts(values) {
  return Object.fromEntries(
    Object.entries(values).filter(([key]) => isShown(key)).map(([key, value]) => {
      const choices = BY_KEY.get(key)?.choices;
      const choice = choices?.find(([each]) => each === value) ?? choices?.find(([each]) => Number(each) === Number(value));
      return [key, String(choice ? choice[0] : value)];
    }),
  );
}

/** Whether two values mean the same to the service: 1 is true, and ports were once stored as text. @param {any} a @param {any} b */
const isSame = (a, b) => a === b || (a !== undefined && (String(a) === String(b) || (typeof b === "boolean" && Number(a) === Number(b))));

/** Return the parts of `values` that differ from `stored`; null removes a part. @param {Record<string, any>} stored @param {Record<string, any>} values */
export function findChanges(stored, values) {
  /** @type {Record<string, any>} */
  const changes = {};
  for (const [key, value] of Object.entries(values)) if (!isSame(stored[key], value)) changes[key] = value;
  for (const key of Object.keys(stored)) if (!(key in values) && isShown(key)) changes[key] = null;
  return changes;
}

const NOT_IN_A_WORKER = /[^A-Za-z0-9_-]/g;

/** Return the user of a device with a worker template, as the service builds it. @param {string} user @param {string} template @param {string} hostname @param {string} mac */
export function previewWorker(user, template, hostname, mac) {
  const digits = mac.replaceAll(":", "");
  const worker = template.replaceAll("{hostname}", hostname.replace(NOT_IN_A_WORKER, "_")).replaceAll("{mac}", digits) || digits;
  return template ? `${user}.${worker}` : user;
}
