// The settings of a miner, built from its own options and limits: edit, review, write, see each result.
import { useState } from "preact/hooks";
import { html } from "../../html.js";
import { LoadState } from "../../components/load_state.js";
import { get, patch } from "../../data/api.js";
import { useLoad } from "../../data/use_load.js";
import { ChangeReview } from "./change_review.js";
import { SettingGroup } from "./setting_group.js";
import { checkText, joinDetails, listChanges } from "./settings_values.js";
import { WriteResults } from "./write_results_list.js";

const GROUPS = /** @type {[string, string][]} */ ([
  ["performance", "Performance"],
  ["cooling", "Cooling"],
  ["pool", "Pool"],
  ["fallbackPool", "Fallback pool"],
  ["display", "Display"],
  ["network", "Network"],
  ["other", "Other"],
]);

/** @param {{ mac: string }} props */
export function SettingsTab({ mac }) {
  const { data, error, reload } = useLoad((signal) => get(`devices/${mac}/settings`, {}, signal), [mac]);
  const [texts, setTexts] = useState(/** @type {Record<string, string>} */ ({}));
  const [isReviewed, setReviewed] = useState(false);
  const [isBusy, setBusy] = useState(false);
  const [isOverclocked, setOverclocked] = useState(false);
  const [answer, setAnswer] = useState(/** @type {any} */ (null));
  /** Why the service refused the last write: its sentence, and the problems by key. */
  const [refusal, setRefusal] = useState({ message: "", details: /** @type {Record<string, any>} */ ({}) });
  if (!data) return html`<${LoadState} error=${error} onRetry=${reload} />`;
  const { data: settings, overclock } = data;
  if (settings.length === 0) return html`<p class="soft">The settings are known after the first answer of the miner.</p>`;
  const limitsOf = (/** @type {string} */ key) => (isOverclocked ? overclock[key] : null);
  const changes = listChanges(settings, texts);
  const checked = changes.map(({ setting }) => [setting.key, checkText(setting, texts[setting.key], limitsOf(setting.key))]);
  const problems = Object.fromEntries(checked.filter(([, problem]) => problem));
  const hasProblems = Object.keys(problems).length > 0;
  const edit = (/** @type {string} */ key, /** @type {string} */ text) => {
    setTexts({ ...texts, [key]: text });
    setRefusal({ message: "", details: { ...refusal.details, [key]: undefined } });
  };
  const write = async (/** @type {boolean} */ restart) => {
    setReviewed(false);
    const info = Object.fromEntries(changes.map(({ setting, after }) => [setting.key, after]));
    setBusy(true);
    try {
      setAnswer(await patch(`devices/${mac}/system`, { info, restart, ...(isOverclocked ? { allowOverclock: true } : {}) }));
      setTexts({});
      setRefusal({ message: "", details: {} });
      reload();
    } catch (error) {
      const { message, details } = /** @type {any} */ (error);
      setRefusal({ message, details: details ?? {} });
    }
    setBusy(false);
  };
  const discard = () => {
    setTexts({});
    setRefusal({ message: "", details: {} });
  };
  const review = (/** @type {Event} */ event) => {
    event.preventDefault();
    if (changes.length && !hasProblems) setReviewed(true);
  };
  return html`
    <form class="stack" onSubmit=${review} novalidate>
      ${answer ? html`<${WriteResults} answer=${answer} onClose=${() => setAnswer(null)} />` : null}
      ${overclock.unlocked
        ? html`<label class="check"><input type="checkbox" checked=${isOverclocked} onChange=${() => setOverclocked(!isOverclocked)} />Allow values beyond the vendor's options (overclocking is unlocked on this miner; more heat and wear)</label>`
        : null}
      ${GROUPS.map(([group, title]) => {
        const members = settings.filter((/** @type {any} */ setting) => setting.group === group);
        return members.length
          ? html`<${SettingGroup} key=${group} title=${title} settings=${members} texts=${texts} problems=${{ ...joinDetails(refusal.details), ...problems }} limitsOf=${limitsOf} onChange=${edit} />`
          : null;
      })}
      <div class="save-bar">
        ${refusal.message
          ? html`<span class="is-bad" role="alert">${refusal.message}</span>`
          : html`<span class="soft number">${isBusy ? "Writing …" : changes.length ? `${changes.length} changed` : "No changes"}</span>`}
        <button type="button" class="button" disabled=${!changes.length} onClick=${discard}>Discard</button>
        <button class="button primary" disabled=${!changes.length || hasProblems || isBusy}>Review changes</button>
      </div>
    </form>
    ${isReviewed ? html`<${ChangeReview} changes=${changes} onCancel=${() => setReviewed(false)} onWrite=${write} />` : null}
  `;
}
