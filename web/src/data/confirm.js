// The question that is asked once before anything that can hurt a miner.
import { signal } from "@preact/signals";

/** @typedef {{ title: string, text: string, action: string, resolve: (agreed: boolean) => void }} Question */

export const question = signal(/** @type {Question | null} */ (null));

/** @param {{ title: string, text: string, action: string }} asked @returns {Promise<boolean>} */
export function askOnce(asked) {
  return new Promise((resolve) => {
    question.value = {
      ...asked,
      resolve: (agreed) => {
        question.value = null;
        resolve(agreed);
      },
    };
  });
}
