// Elements, announcements, dialogs. Text always goes in as text: nothing here parses HTML.

/** Make an element. `class`, `text` and `on…` are special, null and false leave an attribute out, the rest are attributes. */
export function el(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name === "text") made.textContent = value;
    else if (name === "class") made.className = value;
    else if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (["value", "checked"].includes(name)) made[name] = value;
    else made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined && child !== false));
  return made;
}

export const $ = (id) => document.getElementById(id);

/** Text for those who listen instead of look. */
export const hidden = (text) => el("span", { class: "only-heard", text });

export const button = (text, onclick, more = {}) => el("button", { type: "button", text, onclick, ...more });

/** The name of an action, which may break after an underscore. */
export const actionName = (name) => el("bdi", {}, ...name.split(/(?<=_)/).flatMap((part, n) => (n ? [el("wbr"), part] : [part])));

export const percent = (share) => {
  const hundredths = Math.round(100 * share);
  if (share > 0 && hundredths === 0) return "<1 %";
  return share < 1 && hundredths === 100 ? ">99 %" : `${hundredths} %`;
};

export const counted = (n, one, many = `${one}s`) => `${n} ${n === 1 ? one : many}`;

/** Say something to a screen reader without showing it. */
export function announce(text) {
  const place = $("announcements");
  // Elements instead of text: the same words twice are said twice.
  place.replaceChildren(el("p", { text }));
}

/** Show a message above the next turn, or in the place of this id. `isError`: a screen reader interrupts for it. */
export function notify(text, { isError = false, actions = [], id = isError ? "alerts" : "notices" } = {}) {
  const place = $(id);
  const close = button("×", () => place.replaceChildren(), { class: "bare", "aria-label": "Close this message" });
  place.replaceChildren(el("div", { class: isError ? "notice error" : "notice" }, el("p", { text, dir: "auto" }), ...actions, close));
}

export function clearNotices() {
  $("alerts").replaceChildren();
  $("notices").replaceChildren();
}

/** Open a dialog of the page and wait: resolves to the value of the button that closed it, "" when it was dismissed. */
export function opened(dialog) {
  return new Promise((resolve) => {
    dialog.returnValue = "";
    dialog.addEventListener("close", () => resolve(dialog.returnValue), { once: true });
    dialog.showModal();
  });
}

export async function confirmed(question, yes) {
  $("confirm-question").textContent = question;
  $("confirm-yes").textContent = yes;
  return (await opened($("confirm"))) === "yes";
}
