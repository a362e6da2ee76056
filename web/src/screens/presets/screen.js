// Presets: named settings for many miners. The route's query says which one is open: `new`, `edit`, `copy`, or `apply`.
import { useEffect } from "preact/hooks";
import { html } from "../../html.js";
import { remove } from "../../data/api.js";
import { askOnce } from "../../data/confirm.js";
import { usePresets } from "../../data/presets.js";
import { navigate, route } from "../../data/router.js";
import { reportErrors } from "../../data/toasts.js";
import { countOf } from "../../data/words.js";
import { Empty } from "../../components/empty.js";
import { LoadState } from "../../components/load_state.js";
import { PresetCard } from "./preset_card.js";
import { PresetForm } from "./preset_form.js";

export function PresetsScreen() {
  const { data: presets, error, reload } = usePresets();
  const { edit, copy, apply, macs, new: isNew } = route.value.query;
  useEffect(() => {
    if (apply) location.replace(`#/jobs?${new URLSearchParams({ new: "apply-preset", preset: apply, ...(macs ? { macs } : {}) })}`);
  }, [apply]);
  if (!presets) return html`<div class="screen-head"><h1>Presets</h1></div><${LoadState} error=${error} onRetry=${reload} />`;

  const source = presets.find(({ uuid }) => uuid === (edit ?? copy));
  if (isNew || source) {
    const close = (/** @type {boolean} */ isSaved) => {
      if (isSaved) reload();
      navigate("presets");
    };
    return html`<${PresetForm} key=${`${edit}${copy}`} source=${source} isCopy=${Boolean(copy)} onClose=${close} />`;
  }
  const removePreset = async (/** @type {import("../../data/presets.js").Preset} */ preset) => {
    const used = preset.associatedDevices;
    const agreed = await askOnce({
      title: `Delete the preset “${preset.name}”?`,
      text: used ? `${countOf(used, "device")} will have no preset afterwards. Their settings stay as they are.` : "No device uses it.",
      action: "Delete",
    });
    if (agreed && (await reportErrors(() => remove(`presets/${preset.uuid}`), `Preset “${preset.name}” deleted.`))) reload();
  };
  return html`
    <div class="screen-head">
      <h1 class="grow">Presets</h1>
      ${presets.length > 0 && html`<button class="button primary" onClick=${() => navigate("presets", { new: "1" })}>New preset</button>`}
    </div>
    ${presets.length
      ? html`<ul class="cards">${presets.map((preset) => html`<${PresetCard} key=${preset.uuid} preset=${preset} onDelete=${() => removePreset(preset)} />`)}</ul>`
      : html`
          <${Empty} title="No presets yet">
            <p>A preset keeps settings such as pool, frequency and fan under a name. Apply it to many miners at once: the first miner is watched before the others follow.</p>
            <button class="button primary" onClick=${() => navigate("presets", { new: "1" })}>New preset</button>
          <//>`}
  `;
}
