// The live log of a device: what the service holds, then each new line. Lines are applied once per frame.
import { useEffect, useRef, useState } from "preact/hooks";
import { get } from "../../data/api.js";
import { keepSubscription, listen } from "../../data/socket.js";
import { appendLines } from "./log_lines.js";
import { useInterval } from "../../data/use_interval.js";

const FIRST_LINES = 1000;
const STATE_MS = 5000;
/** State of the stream in words. @type {Record<string, string>} */
const STATES = { idle: "not followed", connecting: "connecting to the miner", streaming: "live", waiting: "waiting for the miner", refused: "the miner refuses its log" };

/** @param {string} mac @param {boolean} isPaused */
export function useLog(mac, isPaused) {
  const [lines, setLines] = useState(/** @type {import("./log_lines.js").Line[]} */ ([]));
  const [state, setState] = useState({ text: "", error: "" });
  const waiting = useRef(/** @type {any[]} */ ([]));
  const [waitingCount, setWaitingCount] = useState(0);
  const paused = useRef(isPaused);
  paused.current = isPaused;
  const applyWaiting = () => {
    const added = waiting.current;
    waiting.current = [];
    setLines((present) => appendLines(present, added));
  };

  useEffect(() => {
    let frame = 0;
    let isLoaded = false;
    const flush = () => {
      frame = 0;
      const isWaiting = paused.current || !isLoaded;
      setWaitingCount(isWaiting ? waiting.current.length : 0);
      if (!isWaiting) applyWaiting();
    };
    const load = async (/** @type {any} */ acknowledgement) => {
      if (acknowledgement?.ok === false) {
        setState({ text: "", error: acknowledgement.error });
        return;
      }
      try {
        const { data } = await get(`devices/${mac}/logs`, { tail: FIRST_LINES });
        setLines((present) => appendLines(present, data.lines.map((/** @type {any} */ line) => ({ ...line, epoch: data.epoch }))));
        setState(describeState(data));
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

  // The state of the stream is not among the events.
  useInterval(() => {
    if (!document.hidden) get(`devices/${mac}/logs`, { tail: 1 }).then(({ data }) => setState(describeState(data)), () => {});
  }, STATE_MS);

  useEffect(() => {
    if (!isPaused && waiting.current.length > 0) applyWaiting();
  }, [isPaused]);
  return { lines, ...state, waitingCount };
}

/** @param {{ state: string, reason?: string }} log */
const describeState = ({ state, reason }) => ({ text: (STATES[state] ?? state) + (reason ? `: ${reason}` : ""), error: "" });
