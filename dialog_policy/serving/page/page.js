// The page: every button calls one of the functions here.

import { ServerError } from "./api.js";
import * as context from "./context.js";
import { correctionForm } from "./correct.js";
import { $, announce, button, clearNotices, confirmed, counted, el, notify } from "./dom.js";
import { begin, beginReplay, listModels, load, remember } from "./navigate.js";
import * as replay from "./replay.js";
import * as train from "./train.js";
import { acts, clearEdges, explain, grow, isOff, known, markScrolling, render, renderModels, showLast, state, tellLast } from "./view.js";

// Between the turns of a replay: to watch it, and to stay far from the server's limit on requests a second.
const PACE_MS = 100;

/** Do something with the conversation, one thing at a time; errors are told. Resolves to whether it was done. */
async function alone(work) {
  const mine = state.chat;
  if (mine.isBusy) return false;
  mine.isBusy = true;
  render();
  try {
    await work(mine);
    return mine === state.chat;
  } catch (error) {
    tell(error, mine);
    return false;
  } finally {
    mine.isBusy = false;
    render();
  }
}

function tell(error, about = state.chat) {
  if (!(error instanceof ServerError)) throw error;
  if (about !== state.chat) return;
  if (about.isGone)
    notify("The server no longer has this conversation: it was deleted, or has expired. You can still download what is here.", {
      isError: true,
      actions: [button("New conversation", () => begin(about.run))],
    });
  // A turn without an answer says so itself.
  else if (!about.pending?.failed) notify(error.message, { isError: true });
}

// ---------------------------------------------------------------- turns

function send(user) {
  if (isOff("send")) return explain("send");
  const wrong = context.check();
  if (wrong) return context.show(wrong);
  const learnt = context.context();
  if (user !== null) $("message").value = "";
  context.fill({});
  $("context").open = false;
  grow();
  respond(user, learnt);
}

async function respond(user, learnt) {
  clearNotices();
  const answered = alone((mine) => mine.respond(user, learnt));
  $("pending").scrollIntoView({ block: "end" });
  if (await answered) {
    remember();
    tellLast();
    $("message").focus();
  } else $("pending").querySelector("button")?.focus();
}

acts.retry = () => (state.chat.gold ? step() : respond(state.chat.pending.user, state.chat.pending.context));

/** Give up a turn without an answer: back into the fields with it. */
acts.change = async () => {
  const { chat } = state;
  refill(chat.pending);
  chat.pending = null;
  clearNotices();
  render();
  $("message").focus();
  // The answer may be what was lost, not the turn.
  const before = chat.turns.length;
  if (chat.id !== null && !chat.isGone) await alone((mine) => mine.lookAgain());
  if (chat.turns.length > before) notify("The server had taken the turn after all; only its answer was lost. Undo takes it back.");
};

function refill({ user, context: learnt }) {
  $("message").value = user ?? "";
  context.fill(learnt);
  grow();
}

acts.correct = (n) => {
  const item = $(`turn-${n}`);
  const open = item.querySelector("form");
  if (open) return open.querySelector("input[type=search]").focus();
  const close = () => {
    form.remove();
    $(`turn-${n}`)?.querySelector(".correct").focus();
  };
  const save = async (correction) => {
    clearNotices();
    if (!(await alone((mine) => mine.correct(n, correction)))) return;
    close();
    announce(`Turn ${n + 1} corrected: ${correction.actions.join(", ") || "no action"}. Bot: ${state.chat.turns[n].reply ?? "says nothing"}`);
  };
  const preview = (actions) => state.chat.preview(n, actions);
  const { form, first } = correctionForm({ turn: state.chat.turns[n], known: known(), preview, save, cancel: close });
  item.append(form);
  first.focus();
  form.scrollIntoView({ block: "nearest" });
};

acts.undo = async (n) => {
  const { chat, isPlaying } = state;
  const count = chat.turns.length - n;
  if (chat.isBusy || isPlaying) return;
  if (count > 1 && !(await confirmed(`Take back ${count} turns, with their corrections?`, "Take them back"))) return;
  clearNotices();
  const first = chat.turns[n];
  if (!(await alone((mine) => mine.undo(n)))) return;
  announce(`${counted(count, "turn")} taken back.`);
  if (chat.gold) return $("replay-step").focus();
  // To say it otherwise, unless something is being written already.
  if (!$("message").value && !$("context-summary").textContent) refill(first);
  $("message").focus();
};

acts.reuse = (object) => {
  if (state.chat.gold) leave();
  $("context").open = true;
  context.fill(object);
  $("message").focus();
};

// ---------------------------------------------------------------- replaying

async function openReplay() {
  const id = await replay.choose();
  if (!id) return;
  clearNotices();
  try {
    await beginReplay(state.chat.run, id);
    $("replay-step").focus();
  } catch (error) {
    tell(error);
  }
}

async function step() {
  clearNotices();
  const before = state.chat.turns.length;
  const isDone = await alone((mine) => replay.step(mine, known(), $("replay-forced").checked));
  if (state.chat.turns.length > before) {
    remember();
    tellLast();
  }
  return isDone;
}

