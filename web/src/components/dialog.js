// A modal dialog on the browser's own element: it traps the focus, and Escape closes it.
import { useEffect, useRef } from "preact/hooks";
import { html } from "../html.js";

/** @param {{ title: string, onClose: () => void, wide?: boolean, kind?: string, children?: any }} props `kind`: a further class; the title is hidden then */
export function Dialog({ title, onClose, wide, kind, children }) {
  const element = useRef(/** @type {HTMLDialogElement | null} */ (null));
  useEffect(() => {
    const opener = document.activeElement;
    element.current?.showModal();
    return () => /** @type {HTMLElement | null} */ (opener)?.focus?.();
  }, []);
  return html`
    <dialog class=${["dialog", wide && "wide", kind].filter(Boolean).join(" ")} ref=${element} aria-label=${title} 
      onClick=${(/** @type {Event} */ event) => event.target === element.current && kind && onClose()}
      onCancel=${(/** @type {Event} */ event) => { event.preventDefault(); onClose(); }}>
      <h2 class=${kind ? "visually-hidden" : ""}>${title}</h2>
      ${children}
    </dialog>
  `;
}
