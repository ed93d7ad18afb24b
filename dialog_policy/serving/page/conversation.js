// A conversation as the page knows it, and what can be done with it on the server.

import { ServerError, address, call, newKey } from "./api.js";

const same = (a, b) => JSON.stringify(a) === JSON.stringify(b);

export class Conversation {
  /** `run`: name of the policy. `gold`: the corpus' dialogue that is replayed, if one is. */
  constructor(run, gold = null) {
    this.id = null;
    this.run = run;
    this.turns = [];
    /** What the policy itself would have said, by turn: the server keeps what stands. */
    this.replies = [];
    this.gold = gold;
    /** The turn that is on its way, or that got no answer: {user, context, key, failed}. */
    this.pending = null;
    this.isBusy = false;
    this.isGone = false;
  }

  /** Find a conversation again by its id. */
  static async find(id, gold = null) {
    const conversation = new Conversation(null, gold);
    conversation.take(await call("GET", address("sessions", id)));
    return conversation;
  }

  take(session) {
    this.id = session.id;
    this.run = session.run;
    this.turns = session.turns;
    this.replies.length = Math.min(this.replies.length, session.turns.length);
  }

  async ask(method, path, body, headers) {
    try {
      return await call(method, address("sessions", this.id, ...path), body, headers);
    } catch (error) {
      if (error instanceof ServerError && error.status === 404) await this.lookAgain();
      throw error;
    }
  }

  /** Take over what the server has; a conversation that it no longer has is marked so. */
  async lookAgain() {
    try {
      this.take(await call("GET", address("sessions", this.id)));
    } catch (error) {
      if (error.status !== 404) throw error;
      this.isGone = true;
    }
  }

  /** Go on by a turn. The same turn asked again has the same key, so that the server counts it once. */
  async respond(user, context) {
    const side = { user, context };
    const key = this.pending && same({ user: this.pending.user, context: this.pending.context }, side) ? this.pending.key : newKey();
    this.pending = { ...side, key, failed: null };
    try {
      if (this.id === null) this.take(await call("POST", "sessions", this.run ? { run: this.run } : {}));
      const turn = await this.ask("POST", ["turns"], side, { "Idempotency-Key": key });
      // Another tab may have gone on with this conversation.
      if (turn.turn > this.turns.length) await this.lookAgain();
      else this.turns[turn.turn] = turn;
      this.replies[turn.turn] = turn.reply;
      this.pending = null;
      return turn;
    } catch (error) {
      this.pending.failed = error;
      throw error;
    }
  }

  async correct(turn, correction) {
    this.take(await this.ask("PUT", ["turns", turn, "actions"], correction));
  }

  /** The reply that a correction would give; null where training showed none. */
  async preview(turn, actions) {
    return (await this.ask("POST", ["turns", turn, "reply"], { actions })).reply;
  }

  async undo(turn) {
    this.take(await this.ask("DELETE", ["turns", turn]));
  }

  async delete() {
    if (this.id !== null && !this.isGone) await this.ask("DELETE", []);
  }

  /** The conversation as a dialogue of a corpus; from what the page knows where the server cannot be asked. */
  async dialogue() {
    try {
      return await this.ask("GET", ["dialogue"]);
    } catch (error) {
      if (error.status !== 0 && error.status !== 404) throw error;
      const turns = this.turns.map(({ user, context, actions, reply }) => ({ user: user ?? "", context, actions, system: reply ?? "" }));
      return { id: this.id, turns };
    }
  }
}
