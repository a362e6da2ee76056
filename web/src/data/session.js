// The API token. It stays in this tab and is sent in a header, never in a cookie or an address.
import { signal } from "@preact/signals";

const KEY = "token";

/** Whether the service asks for a token that we do not have. */
export const isSignInNeeded = signal(false);

/** @returns {string | null} */
export function readToken() {
  return sessionStorage.getItem(KEY);
}

/** @param {string} token */
export function saveToken(token) {
  sessionStorage.setItem(KEY, token);
  isSignInNeeded.value = false;
}

export function requireSignIn() {
  sessionStorage.removeItem(KEY);
  isSignInNeeded.value = true;
}
