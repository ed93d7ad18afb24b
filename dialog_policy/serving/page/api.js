// The server's API: every request, the token, and what went wrong in plain words.

import { $, opened } from "./dom.js";

const PATIENCE_MS = 30_000;
const TOKEN = "dialog-policy.token";

/** What the server refused (`status` from 400), or that it cannot be reached (0). */
export class ServerError extends Error {
  constructor(status, message, { isPassing = status === 0 || status === 401 || status >= 500 } = {}) {
    super(message);
    this.status = status;
    /** Whether the same request may succeed later. */
    this.isPassing = isPassing;
  }
}

export const address = (...parts) => parts.map(encodeURIComponent).join("/");

/** A key that no other turn has; crypto.randomUUID would need HTTPS. */
export const newKey = () => Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");

/** Send a request; resolves to the decoded answer, null where there is none. Asks for the token as long as the server wants one. */
export async function call(method, path, body, headers = {}) {
  for (;;) {
    const response = await send(method, path, body, headers);
    if (response.status === 401) {
      await askToken(sessionStorage.getItem(TOKEN) !== null);
      continue;
    }
    const text = await response.text().catch(() => "");
    if (!response.ok) {
      const isPassing = response.status >= 500 || response.status === 429 || response.headers.has("Retry-After");
      throw new ServerError(response.status, refusal(response, text), { isPassing });
    }
    try {
      return text ? JSON.parse(text) : null;
    } catch {
      throw new ServerError(502, "What answered is not the policy's server (expected JSON). Is there a proxy in between?");
    }
  }
}

async function send(method, path, body, headers) {
  const token = sessionStorage.getItem(TOKEN);
  const all = { ...headers };
  if (token) all.Authorization = `Bearer ${token}`;
  if (body !== undefined) all["Content-Type"] = "application/json";
  try {
    return await fetch(new URL(path, document.baseURI), {
      method,
      headers: all,
      body: body === undefined ? undefined : JSON.stringify(body),
      cache: "no-store",
      signal: AbortSignal.timeout(PATIENCE_MS),
    });
  } catch (error) {
    const why = error.name === "TimeoutError" ? `has not answered for ${PATIENCE_MS / 1000} seconds` : "cannot be reached";
    throw new ServerError(0, `The server ${why}. Is it still running?`);
  }
}

let asking = null;

/** Ask for the token once, however many requests wait for it. */
function askToken(wasWrong) {
  asking ??= (async () => {
    $("token-wrong").hidden = !wasWrong;
    $("token-input").value = "";
    const choice = await opened($("token"));
    const token = $("token-input").value.trim();
    $("token-input").value = "";
    if (choice !== "yes" || !token) throw new ServerError(401, "The server wants a token, and none was given.");
    // HTTP headers carry visible ASCII only.
    if (!/^[\x21-\x7e]+$/.test(token)) throw new ServerError(401, "A token has no spaces and no letters beyond ASCII.");
    sessionStorage.setItem(TOKEN, token);
  })().finally(() => {
    asking = null;
  });
  return asking;
}

function refusal(response, text) {
  const words = detail(text);
  const seconds = Number(response.headers.get("Retry-After"));
  switch (response.status) {
    case 409:
      return words || "This conversation was changed elsewhere at the same time.";
    case 413:
      return words || "This is longer than the server accepts.";
    case 429:
      return `Too many requests${seconds ? `: try again in ${seconds} seconds` : ""}.`;
    default:
      if (response.status >= 500) return `The server has trouble (${response.status})${words ? `: ${words}` : ""}.`;
      return words || `The server refused this (${response.status}).`;
  }
}

/** The server's own words, or those of a proxy before it. */
function detail(text) {
  try {
    const { error, message } = JSON.parse(text);
    return [error, message].find((words) => typeof words === "string") ?? "";
  } catch {
    return "";
  }
}
