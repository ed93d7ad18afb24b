"""``chat``: talk with a policy in the terminal, correct it, keep the conversation as training data."""

from __future__ import annotations

import contextlib
import io
import os
import shlex
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click
import msgspec

from dialog_policy.cli.autosave import Autosave, Kept
from dialog_policy.cli.options import Command
from dialog_policy.cli.terminal import printable
from dialog_policy.errors import DialogPolicyError, OptionError, counted, did_you_mean

if TYPE_CHECKING:
    from dialog_policy.runtime import Policy

__all__ = ["chat"]

# Actions that were not taken are shown from this probability on, so many of them.
_WORTH_SHOWING, _OTHERS = 0.05, 4
_INDENT = "     "


@click.command(cls=Command)
@click.argument("run")
def chat(run: str) -> None:
    """Talk with a policy: type what a user would say, and see what the policy would do.

    Lines that begin with a slash are commands; /help lists them. Lines may also come from a pipe. A conversation is kept after
    every turn until you save or discard it: the next chat with the same run offers it again.
    """
    from dialog_policy.runtime import Policy

    policy = Policy.load(run)
    _Chat(policy).loop(run)


class _Chat:
    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self.session = policy.start()
        self.context: dict[str, Any] = {}
        self.autosave = Autosave(policy.id)
        self.is_saved = True
        self.warned = False
        self.ended = False
        self.commands: dict[str, tuple[str, str, Callable[[str], None]]] = {
            "context": ("JSON", "Set the context of the next turn: what the system learns before it acts, such as results.", self._context),
            "turn": ("", "Let the system act although the user says nothing.", self._turn),
            "correct": ("[ACTION …]", "Correct the actions of the last turn; without ACTION, the bot should have done nothing.",
                        self._correct),
            "say": ("TEXT", "Correct the reply of the last turn.", self._say),
            "undo": ("[N]", "Take back the last turn, or the last N turns.", self._undo),
            "actions": ("[PART]", "List the actions, or those that have PART in their name.", self._actions),
            "save": ("FILE", "Add the conversation to a corpus (.jsonl, .csv, .tsv), or write a new one.", self._save),
            "new": ("", "Begin a new conversation.", self._new),
            "restore": ("", "Continue the newest conversation that was not saved.", self._restore),
            "discard": ("", "Discard this conversation or, before its first turn, the one that /restore would bring back.",
                        self._discard),
            "help": ("", "Show this list.", self._help),
            "quit": ("", "End the chat; so does the end of the input.", self._quit),
        }  # fmt: skip

    def loop(self, run: str) -> None:
        _tell(
            "",
            f"{run}: {counted(len(self.policy.actions), 'action')}, trained on {self.policy.info['corpus']['name']}. "
            "/help lists the commands, /quit ends.",
        )
        self._offer()
        is_typed = sys.stdin.isatty()
        if isinstance(sys.stdin, io.TextIOWrapper):
            sys.stdin.reconfigure(errors="replace")  # one strange byte would end the chat
        if is_typed:
            with contextlib.suppress(ImportError):
                import readline  # noqa: F401 - arrow keys and history in input()
        while not self.ended:
            try:
                self._line(input("you> " if is_typed else "").strip())
            except (EOFError, KeyboardInterrupt):
                if is_typed:
                    click.echo()
                break
        if not self.is_saved:
            _tell("", self._farewell())
        self.autosave.leave()

    def _line(self, line: str) -> None:
        try:
            if line.startswith("/"):
                self._command(line[1:])
            elif line:
                self._respond(line)
        except DialogPolicyError as error:
            _tell("", f"Error: {error}", err=True)

    def _command(self, line: str) -> None:
        name, _, rest = line.partition(" ")
        if name not in self.commands:
            raise OptionError(f"there is no command /{name}; /help lists them.{did_you_mean(name, self.commands)}")
        argument, _, run = self.commands[name]
        if rest.strip() and not argument:
            raise OptionError(f"/{name} takes no argument, found {rest.strip()!r}.")
        if not rest.strip() and argument and not argument.startswith("["):
            raise OptionError(f"expected /{name} {argument}.")
        run(rest.strip())

    def _respond(self, user: str | None) -> None:
        step = self.session.respond(user, self.context)
        self.context = {}
        self._keep()
        _tell("bot> ", step.text or "(no template for this)", bold=True)
        shares = step.probabilities
        actions = [f"{name} {shares[name]:.2f}" for name in sorted(step.actions, key=lambda name: -shares[name])]
        rest = {name: p for name, p in shares.items() if name not in step.actions and p >= _WORTH_SHOWING}
        others = sorted(rest.items(), key=lambda item: -item[1])[:_OTHERS]
        _tell(_INDENT, "  ".join(actions) or "(no action)", fg="green")
        if others:
            _tell(f"{_INDENT}not ", "  ".join(f"{name} {p:.2f}" for name, p in others), dim=True)
        unsure = ": unsure, better ask or hand over" if step.fallback else ""
        _tell(
            _INDENT,
            f"turn {len(self.session) - 1}, confidence {step.confidence:.2f}{unsure}",
            **({"fg": "yellow"} if step.fallback else {"dim": True}),
        )

    def _context(self, text: str) -> None:
        try:
            context = msgspec.json.decode(text)
        except msgspec.DecodeError as error:
            raise OptionError(
                f'expected a JSON object such as {{"results": [{{"name": "The Oak"}}]}}: {error}.'
            ) from None
        if not isinstance(context, dict):
            raise OptionError(f"expected a JSON object, found {text}.")
        self.context = context
        self._keep()
        click.echo("It goes with the next turn; /turn makes one in which the user says nothing.")

    def _turn(self, _: str) -> None:
        self._respond(None)

    def _correct(self, text: str) -> None:
        self.session.observe(_words(text))
        self._corrected()

    def _say(self, text: str) -> None:
        self.session.observe(system=text)
        self._corrected()

    def _corrected(self) -> None:
        self._keep()
        last = self.session.turns[-1]
        _tell("bot> ", last.system or "(says nothing)", bold=True)
        _tell(_INDENT, "  ".join(sorted(last.actions or ())) or "(no action)", fg="green")
        _tell(_INDENT, f"turn {len(self.session) - 1}, corrected", dim=True)

    def _undo(self, text: str) -> None:
        if text and not text.isdecimal():
            raise OptionError(f"expected a number of turns, found {text!r}.")
        self.session.undo(int(text or 1))
        self._keep()
        click.echo(f"The conversation now has {counted(len(self.session), 'turn')}.")

    def _actions(self, part: str) -> None:
        names = [name for name in self.policy.actions.classes_ if part.casefold() in name.casefold()]
        _tell("", "  ".join(names) or f"No action has {part!r} in its name.")

    def _save(self, text: str) -> None:
        from dialog_policy.corpus.append import append_dialogues

        if not len(self.session):
            raise OptionError("there is nothing to save yet.")
        path = os.path.expanduser(text[1:-1] if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'" else text)
        content = self.session.to_dialogue("chat").fingerprint()
        dialogue = self.session.to_dialogue(f"chat-{content[:12]}")
        corpus = self.policy.info["corpus"]
        try:
            added = append_dialogues(path, [dialogue], format=corpus["format"], reader=corpus["reader"])
        except (DialogPolicyError, OSError, ValueError) as error:  # ValueError: a path with a NUL or half a character
            raise OptionError(f"{error}\nThe conversation is not lost: /save it as another file.") from None
        self.is_saved = True
        self.autosave.forget()
        _tell(
            "",
            f"The conversation was added to {path} as {dialogue.id}."
            if added
            else f"{path} already has this conversation.",
        )

    def _new(self, _: str) -> None:
        if not self.is_saved:
            click.echo("The last conversation is not saved; /restore brings it back.")
        self._begin()
        click.echo("This is a new conversation.")

    def _begin(self) -> None:
        self.autosave.leave()
        self.session, self.context, self.is_saved = self.policy.start(), {}, True

    def _offer(self) -> None:
        waiting = self.autosave.waiting()
        if waiting:
            subject = f"There are {len(waiting)} conversations that were not saved; the newest" if len(waiting) > 1 else (
                "There is a conversation that was not saved; it"
            )  # fmt: skip
            _tell("", f"{subject} has {_describe(waiting[0])}. /restore continues it, /discard deletes it.")

    def _restore(self, _: str) -> None:
        if len(self.session):
            raise OptionError("this conversation has begun. /save it or begin a /new one before you restore another.")
        kept = self.autosave.restore()
        if kept is None:
            raise OptionError("there is no conversation that was not saved.")
        try:
            self.session = self.policy.resume(kept.session)
        except DialogPolicyError:
            self.autosave.leave()  # this chat will not write over it
            raise
        self.context, self.is_saved = kept.context, False
        for number, turn in enumerate(self.session.turns):
            _tell("you> ", turn.user or "(says nothing)")
            _tell("bot> ", turn.system or "(says nothing)", bold=True)
            _tell(_INDENT, "  ".join(sorted(turn.actions or ())) or "(no action)", fg="green")
            _tell(_INDENT, f"turn {number}", dim=True)
        click.echo("You can go on.")

    def _discard(self, _: str) -> None:
        if len(self.session):
            self.autosave.forget()
            self._begin()
            click.echo("The conversation was discarded. This is a new one.")
            return
        kept = self.autosave.discard()
        if kept is None:
            raise OptionError("there is no conversation to discard.")
        _tell("", f"The conversation that had {_describe(kept)} was discarded.")
        self._offer()

    def _keep(self) -> None:
        """Keep the conversation as it is now; a place that cannot be written is told once."""
        self.is_saved = not len(self.session) and not self.context
        try:
            if self.is_saved:
                self.autosave.forget()
            else:
                self.autosave.keep(self.session.to_bytes(), self.context, len(self.session))
        except OSError as error:
            if not self.warned:
                _tell(
                    "",
                    f"Warning: this conversation cannot be kept automatically ({error}); /save it before you quit.",
                    err=True,
                )
            self.warned = True

    def _farewell(self) -> str:
        if self.warned or self.autosave.is_off:
            return "This conversation was not saved."
        return "This conversation is not saved, but the next chat with this run offers it again."

    def _help(self, _: str) -> None:
        for name, (argument, sentence, _run) in self.commands.items():
            click.echo(f"  {f'/{name} {argument}':22} {sentence}")
        click.echo("Turns are counted from 0, as in corpora and reports.")

    def _quit(self, _: str) -> None:
        self.ended = True


def _describe(kept: Kept) -> str:
    return f"{counted(kept.turns, 'turn')} and is from {kept.changed.astimezone():%Y-%m-%d %H:%M}"


def _words(text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError as error:
        raise OptionError(f"{text}: {error}; names with spaces go in quotation marks.") from None


def _tell(before: str, text: str, *, err: bool = False, **style: Any) -> None:
    """Print a text; what a terminal would obey in it is shown instead."""
    shown = printable(text, newline=f"\n{' ' * len(before)}")
    # NO_COLOR: https://no-color.org; without a terminal click takes the colours out by itself.
    click.echo(before + (shown if os.environ.get("NO_COLOR") or not style else click.style(shown, **style)), err=err)
