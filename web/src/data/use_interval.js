import { useEffect, useRef } from "preact/hooks";

/** Call the latest `run` at this interval while the component is shown. @param {() => void} run @param {number} milliseconds */
export function useInterval(run, milliseconds) {
  const latest = useRef(run);
  latest.current = run;
  useEffect(() => {
    const timer = setInterval(() => latest.current(), milliseconds);
    return () => clearInterval(timer);
  }, [milliseconds]);
}
