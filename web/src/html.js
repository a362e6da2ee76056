// Preact with htm in place of JSX. Values are always inserted as text.
import { h } from "preact";
import htm from "htm";

export const html = htm.bind(h);