async function playAll() {
  const mine = state.chat;
  const goesOn = () => state.isPlaying && mine === state.chat && !replay.isOver(mine);
  state.isPlaying = !state.isPlaying;
  render();
  while (goesOn() && (await step())) await new Promise((resolve) => setTimeout(resolve, PACE_MS));
  if (mine !== state.chat) return;
  state.isPlaying = false;
  render();
  const { right, counted: n } = replay.score(mine);
  if (replay.isOver(mine)) announce(`The replay is over: ${right} of ${counted(n, "turn")} as in the corpus.`);
}

/** From here on the person speaks. */
function leave() {
  Object.assign(state.chat, { gold: null, pending: null });
  state.isPlaying = false;
  remember();
  render();
  $("message").focus();
}

// ---------------------------------------------------------------- conversations

async function download() {
  await alone(async (mine) => {
    const line = `${JSON.stringify(await mine.dialogue())}\n`;
    const link = el("a", { href: URL.createObjectURL(new Blob([line], { type: "application/jsonl" })), download: `${mine.id}.jsonl` });
    link.click();
    // Not at once: the browser reads it after this.
    setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
  });
}

async function remove() {
  if (!(await confirmed("Delete this conversation from the server? What was saved as training data stays.", "Delete it"))) return;
  if (!(await alone((mine) => mine.delete()))) return;
  begin(state.chat.run);
  notify("The conversation is deleted.");
  $("message").focus();
}

/** Follow a training, then go on under the new policy; say whether it is better, and offer the previous one. */
async function follow(training) {
  try {
    const done = await training();
    if (!done) return;
    await takeOver();
    const goBack = button("Use the previous policy", () => restore(done.run));
    notify(`The policy was retrained. ${done.message} This conversation goes on under the new policy; what was said and done stays.`, {
      id: "retrained", // it stays while the new policy is tried out
      actions: [goBack],
    });
  } catch (error) {
    tell(error);
  }
}

async function restore(run) {
  clearNotices();
  $("retrained").replaceChildren();
  try {
    const { message } = await train.restore(run);
    await takeOver();
    notify(`${message} The other one is kept and can come back.`, {
      id: "retrained",
      actions: [button("Use the other policy", () => restore(run))],
    });
  } catch (error) {
    tell(error);
  }
}

/** Show what the server now has: another policy, under which it replays the conversation. */
async function takeOver() {
  await listModels();
  if (state.chat.id !== null) await alone((mine) => mine.lookAgain());
  render();
  renderModels();
}

// ---------------------------------------------------------------- the empty page, and the menu of narrow ones

function tryContext() {
  $("context").open = true;
  context.fill({ results: [{ name: "The Oak", price: "30 euros" }] });
  $("message").focus();
}

function toggleMenu(isOpen) {
  $("tools").classList.toggle("open", isOpen);
  $("menu").setAttribute("aria-expanded", String(isOpen));
}

function listenToMenu() {
  const isOpen = () => $("menu").getAttribute("aria-expanded") === "true";
  $("menu").addEventListener("click", () => toggleMenu(!isOpen()));
  addEventListener("click", (event) => isOpen() && !event.composedPath().includes($("menu")) && toggleMenu(false));
  addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || !isOpen()) return;
    toggleMenu(false);
    $("menu").focus();
  });
}

function listen() {
  const pressed = (id, act) => $(id).addEventListener("click", () => (isOff(id) ? explain(id) : act()));
  $("composer").addEventListener("submit", (event) => {
    event.preventDefault();
    const user = $("message").value.trim();
    if (user) return send(user);
    $("message").focus();
    if (isOff("send")) explain("send");
    else notify("Write what the user says, then press Send. “Say nothing” makes a turn without a user.");
  });
  $("message").addEventListener("keydown", (event) => {
    // While an input method composes (key code 229 in Safari), Enter accepts what it offers.
    if (event.key !== "Enter" || event.shiftKey || event.isComposing || event.keyCode === 229) return;
    event.preventDefault();
    $("composer").requestSubmit();
  });
  $("message").addEventListener("input", grow);
  $("run").addEventListener("change", () => begin($("run").value, state.chat.gold));
  pressed("silent", () => send(null));
  pressed("new", () => {
    begin(state.chat.run);
    $("message").focus();
  });
  pressed("replay-open", openReplay);
  pressed("try-replay", openReplay);
  pressed("try-context", tryContext);
  pressed("try-say", () => send($("try-say").value));
  pressed("replay-step", step);
  pressed("replay-all", playAll);
  pressed("replay-leave", leave);
  pressed("download", download);
  pressed("save", () => alone(train.save));
  pressed("delete", remove);
  pressed("retrain", () => {
    clearNotices();
    follow(() => train.retrain(state.chat.run));
  });
  for (const dismiss of document.querySelectorAll("dialog .dismiss")) dismiss.addEventListener("click", () => dismiss.closest("dialog").close(""));
  addEventListener("popstate", () => load().then(showLast));
  listenToMenu();
  addEventListener("resize", markScrolling);
  const edges = new ResizeObserver(clearEdges);
  edges.observe(document.querySelector("header"));
  edges.observe($("below"));
}

async function start() {
  // The page shows the newest turn itself, once the conversation is there.
  history.scrollRestoration = "manual";
  context.begin();
  listen();
  try {
    await listModels();
  } catch (error) {
    if (!(error instanceof ServerError)) throw error;
    return notify(error.message, { isError: true, actions: [button("Try again", () => location.reload())] });
  }
  await load();
  showLast();
  if (!$("retrain").hidden) await follow(train.resume);
}

start();
