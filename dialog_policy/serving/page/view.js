// What is shown follows from the conversation: `render` brings the page up to date with it.

import { Conversation } from "./conversation.js";
import { $, announce, button, counted, el, percent } from "./dom.js";
import { isOver, score } from "./replay.js";
import { agrees, turnItem } from "./turn.js";

export const state = { models: new Map(), chat: new Conversation(null), isPlaying: false };

/** What the buttons of turns do: correct(n), undo(n), reuse(context), retry(), change(). Set when the page starts. */
export const acts = {};

/** The actions of the conversation's policy. */
export const known = () => new Set(state.models.get(state.chat.run)?.actions ?? []);

export function render() {
  const { chat, isPlaying } = state;
  renderTurns(chat);
  renderPending(chat);
  $("empty").hidden = chat.turns.length > 0 || chat.pending !== null;
  for (const id of ["download", "save"]) disable(id, !chat.turns.length);
  disable("delete", chat.id === null);
  // A turn that got no answer comes first.
  for (const id of ["send", "silent"]) disable(id, chat.isBusy || chat.isGone || chat.pending !== null);
  document.querySelector("main").setAttribute("aria-busy", String(chat.isBusy || isPlaying));
  $("replay").hidden = !chat.gold;
  $("composer").hidden = Boolean(chat.gold);
  if (chat.gold) renderReplay(chat, isPlaying);
}

/** Unlike `disabled`, this keeps the focus where it is, and the button can be found. */
function disable(id, isDisabled) {
  if (isDisabled) $(id).setAttribute("aria-disabled", "true");
  else $(id).removeAttribute("aria-disabled");
}

export const isOff = (id) => $(id).getAttribute("aria-disabled") === "true";

/** Only items that changed are made again, so that an open form, a fold and the focus survive. */
function renderTurns(chat) {
  const list = $("turns");
  const actions = known();
  chat.turns.forEach((turn, n) => {
    const view = { turn, reply: chat.replies[n], gold: chat.gold?.turns[n], isLast: n === chat.turns.length - 1 };
    const key = JSON.stringify([chat.id, view, [...actions]]);
    const old = list.children[n];
    if (old?.key === key) return;
    const fresh = Object.assign(turnItem({ ...view, known: actions }, acts), { key });
    if (old) old.replaceWith(fresh);
    else list.append(fresh);
  });
  while (list.children.length > chat.turns.length) list.lastElementChild.remove();
}

function renderPending({ pending, gold }) {
  const place = $("pending");
  const key = JSON.stringify([pending, pending?.failed?.message, Boolean(gold)]);
  if (place.key === key) return;
  place.key = key;
  if (!pending) return place.replaceChildren();
  const said = el(
    "div",
    { class: "bubble user" },
    el("span", { class: "only-heard", text: "User: " }),
    el("p", { dir: "auto", class: pending.user ? null : "unsaid", text: pending.user || "Nobody spoke." }),
  );
  const { failed } = pending;
  if (!failed) return place.replaceChildren(said, el("p", { class: "hint", text: "The policy is asked …" }));
  const buttons = el(
    "div",
    { class: "buttons" },
    failed.isPassing && button("Try again", acts.retry, { class: "main" }),
    !gold && button("Change it", acts.change),
  );
  const message = el("p", { text: `${failed.message} This turn got no answer.`, dir: "auto" });
  place.replaceChildren(said, el("div", { class: "notice error", role: "alert" }, message, buttons));
}

function renderReplay(chat, isPlaying) {
  const { right, counted: n } = score(chat);
  const next = chat.gold.turns[chat.turns.length];
  $("replay-name").textContent = chat.gold.id;
  $("replay-score").textContent = `turn ${chat.turns.length} of ${chat.gold.turns.length}${n ? `, ${right} of ${n} as in the corpus` : ""}`;
  $("replay-next").textContent = next ? next.user || "(nobody speaks)" : "That was the last turn.";
  $("replay-all").textContent = isPlaying ? "Stop" : "Play all";
  disable("replay-step", chat.isBusy || isPlaying || chat.isGone || isOver(chat));
  disable("replay-all", !isPlaying && (chat.isGone || isOver(chat)));
}

export function renderModels() {
  const { models, chat } = state;
  $("run").replaceChildren(...[...models.keys()].map((name) => el("option", { value: name, text: name })));
  $("run").value = chat.run ?? "";
  const model = models.get(chat.run);
  const facts = model ? described(model) : {};
  $("facts").replaceChildren(
    ...Object.entries(facts).flatMap(([name, value]) => [el("dt", { text: name }), el("dd", { text: value, dir: "auto" })]),
  );
}

function described({ corpus, created, actions, metrics, policy }) {
  const { dev_turn_accuracy: dev, turn_accuracy: turns, micro_f1: micro, of } = metrics;
  const found = { "Trained on": `${corpus.name}${corpus.train ? `, ${counted(corpus.train.dialogues, "dialogue")}` : ""}` };
  found["Trained at"] = new Date(created).toLocaleString();
  found.Actions = String(actions.length);
  if (dev !== undefined) found["Turns right on the dev part"] = percent(dev);
  if (turns !== undefined) found[`Turns right on ${of.corpus}, ${of.split}`] = percent(turns);
  if (micro !== undefined) found[`Micro F1 on ${of.corpus}, ${of.split}`] = micro.toFixed(3);
  found.Identity = policy.slice(0, 16);
  return found;
}

/** Go to the newest turn, and tell those who listen. */
export function tellLast() {
  const { chat } = state;
  const turn = chat.turns.at(-1);
  $("turns").lastElementChild.scrollIntoView({ block: "end" });
  const same = agrees(turn.predicted, chat.gold?.turns[turn.turn]);
  const did = turn.predicted.map((name) => `${name} ${percent(turn.probabilities[name] ?? 0)}`).join(", ") || "no action";
  const verdict = same === null ? "" : same ? "As in the corpus. " : "Not as in the corpus. ";
  announce(`${verdict}Bot: ${chat.replies[turn.turn] ?? "no text"} Actions: ${did}.`);
}

/** Make the message box as high as its text. */
export function grow() {
  const field = $("message");
  field.style.height = "auto";
  field.style.height = `${field.scrollHeight + field.offsetHeight - field.clientHeight}px`;
}
