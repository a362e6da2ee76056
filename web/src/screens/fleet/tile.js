import { html } from "../../html.js";
import { Sparkline } from "../../components/sparkline.js";

/** @param {{ title: string, value: string, hint: string, tone: string, spark?: (number | null)[], isPressed: boolean, onPress: () => void }} props */
export function Tile({ title, value, hint, tone, spark, isPressed, onPress }) {
  return html`
    <button class="tile" aria-pressed=${isPressed} onClick=${onPress}>
      <span class="tile-title">${title}</span>
      <span class=${`tile-value number ${tone ? `is-${tone}` : ""}`}>${value}</span>
      <span class="tile-spark"><${Sparkline} values=${spark} /></span>
      <span class="tile-hint number">${hint}</span>
    </button>
  `;
}
