// One turn to look at: what was said, what the policy would do and how sure it is, what stands, what the corpus has.

import { shown as shownContext } from "./context.js";
import { actionName, button, el, hidden, percent } from "./dom.js";

// Actions that nobody took are shown from this probability on, so many of them; the rest unfolds.
const WORTH_SHOWING = 0.05;
const OTHERS = 4;

export const sameSet = (a, b) => a.length === b.length && a.every((name) => b.includes(name));

/** Whether the policy's actions are the corpus'; null where the corpus has none to compare with. */
export const agrees = (predicted, gold) => (gold?.actions ? sameSet(predicted, gold.actions) : null);

/**
 * Make the list item of a turn.
 *
 * `turn` is the server's; `reply` what the policy itself would have said (undefined: not known); `gold` the corpus' turn in a replay; `known` the policy's actions. `acts` has correct(n), undo(n) and reuse(context).
 */
export function turnItem({ turn, reply, gold, known, isLast }, acts) {
  const number = turn.turn + 1;
  return el(
    "li",
    { class: "turn", id: `turn-${turn.turn}`, "aria-labelledby": `turn-${turn.turn}-name` },
    el("h3", { class: "only-heard", id: `turn-${turn.turn}-name`, text: `Turn ${number}` }),
    el("div", { class: "talk" }, ...talk(turn, reply, gold, acts)),
    el(
      "div",
      { class: "decision" },
      el("div", { class: "scroll", role: "group", "aria-label": `Actions of turn ${number}` }, actionTable(turn, gold, known)),
      others(turn, gold, number),
      verdict(turn, gold),
      el(
        "div",
        { class: "buttons" },
        button("Correct", () => acts.correct(turn.turn), { class: "small correct", "aria-label": `Correct turn ${number}` }),
        button(isLast ? "Undo" : "Undo from here", () => acts.undo(turn.turn), {
          class: "small undo",
          "aria-label": isLast ? `Undo turn ${number}` : `Undo from here: turn ${number} and all later ones`,
        }),
      ),
    ),
  );
}

function talk(turn, reply, gold, acts) {
  const parts = [bubble("user", "User", turn.user || null, "Nobody spoke."), shownContext(turn.context ?? {}, acts.reuse)];
  if (gold) {
    parts.push(
      el(
        "div",
        { class: "both" },
        bubble("bot", "Policy", reply ?? null, reply === undefined ? "Not known any more, because the page was reloaded." : unsaid(turn.predicted), true),
        bubble("bot gold", "Corpus", gold.system || null, "Nothing was said.", true),
      ),
    );
  } else parts.push(bubble("bot", "Bot", turn.reply, unsaid(turn.actions ?? [])));
  return parts.filter(Boolean);
}

const unsaid = (actions) => (actions.length ? "No text: training has no template for these actions." : "Says nothing.");

/** A bubble with who speaks, and what, in the direction of its script. */
function bubble(kind, who, text, otherwise, isNamed = false) {
  return el(
    "div",
    { class: `bubble ${kind}` },
    el("span", { class: isNamed ? "who" : "only-heard", text: `${who}: ` }),
    el("p", { dir: "auto", class: text === null ? "unsaid" : null, text: text ?? otherwise }),
  );
}

/** The sets of actions to tell apart, by the name of their column. */
function columns(turn, gold) {
  const sets = { Predicted: turn.predicted };
  const goldActions = gold?.actions ?? null;
  if (turn.corrected && turn.actions !== null && !(goldActions && sameSet(turn.actions, goldActions))) sets.Corrected = turn.actions;
  if (goldActions) sets.Corpus = goldActions;
  return sets;
}

function shownActions(turn, gold) {
  const share = (name) => turn.probabilities[name] ?? 0;
  const taken = new Set(Object.values(columns(turn, gold)).flat());
  const rest = Object.keys(turn.probabilities).filter((name) => !taken.has(name) && share(name) >= WORTH_SHOWING);
  const likely = rest.sort((a, b) => share(b) - share(a)).slice(0, OTHERS);
  return [...taken, ...likely].sort((a, b) => share(b) - share(a));
}

