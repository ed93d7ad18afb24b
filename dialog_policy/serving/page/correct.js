// The form that says what the bot should have done in a turn, and what it should have said.

import { actionName, button, counted, el, percent } from "./dom.js";

const PAUSE_MS = 150;

const plain = (text) => text.toLowerCase().replaceAll(/[_\-\s]+/g, " ");

/**
 * Make the form.
 *
 * `known`: the policy's actions. `preview(actions)` resolves to the reply that they would give, null for none. `save({actions,
 * system})` gets the set, and the text where the person wrote one; it resolves when the server has taken it. `cancel()` closes
 * the form.
 */
export function correctionForm({ turn, known, preview, save, cancel }) {
  const id = `correct-${turn.turn}`;
  const share = (name) => turn.probabilities[name] ?? 0;
  const chosen = new Set(turn.actions ?? []);
  const ordered = [...known].sort((a, b) => chosen.has(b) - chosen.has(a) || share(b) - share(a));
  const boxes = new Map(
    ordered.map((name) => [name, el("input", { type: "checkbox", checked: chosen.has(name), onchange: () => toggle(name) })]),
  );
  const rows = ordered.map((name) =>
    el("li", {}, el("label", {}, boxes.get(name), actionName(name), el("span", { class: "number", text: percent(share(name) || Number.MIN_VALUE) }))),
  );
  const summary = el("div", { class: "chosen", role: "status" });
  const search = el("input", { id: `${id}-search`, type: "search", autocomplete: "off", spellcheck: "false", "aria-describedby": `${id}-hint`, oninput: filter });
  const hint = el("p", { class: "hint", id: `${id}-hint` });
  const reply = el("p", { class: "preview", id: `${id}-reply`, role: "status", dir: "auto" });
  const own = el("textarea", { id: `${id}-text`, rows: "2", dir: "auto", value: turn.reply ?? "", oninput: () => (byHand.checked = true) });
  const byTemplate = el("input", { type: "radio", name: `${id}-reply-by`, checked: true, "aria-describedby": `${id}-reply` });
  const byHand = el("input", { type: "radio", name: `${id}-reply-by` });
  const accept = el("button", { type: "submit", class: "main", text: "Save the correction" });

  function toggle(name) {
    if (boxes.get(name).checked) chosen.add(name);
    else chosen.delete(name);
    tell();
    clearTimeout(waiting);
    waiting = setTimeout(showReply, PAUSE_MS);
  }

  let waiting = 0;
  let newest = 0;
  async function showReply() {
    const mine = ++newest;
    let text;
    let isReply = false;
    try {
      const answer = await preview([...chosen].sort());
      isReply = answer !== null;
      text = answer ?? (chosen.size ? "No text: training showed no reply to these actions." : "The bot says nothing.");
    } catch (error) {
      text = `The reply cannot be shown. ${error.message}`;
    }
    if (mine !== newest) return; // the actions have changed meanwhile
    reply.textContent = text;
    reply.classList.toggle("unsaid", !isReply);
  }

  function tell() {
    summary.replaceChildren(
      el("span", { text: chosen.size ? `${counted(chosen.size, "action")}: ` : "No action: the bot does nothing." }),
      ...[...chosen].map((name) => chip(name)),
    );
  }

  function chip(name) {
    const made = button("", () => drop(name), { class: "chip", "aria-label": `Leave out ${name}` });
    made.append(actionName(name), " ×");
    return made;
  }

  function drop(name) {
    boxes.get(name).checked = false;
    toggle(name);
    search.focus();
  }

  const visible = () => ordered.filter((_, row) => !rows[row].hidden);

  function filter() {
    const words = plain(search.value).split(" ").filter(Boolean);
    ordered.forEach((name, row) => {
      rows[row].hidden = !words.every((word) => plain(name).includes(word));
    });
    const left = visible();
    hint.textContent = words.length
      ? `${left.length} of ${ordered.length} actions.${left.length ? ` Enter takes or leaves out ${left[0]}.` : ""}`
      : `${counted(ordered.length, "action")}, the likeliest first.`;
  }

  search.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.isComposing || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    const [first] = visible();
    if (!search.value.trim() || !first) return;
    boxes.get(first).checked = !boxes.get(first).checked;
    toggle(first);
    search.select();
  });

  const form = el(
    "form",
    { class: "correction", "aria-label": `Correct turn ${turn.turn + 1}`, novalidate: true },
    el(
      "fieldset",
      {},
      el("legend", { text: "What should the bot have done?" }),
      summary,
      el("label", { for: search.id, text: "Search the actions" }),
      search,
      hint,
      el("ul", { class: "choices", role: "list" }, ...rows),
    ),
    el(
      "fieldset",
      {},
      el("legend", { text: "What should it have said?" }),
      el("label", { class: "choice" }, byTemplate, "The template reply of these actions:"),
      reply,
      el("label", { class: "choice" }, byHand, "This text:"),
      own,
    ),
    el("div", { class: "buttons" }, accept, button("Cancel", cancel)),
  );
  own.setAttribute("aria-label", "What the bot should have said");
  form.addEventListener("keydown", (event) => {
    if (event.isComposing) return;
    const acts = event.key === "Escape" ? cancel : event.key === "Enter" && (event.ctrlKey || event.metaKey) ? () => form.requestSubmit() : null;
    if (!acts) return;
    event.preventDefault();
    acts();
  });
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    await save({ actions: [...chosen].sort(), ...(byHand.checked ? { system: own.value } : {}) });
  });
  tell();
  filter();
  showReply();
  return { form, first: search };
}
