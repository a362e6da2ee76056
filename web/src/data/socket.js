// The Socket.IO connection, and whether the service can be reached.
import { signal } from "@preact/signals";
import { io } from "socket.io-client";
import { resolvePath } from "./api.js";
import { readToken, requireSignIn } from "./session.js";

/** Whether live events arrive now. */
export const isConnected = signal(false);
/** Time (ms) of the loss of the connection, null while it is up or before the first one. */
export const lostAt = signal(/** @type {number | null} */ (null));

const url = new URL(resolvePath("socket/io"));

export const socket = io(url.origin, {
  path: url.pathname,
  auth: (send) => send(readToken() ? { token: readToken() } : {}),
  autoConnect: false,
  reconnectionDelay: 500,
  reconnectionDelayMax: 3000,
});

socket.on("connect", () => {
  isConnected.value = true;
  lostAt.value = null;
});

socket.on("disconnect", (reason) => {
  isConnected.value = false;
  lostAt.value ??= Date.now();
  // After a disconnect by the server, socket.io-client does not reconnect by itself.
  if (reason === "io server disconnect") setTimeout(() => socket.connect(), 1000);
});

socket.on("connect_error", (/** @type {Error & { data?: { status?: number } }} */ error) => {
  lostAt.value ??= Date.now();
  // The token is not valid any more. Each further attempt would count as a wrong one, until the service refuses the right one, too.
  if (error.data?.status === 401) requireSignIn();
  else if (!socket.active) setTimeout(() => socket.connect(), 3000);
});

/**
 * Call `handler` for each event of this name. Return the function that ends it.
 * @param {string} event
 * @param {(payload: any) => void} handler
 */
export function listen(event, handler) {
  socket.on(event, handler);
  return () => void socket.off(event, handler);
}

/**
 * Keep a subscription: `subscribe` is sent now and after each reconnection. Return the function that ends it.
 * @param {string} subscribe
 * @param {string} unsubscribe
 * @param {any} [payload]
 * @param {(acknowledgement?: any) => void} [onSubscribed] called after each time the service confirmed
 */
export function keepSubscription(subscribe, unsubscribe, payload = undefined, onSubscribed = () => {}) {
  const args = payload === undefined ? [] : [payload];
  const send = () => socket.emit(subscribe, ...args, onSubscribed);
  socket.on("connect", send);
  if (socket.connected) send();
  return () => {
    socket.off("connect", send);
    if (socket.connected) socket.emit(unsubscribe, ...args);
  };
}
