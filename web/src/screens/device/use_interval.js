import { useEffect, useRef } from "preact/hooks";

/** Call the latest `run` at this interval while the component is shown and the page is visible. @param {() => void} run @param {number} milliseconds */
export function useInterval(run, milliseconds) {
  const latest = useRef(run);
  latest.current = run;
  useEffect(() => {
    const timer = setInterval(() => document.hidden || latest.current(), milliseconds);
    return () => clearInterval(timer);
  }, [milliseconds]);
}
