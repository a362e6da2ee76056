// After a refusal, the focus goes to the first field that the service objects to, else to the element with the sentence.
import { useEffect, useRef } from "preact/hooks";

/** @param {any} error @returns {import("preact").RefObject<HTMLElement | null>} the element that shows the sentence (with tabindex -1) */
export function useErrorFocus(error) {
  const element = useRef(/** @type {HTMLElement | null} */ (null));
  useEffect(() => {
    if (error) (/** @type {HTMLElement | null} */ (document.querySelector("[aria-invalid='true']")) ?? element.current)?.focus();
  }, [error]);
  return element;
}
