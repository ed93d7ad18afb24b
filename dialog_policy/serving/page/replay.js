// Going through a dialogue of the corpus: choosing one, and playing its turns beside what the corpus has.

import { call } from "./api.js";
import { $, button, counted, el, opened } from "./dom.js";
import { agrees } from "./turn.js";

const PAGE = 20;
const PAUSE_MS = 250;

/** Let the person choose a dialogue; resolves to its id, "" for none. */
export async function choose() {
  let query = "";
  let shown = 0;
  let newest = 0;

  async function load(isMore) {
    const mine = ++newest;
    const from = isMore ? shown : 0;
    const path = `corpus/dialogues?${new URLSearchParams({ query, offset: from, limit: PAGE })}`;
    let page;
    try {
      page = await call("GET", path);
    } catch (error) {
      if (mine === newest) $("picker-count").textContent = error.message;
      return;
    }
    if (mine !== newest) return; // a later search is on its way
    const items = page.dialogues.map(item);
    if (isMore) $("picker-list").append(...items);
    else $("picker-list").replaceChildren(...items);
    shown = from + items.length;
    $("picker-count").textContent = `${counted(page.total, "dialogue")}${shown < page.total ? `, ${shown} of them here` : ""}.`;
    $("picker-more").hidden = shown >= page.total;
    if (isMore) items[0]?.querySelector("button").focus();
  }

  const more = () => load(true);
  let waiting = 0;
  const search = () => {
    clearTimeout(waiting);
    waiting = setTimeout(() => {
      query = $("picker-search").value.trim();
      load(false);
    }, PAUSE_MS);
  };
  // Enter in a form would press its first button.
  const stay = (event) => event.key === "Enter" && event.preventDefault();
  $("picker-more").addEventListener("click", more);
  $("picker-search").addEventListener("input", search);
  $("picker-search").addEventListener("keydown", stay);
  $("picker-search").value = "";
  load(false);
  const chosen = await opened($("picker"));
  newest++;
  clearTimeout(waiting);
  $("picker-more").removeEventListener("click", more);
  $("picker-search").removeEventListener("input", search);
  $("picker-search").removeEventListener("keydown", stay);
  return chosen;
}

function item(dialogue) {
  const pick = button("", null, { type: "submit", value: dialogue.id, class: "pick" });
  const facts = [dialogue.split, counted(dialogue.turns, "turn")].filter(Boolean).join(", ");
  pick.append(el("bdi", { class: "name", text: dialogue.id }), ` ${facts} `, el("span", { class: "first", dir: "auto", text: dialogue.first }));
  return el("li", {}, pick);
}

/** How often the policy's actions were the corpus' so far. */
export function score(chat) {
  const verdicts = chat.turns.map((turn, n) => agrees(turn.predicted, chat.gold.turns[n])).filter((same) => same !== null);
  return { right: verdicts.filter(Boolean).length, counted: verdicts.length };
}

export const isOver = (chat) => chat.turns.length >= chat.gold.turns.length;

/** Play the next turn of the corpus' dialogue; `isForced`: what follows goes on from the corpus' actions and text. */
export async function step(chat, known, isForced) {
  await settle(chat, known);
  if (isOver(chat)) return;
  const gold = chat.gold.turns[chat.turns.length];
  const turn = await chat.respond(gold.user, gold.context);
  if (isForced) chat.unforced = turn.turn;
  await settle(chat, known);
}

/** Put in what the corpus has for the last turn, if that was wanted and the server has not taken it yet. */
async function settle(chat, known) {
  const number = chat.unforced ?? chat.turns.length;
  if (number < chat.turns.length) {
    const gold = chat.gold.turns[number];
    // An action that the policy does not know cannot be part of its history.
    const actions = gold.actions === null ? null : gold.actions.filter((name) => known.has(name));
    await chat.correct(number, { actions, system: gold.system });
  }
  chat.unforced = null;
}
