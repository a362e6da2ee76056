// A new job: what to do, on which devices, how carefully; then the plan.
import { useState } from "preact/hooks";
import { html } from "../../html.js";
import { post } from "../../data/api.js";
import { errorsBelow } from "../../data/field_errors.js";
import { usePresets } from "../../data/presets.js";
import { JOB_GROUPS, readValues } from "../../data/settings_table.js";
import { countOf } from "../../data/words.js";
import { SettingFields } from "../../components/setting_fields.js";
import { useErrorFocus } from "../../components/use_error_focus.js";
import { ActionPicker } from "./action_picker.js";
import { DevicePicker } from "./device_picker.js";
import { NO_FILTER } from "./device_filter.js";
import { defaultOptions, readOptions } from "./job_options.js";
import { ACTIONS } from "./job_words.js";
import { OptionsForm } from "./options_form.js";
import { PlanReview } from "./plan_review.js";
import { PresetChoice } from "./preset_choice.js";

/** @param {{ query: Record<string, string> }} props */
export function NewJob({ query }) {
  const [action, setAction] = useState(query.new in ACTIONS ? query.new : "apply-preset");
  const [preset, setPreset] = useState(query.preset ?? "");
  const [texts, setTexts] = useState(/** @type {Record<string, string>} */ ({}));
  const [macs, setMacs] = useState(/** @type {string[]} */ (query.macs ? query.macs.split(",") : []));
  const [options, setOptions] = useState(/** @type {Record<string, any> | null} */ (null));
  const [plan, setPlan] = useState(/** @type {any} */ (null));
  const [error, setError] = useState(/** @type {any} */ (null));
  const [busy, setBusy] = useState(false);
  const alert = useErrorFocus(error);
  const { data: presets } = usePresets();
  const chosen = options ?? defaultOptions(action);
  const missing = !macs.length ? "Select at least one device." : action === "apply-preset" && !preset ? "Choose a preset." : action === "settings" && !Object.keys(readValues(texts)).length ? "Fill in at least one setting." : "";

  const review = async (/** @type {string[]} */ devices) => {
    setBusy(true);
    setError(null);
    const body = { action, devices, ...(action === "apply-preset" ? { presetUuid: preset } : {}), ...(action === "settings" ? { settings: readValues(texts) } : {}), ...readOptions(chosen, action) };
    try {
      setPlan({ body, job: (await post("jobs", { ...body, dryRun: true })).data });
    } catch (failure) {
      setError(failure);
      setPlan(null);
    }
    setBusy(false);
  };

  if (plan) {
    const makeCanary = (/** @type {string} */ mac) => review([mac, ...plan.body.devices.filter((/** @type {string} */ each) => each !== mac)]);
    return html`<${PlanReview} plan=${plan} presets=${presets ?? []} onBack=${() => setPlan(null)} onCanary=${makeCanary} />`;
  }
  const details = Object.entries(error?.details ?? {}).filter(([name]) => !name.startsWith("settings."));
  return html`
    <div class="screen-head"><h1>New job</h1></div>
    <form class="contents" novalidate onSubmit=${(/** @type {Event} */ event) => { event.preventDefault(); if (!missing) review(macs); }}>
    <section class="card"><header><h2>What to do</h2></header>
      <${ActionPicker} value=${action} onChange=${(/** @type {string} */ next) => { setAction(next); setOptions(null); }} />
    </section>
    ${action === "apply-preset" && html`<section class="card"><header><h2>Preset</h2></header><${PresetChoice} presets=${presets} value=${preset} onChange=${setPreset} /></section>`}
    ${action === "settings" && html`
      <section class="card stack"><h2>Settings</h2><p class="soft small">An empty field leaves that setting as it is.</p>
        <${SettingFields} groups=${JOB_GROUPS} texts=${texts} errors=${errorsBelow(error?.details, "settings")} onChange=${(/** @type {string} */ key, /** @type {string} */ text) => setTexts((present) => ({ ...present, [key]: text }))} />
      </section>`}
    <section class="card"><header><h2>Devices</h2></header>
      <${DevicePicker} presets=${presets ?? []} macs=${macs} filter=${{ ...NO_FILTER, tag: query.tag ?? "", status: query.status ?? "", model: query.model ?? "" }} onChange=${setMacs} />
    </section>
    <section class="card"><header><h2>How carefully</h2></header><${OptionsForm} action=${action} options=${chosen} onChange=${setOptions} /></section>
    ${error && html`<div class="is-bad" role="alert" tabindex="-1" ref=${alert}><p>${error.message}</p>${details.map(([name, problems]) => html`<p key=${name} class="small">${name}: ${[problems].flat().slice(0, 5).join(" ")}</p>`)}</div>`}
    <div class="sticky-actions">
      <span class="grow"><strong class="number">${countOf(macs.length, "device")}</strong> <span class="soft small">${missing}</span></span>
      <a class="button" href="#/jobs">Cancel</a>
      <button class="button primary" disabled=${busy || Boolean(missing)}>${busy ? "Planning …" : "Review the plan"}</button>
    </div>
    </form>
  `;
}
