// Switches between the system's theme, light and dark.
import { html } from "../html.js";
import { theme } from "../data/preferences.js";

const NEXT = /** @type {Record<string, string>} */ ({ system: "light", light: "dark", dark: "system" });
const ICONS = /** @type {Record<string, string>} */ ({ system: "◐", light: "☀", dark: "☾" });

export function ThemeButton() {
  const present = theme.value;
  return html`
    <button class="button quiet icon" title=${`Theme: ${present}`} aria-label=${`Theme: ${present}. Switch to ${NEXT[present]}.`} onClick=${() => { theme.value = NEXT[present]; }}>
      ${ICONS[present]}
    </button>
  `;
}
