// What the system learns before its next turn: rows of key and value, or JSON.

import { $, button, counted, el } from "./dom.js";

/** What is written there is no context; `place` is the field to mend. */
export class ContextError extends Error {
  constructor(message, place) {
    super(message);
    this.place = place;
  }
}

const isObject = (object) => object !== null && typeof object === "object" && !Array.isArray(object);
const isJson = () => $("context-as-json").checked;

/** Name what is in a context: "results (3), day". */
export function summarised(context) {
  return Object.entries(context)
    .map(([key, value]) => (Array.isArray(value) ? `${key} (${value.length})` : key))
    .join(", ");
}

/** Parse the JSON of a context. */
export function parsed(text) {
  if (!text.trim()) return {};
  let object;
  try {
    object = JSON.parse(text);
  } catch (error) {
    throw new ContextError(`This is not valid JSON. ${placed(error.message, text)}`);
  }
  if (!isObject(object)) throw new ContextError('Expected a JSON object in braces, such as {"results": []}.');
  return object;
}

/** Chromium says where in characters, Firefox in lines: say lines. */
function placed(message, text) {
  const at = /position (\d+)/.exec(message);
  if (!at || /line \d+/.test(message)) return message;
  const lines = text.slice(0, Number(at[1])).split("\n");
  return `${message} (line ${lines.length} column ${lines.at(-1).length + 1})`;
}

/** A value as it was typed: JSON where it is JSON, else text. */
function typed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

/** A value as one would type it: text without quotation marks, unless it would then be read as something else. */
function written(value) {
  return typeof value === "string" && typed(value) === value && value.trim() === value && value ? value : JSON.stringify(value);
}

const rows = () => [...$("context-rows").querySelectorAll(".row")].map((row) => [...row.querySelectorAll("input")]);

function fromRows() {
  const object = {};
  for (const [key, value] of rows()) {
    const name = key.value.trim();
    if (!name && !value.value.trim()) continue;
    if (!name) throw new ContextError(`The value “${value.value}” has no key.`, key);
    if (Object.hasOwn(object, name)) throw new ContextError(`The key “${name}” is there twice.`, key);
    // Not object[name] = …: a key may be called __proto__.
    Object.defineProperty(object, name, { value: typed(value.value.trim()), enumerable: true, configurable: true });
  }
  return object;
}

function addRow(key = "", value = "") {
  const row = el(
    "div",
    { class: "row", role: "group", "aria-label": `Row ${rows().length + 1}` },
    el("input", { "aria-label": "Key", placeholder: "key", value: key, dir: "auto", autocomplete: "off", spellcheck: "false" }),
    el("input", { "aria-label": "Value", placeholder: "value", value, dir: "auto", autocomplete: "off", spellcheck: "false" }),
    button("×", () => removeRow(row), { class: "bare", "aria-label": "Remove this row" }),
  );
  $("context-rows").append(row);
  return row;
}

function removeRow(row) {
  const next = row.nextElementSibling ?? row.previousElementSibling;
  row.remove();
  (next?.querySelector("input") ?? $("context-add")).focus();
  check();
}

/** The context as it stands; throws a ContextError and marks the field. */
export function context() {
  try {
    return isJson() ? parsed($("context-json").value) : fromRows();
  } catch (error) {
    error.place ??= $("context-json");
    throw error;
  }
}

/** Show whether what is written is a context, and which; returns the error, if any. */
export function check() {
  const fields = [$("context-json"), ...rows().flat()];
  for (const field of fields) field.removeAttribute("aria-invalid");
  let wrong = null;
  try {
    const object = context();
    const names = summarised(object);
    $("context-summary").textContent = names ? `: ${names}` : "";
    $("context-preview").textContent = isJson() || !names ? "" : `Goes as ${JSON.stringify(object)}`;
  } catch (error) {
    wrong = error;
    error.place.setAttribute("aria-invalid", "true");
    $("context-summary").textContent = ": not valid yet";
    $("context-preview").textContent = "";
  }
  $("context-error").textContent = wrong?.message ?? "";
  return wrong;
}

/** Put a context into the fields; {} empties them. */
export function fill(object) {
  $("context-json").value = Object.keys(object).length ? JSON.stringify(object, null, 2) : "";
  $("context-rows").replaceChildren();
  for (const [key, value] of Object.entries(object)) addRow(key, written(value));
  if (!rows().length) addRow();
  check();
}

/** Open the fields at what is wrong. */
export function show(error) {
  $("context").open = true;
  error.place.focus();
}

export function begin() {
  fill({});
  $("context-add").addEventListener("click", () => addRow().querySelector("input").focus());
  $("context").addEventListener("input", check);
  for (const choice of [$("context-as-json"), $("context-as-rows")]) choice.addEventListener("change", switched);
}

/** Take what was written over to the other way of writing; stay where it is not valid. */
function switched() {
  const toJson = isJson();
  try {
    fill(toJson ? fromRows() : parsed($("context-json").value));
  } catch (error) {
    $(toJson ? "context-as-rows" : "context-as-json").checked = true;
    check();
    show(Object.assign(error, { place: error.place ?? $("context-json") }));
    return;
  }
  $("context-json-part").hidden = !toJson;
  $("context-rows-part").hidden = toJson;
}

/** A context to look at in a turn. */
export function shown(object, reuse) {
  const keys = Object.keys(object).length;
  if (!keys) return null;
  return el(
    "details",
    { class: "context" },
    el("summary", {}, el("span", { text: "Context: " }), el("bdi", { text: summarised(object) })),
    el("pre", { text: JSON.stringify(object, null, 2), dir: "auto", tabindex: "0", role: "group", "aria-label": `Context, ${counted(keys, "key")}` }),
    button("Use this context again", () => reuse(object), { class: "small" }),
  );
}
