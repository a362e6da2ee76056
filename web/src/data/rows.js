// What several screens read from rows of devices. Pure.

/** @typedef {import("./fleet.js").Row} Row */

/** Return firmware and version, such as `AxeOS v2.15.0`. @param {Row} row */
export const formatFirmware = (row) => [row.firmware, row.version].filter(Boolean).join(" ");

/** Whether a row has the values of these parts of a filter; "" is any. @param {Row} row @param {{ tag: string, status: string, model: string, firmware: string }} parts */
export const hasParts = (row, { tag, status, model, firmware }) =>
  (!status || row.status === status) &&
  (!tag || Boolean(row.tags?.includes(tag))) &&
  (!model || row.model === model) &&
  (!firmware || formatFirmware(row) === firmware);
