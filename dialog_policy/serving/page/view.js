// What is shown follows from the conversation: `render` brings the page up to date with it.

import { Conversation } from "./conversation.js";
import { $, announce, button, counted, el, notify, percent } from "./dom.js";
import { isOver, score } from "./replay.js";
import { agrees, turnItem } from "./turn.js";

const HINT = "Enter sends, Shift and Enter begin a new line. “Say nothing” makes a turn without a user, for example after a database lookup.";

export const state = { models: new Map(), chat: new Conversation(null), isPlaying: false };

/** What the buttons of turns do: correct(n), undo(n), reuse(context), retry(), change(). Set when the page starts. */
export const acts = {};

/** The actions of the conversation's policy. */
export const known = () => new Set(state.models.get(state.chat.run)?.actions ?? []);

export function render() {
  const { chat, isPlaying } = state;
  renderTurns(chat);
  markScrolling();
  renderPending(chat);
  $("empty").hidden = chat.turns.length > 0 || chat.pending !== null;
  const isEmpty = chat.turns.length ? null : "This conversation has no turns yet. Say something first.";
  for (const id of ["download", "save"]) disable(id, isEmpty);
  disable("delete", chat.id === null ? "The server does not have this conversation yet. It begins with the first turn." : null);
  const reason = whyNoTurn(chat);
  for (const id of ["send", "silent"]) disable(id, reason);
  // What passes in a moment would only flicker here.
  const isLasting = chat.isGone || Boolean(chat.pending?.failed);
  $("message-hint").textContent = isLasting ? reason : HINT;
  $("message-hint").classList.toggle("bad", isLasting);
  document.querySelector("main").setAttribute("aria-busy", String(chat.isBusy || isPlaying));
  $("replay").hidden = !chat.gold;
  $("composer").hidden = Boolean(chat.gold);
  if (chat.gold) renderReplay(chat, isPlaying);
}

/** Why no turn can be sent now; null where one can. */
function whyNoTurn(chat) {
  if (chat.isGone) return "The server no longer has this conversation. Begin a new one to send a turn.";
  if (chat.pending?.failed) return "The turn above got no answer. Try it again or change it before you send another one.";
  if (chat.pending || chat.isBusy) return "The policy is answering. You can send the next turn in a moment.";
  return null;
}

/** Disable a button for a reason; null enables it. Unlike `disabled`, this keeps the focus where it is, and the button can be found. */
function disable(id, reason) {
  if (reason) $(id).setAttribute("aria-disabled", "true");
  else $(id).removeAttribute("aria-disabled");
  $(id).title = reason ?? "";
}

export const isOff = (id) => $(id).getAttribute("aria-disabled") === "true";

/** Say why a button that was pressed is disabled. */
export const explain = (id) => notify($(id).title);

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
  const bubble = el(
    "div",
    { class: "bubble user" },
    el("span", { class: "only-heard", text: "User: " }),
    el("p", { dir: "auto", class: pending.user ? null : "unsaid", text: pending.user || "Nobody spoke." }),
  );
  const { failed } = pending;
  if (!failed) return place.replaceChildren(bubble, el("p", { class: "hint", text: "The policy is answering …" }));
  const buttons = el(
    "div",
    { class: "buttons" },
    failed.isPassing && button("Try again", acts.retry, { class: "main" }),
    !gold && button("Change it", acts.change),
  );
  const message = el("p", { text: `${failed.message} This turn got no answer.`, dir: "auto" });
  place.replaceChildren(bubble, el("div", { class: "notice error", role: "alert" }, message, buttons));
}

function renderReplay(chat, isPlaying) {
  const { right, counted: n } = score(chat);
  const next = chat.gold.turns[chat.turns.length];
  $("replay-name").textContent = chat.gold.id;
  $("replay-score").textContent = `turn ${chat.turns.length} of ${chat.gold.turns.length}${n ? `, ${right} of ${n} as in the corpus` : ""}`;
  $("replay-next").textContent = next ? next.user || "(nobody speaks)" : "That was the last turn.";
  $("replay-all").textContent = isPlaying ? "Stop" : "Play all";
  const over = chat.isGone ? whyNoTurn(chat) : isOver(chat) ? "That was the last turn of this dialogue." : null;
  disable("replay-step", over ?? (isPlaying ? "The dialogue is being played. Press Stop first." : chat.isBusy ? whyNoTurn(chat) : null));
  disable("replay-all", isPlaying ? null : over);
}

export function renderModels() {
  const { models, chat } = state;
  $("run").replaceChildren(...[...models.keys()].map((name) => el("option", { value: name, text: name })));
  $("run").value = chat.run ?? "";
  const model = models.get(chat.run);
  const facts = model ? described(model) : {};
  $("run-facts").textContent = model ? `Trained on ${day(model.created)} with dialog-policy ${model.package_version}.` : "";
  $("facts").replaceChildren(
    ...Object.entries(facts).flatMap(([name, value]) => [el("dt", { text: name }), el("dd", { text: value, dir: "auto" })]),
  );
}

const day = (created) => new Date(created).toLocaleDateString(undefined, { dateStyle: "medium" });

function described({ name, corpus, created, package_version: version, actions, metrics, policy }) {
  const { dev_turn_accuracy: dev, turn_accuracy: turns, micro_f1: micro, of } = metrics;
  const facts = { Run: name };
  facts["Trained on"] = `${corpus.name}${corpus.train ? `, ${counted(corpus.train.dialogues, "dialogue")}` : ""}`;
  facts["Trained at"] = new Date(created).toLocaleString();
  facts["Trained with"] = `dialog-policy ${version}`;
  facts.Actions = String(actions.length);
  if (dev !== undefined) facts["Turn accuracy, validation part"] = percent(dev);
  if (turns !== undefined) facts[`Turn accuracy, ${of.corpus}, ${of.split}`] = percent(turns);
  if (micro !== undefined) facts[`Micro F1, ${of.corpus}, ${of.split}`] = micro.toFixed(3);
  facts["Policy id"] = policy.slice(0, 16);
  return facts;
}

/** Let the keyboard scroll the tables that are wider than the page. */
export function markScrolling() {
  for (const place of document.querySelectorAll(".scroll")) {
    if (place.scrollWidth > place.clientWidth) place.setAttribute("tabindex", "0");
    else place.removeAttribute("tabindex");
  }
}

/** Keep what gets the focus, and the newest turn, clear of the parts that stick to the edges. */
export function clearEdges() {
  const header = document.querySelector("header");
  const isSticky = getComputedStyle(header).position === "sticky";
  const top = isSticky ? header.offsetHeight : $("menu").offsetTop + $("menu").offsetHeight;
  document.documentElement.style.scrollPadding = `${top + 8}px 0 ${$("below").offsetHeight + 8}px`;
}

/** Go to the newest turn. */
export function showLast() {
  clearEdges();
  $("turns").lastElementChild?.scrollIntoView({ block: "end" });
}

/** Go to the newest turn, and tell those who listen. */
export function tellLast() {
  const { chat } = state;
  const turn = chat.turns.at(-1);
  showLast();
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
