// Requests to the service's REST API.
import { readToken, requireSignIn } from "./session.js";

/** The service refused a request or cannot be reached; `message` is its own sentence. `status` 0: unreachable. */
export class ApiError extends Error {
  /**
   * @param {number} status
   * @param {string} message
   * @param {any} [details]
   */
  constructor(status, message, details) {
    super(message);
    this.status = status;
    this.details = details;
  }
}

/** Return the address of a path, also behind a proxy that serves the page below a prefix. @param {string} path */
export function resolvePath(path) {
  return new URL(path.replace(/^\//, ""), document.baseURI.split("#")[0]).href;
}

/**
 * Send a request and return the parsed answer (`{message, data, ...}`). Raises ApiError.
 * @param {string} method
 * @param {string} path
 * @param {{ body?: any, query?: Record<string, any>, headers?: Record<string, string>, signal?: AbortSignal, token?: string | null }} [options]
 * @returns {Promise<any>}
 */
export async function request(method, path, options = {}) {
  const response = await send(method, path, options);
  const isJson = (response.headers.get("Content-Type") ?? "").includes("json");
  const answer = isJson ? await response.json() : null;
  if (response.ok) return answer;
  if (response.status === 401 && isTokenMissing(response)) requireSignIn();
  throw new ApiError(response.status, answer?.message ?? `The service answered ${response.status}.`, answer?.details);
}

/** Return whether the service itself asks for a token; a miner's 401 that it passes on has no such header. @param {Response} response */
const isTokenMissing = (response) => (response.headers.get("WWW-Authenticate") ?? "").startsWith("Bearer");

/** Download a path as a file with the name that the service gives it. @param {string} path */
export async function download(path) {
  const response = await send("GET", path, {});
  if (!response.ok) throw new ApiError(response.status, (await response.json()).message);
  const name = /filename="([^"]+)"/.exec(response.headers.get("Content-Disposition") ?? "")?.[1] ?? "pluto.txt";
  const link = document.createElement("a");
  link.href = URL.createObjectURL(await response.blob());
  link.download = name;
  link.click();
  URL.revokeObjectURL(link.href);
}

/**
 * @param {string} method
 * @param {string} path
 * @param {{ body?: any, query?: Record<string, any>, headers?: Record<string, string>, signal?: AbortSignal, token?: string | null }} options
 */
async function send(method, path, { body, query, headers, signal, token = readToken() }) {
  const url = new URL(resolvePath(path));
  for (const [name, value] of Object.entries(query ?? {})) {
    if (value !== undefined && value !== null && value !== "") url.searchParams.set(name, String(value));
  }
  try {
    return await fetch(url, {
      method,
      signal,
      headers: {
        ...headers,
        ...(body === undefined ? {} : { "Content-Type": "application/json" }),
        ...(token ? { Authorization: `Bearer ${token}` } : {}),
      },
      body: body === undefined ? undefined : JSON.stringify(body),
    });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new ApiError(0, "The service cannot be reached.");
  }
}

/** @param {string} path @param {Record<string, any>} [query] @param {AbortSignal} [signal] @param {string} [token] */
export const get = (path, query, signal, token) => request("GET", path, { query, signal, token });
/** @param {string} path @param {any} [body] */
export const post = (path, body) => request("POST", path, { body });
/** @param {string} path @param {any} [body] */
export const put = (path, body) => request("PUT", path, { body });
/** @param {string} path @param {any} [body] */
export const patch = (path, body) => request("PATCH", path, { body });
/** @param {string} path */
export const remove = (path) => request("DELETE", path);
