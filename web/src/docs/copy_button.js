import { useState } from "preact/hooks";
import { html } from "../html.js";

/** @param {{ text: string }} props */
export function CopyButton({ text }) {
  const [label, setLabel] = useState("Copy");
  const copy = () => {
    const copied = navigator.clipboard?.writeText(text) ?? Promise.reject(new Error("plain HTTP"));
    copied.then(() => setLabel("Copied"), () => setLabel("Select the text to copy it"));
  };
  return html`<button class="button" onClick=${copy}>${label}</button>`;
}
