// The waves of a job, the canary first.
import { html } from "../../html.js";

/** @param {{ waves: { title: string, text: string, isPresent: boolean }[] }} props */
export function WaveList({ waves }) {
  if (waves.length < 2) return null;
  return html`
    <ol class="waves" aria-label="Waves">
      ${waves.map(({ title, text, isPresent }) => html`
        <li key=${title} class=${isPresent ? "wave present" : "wave"} aria-current=${isPresent ? "step" : undefined}><strong class="small">${title}</strong><br /><span class="soft small number">${text}</span></li>`)}
    </ol>
  `;
}
