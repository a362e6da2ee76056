// The user's own name, tags and notes; the raw answer; and the end of the registration.
import { html } from "../../html.js";
import { IdentityForm } from "./identity_form.js";
import { RawAnswer } from "./raw_answer.js";
import { RemoveCard } from "./remove_card.js";

/** @param {{ device: any }} props */
export function DetailsTab({ device }) {
  return html`<div class="about-grid"><${IdentityForm} device=${device} key=${device.mac} /><${RemoveCard} device=${device} /></div><${RawAnswer} device=${device} />`;
}
