// What will be written, before it is written.
import { useState } from "preact/hooks";
import { html } from "../../html.js";
import { Dialog } from "../../components/dialog.js";
import { showSetting } from "./settings_values.js";

/** @param {{ changes: import("./settings_values.js").Change[], onCancel: () => void, onWrite: (restart: boolean) => void }} props */
export function ChangeReview({ changes, onCancel, onWrite }) {
  const needsRestart = changes.some(({ setting }) => setting.needsRestart);
  const [restart, setRestart] = useState(needsRestart);
  return html`
    <${Dialog} title="Write these settings?" onClose=${onCancel} wide>
      <div class="table-scroll">
        <table class="table">
          <thead><tr><th scope="col">Setting</th><th scope="col">Now</th><th scope="col">New</th><th scope="col">Takes effect</th></tr></thead>
          <tbody>
            ${changes.map(
              ({ setting, before, after }) => html`
                <tr key=${setting.key}>
                  <td>${setting.label}</td><td>${showSetting(setting, before)}</td><td><strong>${showSetting(setting, after)}</strong></td>
                  <td class="soft">${setting.needsRestart ? "after a restart" : "at once"}</td>
                </tr>
              `,
            )}
          </tbody>
        </table>
      </div>
      ${needsRestart ? html`<label class="check"><input type="checkbox" checked=${restart} onChange=${() => setRestart(!restart)} />Restart the miner afterwards; it stops hashing for about a minute</label>` : null}
      <div class="actions">
        <button class="button" onClick=${onCancel}>Cancel</button>
        <button class="button primary" autofocus onClick=${() => onWrite(restart)}>Write</button>
      </div>
    <//>
  `;
}
