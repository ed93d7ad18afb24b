// Keeping a conversation as training data, and training the policy again.

import { call } from "./api.js";
import { $, announce, counted, notify, percent } from "./dom.js";

const POLL_MS = 700;
// The server may be busy with loading the new policy: so many polls may fail in a row.
const PATIENCE = 10;

/** Add the conversation to the training data. */
export async function save(chat) {
  const saved = await call("POST", "corpus/saved", { session: chat.id });
  notify(
    `Saved as ${saved.id} in ${saved.file}, which has ${counted(saved.dialogues, "dialogue")} now. ` +
      "What you did not correct counts as what the bot should do. Press Retrain to learn from it.",
  );
}

/** Serve the policy before the last training again; resolves to what the server says of it. */
export const restore = (run) => call("POST", "train/restore", { run });

/** Begin a training; resolves when the policy is the new one, to its result; null if it failed. */
export async function retrain(run) {
  show(await call("POST", "train", { run }));
  return follow();
}

/** Follow a training that may be going on already. */
export async function resume() {
  const progress = await call("GET", "train");
  return progress.state === "running" ? follow() : null;
}

async function follow() {
  $("training").hidden = false;
  $("retrain").setAttribute("aria-disabled", "true");
  try {
    for (let failures = 0; ; ) {
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
      let progress;
      try {
        progress = await call("GET", "train");
        failures = 0;
      } catch (error) {
        if (!error.isPassing || ++failures >= PATIENCE) throw error;
        continue;
      }
      show(progress);
      if (progress.state === "running") continue;
      if (progress.state === "failed") notify(`The training failed, and the policy has not changed. ${progress.message}`, { isError: true });
      return progress.state === "done" ? progress : null;
    }
  } finally {
    $("training").hidden = true;
    $("retrain").removeAttribute("aria-disabled");
  }
}

function show({ epoch, epochs, share, message }) {
  const text = epoch ? `Training, epoch ${epoch}${epochs ? ` of at most ${epochs}` : ""}` : `Training: ${message}`;
  const before = $("training-share").value;
  $("training-text").textContent = text;
  $("training-share").value = share;
  // A screen reader hears of every quarter.
  if (Math.floor(4 * share) > Math.floor(4 * before)) announce(`Training ${percent(share)} done.`);
}
