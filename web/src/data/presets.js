// The presets of the service.
import { get } from "./api.js";
import { useLoad } from "./use_load.js";

/** @typedef {{ uuid: string, name: string, configuration: Record<string, any>, associatedDevices: number, createdAt?: string, updatedAt?: string }} Preset */

export const usePresets = () =>
  useLoad(() => get("presets").then(({ data }) => /** @type {Preset[]} */ (data).sort((a, b) => a.name.localeCompare(b.name, "en", { numeric: true }))));
