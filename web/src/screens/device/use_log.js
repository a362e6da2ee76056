// The live log of a device: what the service holds, then each new line. Lines are applied once per frame.
import { useEffect, useRef, useState } from "preact/hooks";
import { get } from "../../data/api.js";
import { keepSubscription, listen } from "../../data/socket.js";
import { appendLines } from "./log_lines.js";

const FIRST_LINES = 1000;

/** @param {string} mac @param {boolean} isPaused */
export function useLog(mac, isPaused) {
  const [lines, setLines] = useState(/** @type {import("./log_lines.js").Line[]} */ ([]));
  const [state, setState] = useState({ text: "", error: "" });
  const waiting = useRef(/** @type {any[]} */ ([]));
  const paused = useRef(isPaused);
  paused.current = isPaused;

  useEffect(() => {
    let frame = 0;
    let isLoaded = false;
    const flush = () => {
      frame = 0;
      if (paused.current || !isLoaded) return;
      const added = waiting.current;
      waiting.current = [];
      setLines((present) => appendLines(present, added));
    };
    const load = async (/** @type {any} */ acknowledgement) => {
      if (acknowledgement?.ok === false) {
        setState({ text: "", error: acknowledgement.error });
        return;
      }
      try {
        const { data } = await get(`devices/${mac}/logs`, { tail: FIRST_LINES });
        setLines((present) => appendLines(present, data.lines.map((/** @type {any} */ line) => ({ ...line, epoch: data.epoch }))));
        setState({ text: data.state + (data.reason ? `: ${data.reason}` : ""), error: "" });
        isLoaded = true;
        flush();
      } catch (failure) {
        setState({ text: "", error: /** @type {Error} */ (failure).message });
      }
    };
    const ends = [
      listen("log_line", (line) => {
        if (line.mac !== mac) return;
        waiting.current.push(line);
        if (waiting.current.length > 5000) waiting.current.splice(0, 2500);
        frame ||= requestAnimationFrame(flush);
      }),
      keepSubscription("subscribeLogs", "unsubscribeLogs", { mac }, load),
    ];
    return () => {
      ends.forEach((end) => end());
      cancelAnimationFrame(frame);
    };
  }, [mac]);

  useEffect(() => {
    if (isPaused || waiting.current.length === 0) return;
    const added = waiting.current;
    waiting.current = [];
    setLines((present) => appendLines(present, added));
  }, [isPaused]);
  return { lines, ...state, waitingCount: waiting.current.length };
}