function actionTable(turn, gold, known) {
  const sets = columns(turn, gold);
  const names = Object.keys(sets);
  const stands = sets.Corrected ?? sets.Predicted;
  const rows = shownActions(turn, gold).map((action) =>
    el(
      "tr",
      { class: stands.includes(action) ? "taken" : null },
      el("th", { scope: "row" }, actionName(action)),
      el("td", { class: "share" }, ...(known.has(action) ? bar(turn.probabilities[action] ?? 0) : ["unknown to this policy"])),
      ...names.map((name) => mark(sets[name].includes(action), isOff(sets, name, action))),
    ),
  );
  if (Object.values(sets).some((set) => !set.length))
    rows.unshift(
      el(
        "tr",
        { class: stands.length ? null : "taken" },
        el("th", { scope: "row", class: "unsaid", text: "no action" }),
        el("td", { class: "share" }),
        ...names.map((name) => mark(!sets[name].length, isOff(sets, name, null))),
      ),
    );
  return el(
    "table",
    { class: "actions" },
    el(
      "thead",
      {},
      el("tr", {}, ...["Action", "Probability", ...names].map((text) => el("th", { scope: "col", text }))),
    ),
    el("tbody", {}, ...rows),
  );
}

/** Whether a mark in this column is where policy and corpus differ; `action` null: the empty set. */
function isOff(sets, name, action) {
  if (!sets.Corpus || name === "Corrected") return false;
  const has = (set) => (action === null ? !set.length : set.includes(action));
  return has(sets.Predicted) !== has(sets.Corpus);
}

/** A dot for an action of the set: predicted is not the same as right, so no tick. */
function mark(isSet, isOff) {
  if (!isSet) return el("td", { class: "mark" }, hidden("no"));
  return el("td", { class: isOff ? "mark off" : "mark" }, el("span", { "aria-hidden": "true", text: isOff ? "≠" : "●" }), hidden(isOff ? "yes, differs" : "yes"));
}

function bar(share) {
  const filled = el("span", { class: "filled" });
  filled.style.width = `${100 * share}%`;
  return [el("span", { class: "bar", "aria-hidden": "true" }, filled), el("span", { class: "number", text: percent(share || Number.MIN_VALUE) })];
}

/** The probabilities that the table leaves out; made when they are asked for. */
function others(turn, gold, number) {
  const shown = new Set(shownActions(turn, gold));
  const rest = Object.entries(turn.probabilities).filter(([name]) => !shown.has(name));
  if (!rest.length) return null;
  const list = el("ul", { class: "others" });
  const fold = el("details", { class: "rest" }, el("summary", { text: `${rest.length} less likely` }, hidden(` actions in turn ${number}`)), list);
  fold.addEventListener(
    "toggle",
    () => list.append(...rest.map(([name, share]) => el("li", {}, actionName(name), ` ${percent(share)}`))),
    { once: true },
  );
  return fold;
}

function verdict(turn, gold) {
  const parts = [];
  const same = agrees(turn.predicted, gold);
  if (same !== null) parts.push(el("strong", { class: same ? "good" : "bad", text: same ? "✓ As in the corpus." : "✗ Not as in the corpus." }));
  else if (gold) parts.push(el("strong", { text: "Not counted: the corpus has no actions here." }));
  if (turn.actions === null) parts.push(el("span", { text: "The policy has no action for what was done." }));
  else if (columns(turn, gold).Corrected || (turn.corrected && !gold)) parts.push(el("span", { class: "corrected", text: "Corrected by hand." }));
  else if (same === false && !turn.corrected) parts.push(el("span", { text: "Continues from what the policy did." }));
  parts.push(el("span", { text: `Confidence ${percent(turn.confidence)}${turn.fallback ? ": unsure, better ask or hand over" : ""}.` }));
  return el("p", { class: "verdict" }, ...parts.flatMap((one) => [one, " "]));
}
