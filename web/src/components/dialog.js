// A modal dialog on the browser's own element: it traps the focus, and Escape closes it.
import { useEffect, useRef } from "preact/hooks";
import { html } from "../html.js";

/** @param {{ title: string, onClose: () => void, wide?: boolean, children?: any }} props */
export function Dialog({ title, onClose, wide, children }) {
  const element = useRef(/** @type {HTMLDialogElement | null} */ (null));
  useEffect(() => {
    const opener = document.activeElement;
    element.current?.showModal();
    return () => /** @type {HTMLElement | null} */ (opener)?.focus?.();
  }, []);
  return html`
    <dialog class=${wide ? "dialog wide" : "dialog"} ref=${element} aria-label=${title} onCancel=${(/** @type {Event} */ event) => { event.preventDefault(); onClose(); }}>
      <h2>${title}</h2>
      ${children}
    </dialog>
  `;
}
