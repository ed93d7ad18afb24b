// Which conversation is shown, and under which policy: kept in the address, so that loading the page again, and Back, find it.

import { ServerError, address, call } from "./api.js";
import { Conversation } from "./conversation.js";
import { $, button, clearNotices, notify } from "./dom.js";
import { render, renderModels, state } from "./view.js";

const corpusDialogue = (id) => call("GET", address("corpus", "dialogues", id));

/** Ask which policies are served, and show what this server offers. */
export async function listModels() {
  const [models, health] = await Promise.all([call("GET", "models"), call("GET", "health")]);
  for (const id of ["replay-open", "save", "retrain", "try-with-corpus"]) $(id).hidden = !health.corpus;
  $("try-without-corpus").hidden = health.corpus;
  state.models = new Map(models.map((model) => [model.name, model]));
  const first = health.corpus ? (await call("GET", "corpus/dialogues?limit=1")).dialogues[0]?.first : "";
  $("try-say").value = first || "hello";
  $("try-say").textContent = `Say “${$("try-say").value}”`;
}

/** Bring the address up to date with the conversation. */
export function remember({ isNew = false } = {}) {
  const { chat } = state;
  const parts = new URLSearchParams();
  if (chat.id !== null) parts.set("session", chat.id);
  else if (chat.run) parts.set("run", chat.run);
  if (chat.gold) parts.set("dialogue", chat.gold.id);
  const hash = `#${parts}`;
  if (location.hash === hash) return;
  if (isNew) history.pushState(null, "", hash);
  else history.replaceState(null, "", hash);
}

/** Begin a conversation; the server hears of it with the first turn. `gold`: the corpus' dialogue to replay. */
export function begin(run, gold = null) {
  show(new Conversation(run, gold));
  remember({ isNew: true });
}

/** Begin to replay a dialogue of the corpus. */
export const beginReplay = async (run, id) => begin(run, await corpusDialogue(id));

function show(chat) {
  state.isPlaying = false;
  state.chat = chat;
  clearNotices();
  render();
  renderModels();
}

/** Show the conversation that the address names. */
export async function load() {
  const parts = new URLSearchParams(location.hash.slice(1));
  const [session, dialogue, run] = ["session", "dialogue", "run"].map((name) => parts.get(name));
  const usual = state.models.keys().next().value;
  try {
    const gold = dialogue ? await corpusDialogue(dialogue) : null;
    show(session ? await Conversation.find(session, gold) : new Conversation(state.models.has(run) ? run : usual, gold));
  } catch (error) {
    if (!(error instanceof ServerError)) throw error;
    show(new Conversation(usual));
    if (error.status === 404) {
      remember();
      notify("The conversation at this address is no longer on the server. This is a new one.", { isError: true });
    } else notify(error.message, { isError: true, actions: [button("Try again", () => location.reload())] });
  }
}
