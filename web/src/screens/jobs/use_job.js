// One job, kept current by `job_update`; while it runs it is also read again for the sentences of what it waits for.
import { useEffect } from "preact/hooks";
import { get } from "../../data/api.js";
import { listen } from "../../data/socket.js";
import { useLoad } from "../../data/use_load.js";
import { applyUpdates, isOver } from "./job_words.js";

const BATCH_MS = 250;
const SECONDS_PER_READ = 3;
const DEVICES_PER_SECOND = 200;
// A job of this many devices is read again at each update.
const FEW_DEVICES = 50;

/** @param {string} id */
export function useJob(id) {
  const loaded = useLoad(() => get(`jobs/${encodeURIComponent(id)}`).then(({ data }) => /** @type {import("./job_words.js").Job} */ (data)), [id]);
  const { data: job, reload, setData } = loaded;
  const size = job?.devices.length ?? 0;
  const isSmall = size <= FEW_DEVICES;
  useEffect(() => {
    /** @type {any[]} */
    let waiting = [];
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    let timer;
    const apply = () => {
      timer = undefined;
      const updates = waiting;
      waiting = [];
      setData((present) => present && applyUpdates(present, updates));
      if (isSmall) reload();
    };
    const end = listen("job_update", (update) => {
      if (update.id !== id) return;
      waiting.push(update);
      timer ??= setTimeout(apply, BATCH_MS);
    });
    return () => {
      end();
      clearTimeout(timer);
    };
  }, [id, isSmall, reload]);
  const isLive = job !== undefined && !isOver(job);
  const seconds = Math.max(SECONDS_PER_READ, size / DEVICES_PER_SECOND);
  useEffect(() => {
    if (!isLive) return undefined;
    const timer = setInterval(() => document.hidden || reload(), seconds * 1000);
    return () => {
      clearInterval(timer);
      reload();
    };
  }, [isLive, seconds, reload]);
  return loaded;
}
