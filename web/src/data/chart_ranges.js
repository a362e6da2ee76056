/** The ranges that a chart offers: value, as the API takes it behind a minus sign, and text. @type {[string, string][]} */
export const CHART_RANGES = [["1h", "1 h"], ["24h", "24 h"], ["7d", "7 d"], ["90d", "90 d"]];
