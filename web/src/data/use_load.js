// Data that a screen loads: at its start, at each change of `inputs`, and after each reconnection.
import { useCallback, useEffect, useState } from "preact/hooks";
import { isConnected } from "./socket.js";

/**
 * @template T
 * @param {(signal: AbortSignal) => Promise<T>} load
 * @param {any[]} [inputs]
 * @returns {{ data: T | undefined, error: Error | undefined, reload: () => Promise<void>, setData: (change: (present: T | undefined) => T | undefined) => void }}
 */
export function useLoad(load, inputs = []) {
  const [data, setData] = useState(/** @type {T | undefined} */ (undefined));
  const [error, setError] = useState(/** @type {Error | undefined} */ (undefined));
  const run = useCallback(async (/** @type {AbortSignal} */ signal) => {
    try {
      const loaded = await load(signal);
      if (signal.aborted) return;
      setData(() => loaded);
      setError(undefined);
    } catch (failure) {
      if (!signal.aborted) setError(/** @type {Error} */ (failure));
    }
  }, inputs);
  const connected = isConnected.value;
  useEffect(() => {
    const controller = new AbortController();
    run(controller.signal);
    return () => controller.abort();
  }, [run, connected]);
  const reload = useCallback(() => run(new AbortController().signal), [run]);
  return { data, error, reload, setData };
}
