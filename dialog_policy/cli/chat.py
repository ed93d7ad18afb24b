"""``chat``: talk with a policy in the terminal, correct it, keep the conversation as training data."""

from __future__ import annotations

import contextlib
import itertools
import os
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec

from dialog_policy.cli.options import Command
from dialog_policy.errors import DialogPolicyError, OptionError, did_you_mean

if TYPE_CHECKING:
    from dialog_policy.runtime import Policy

__all__ = ["chat"]

# Actions that were not taken are shown from this probability on, so many of them.
_WORTH_SHOWING, _OTHERS = 0.05, 4


@click.command(cls=Command)
@click.argument("run")
def chat(run: str) -> None:
    """Talk with a policy: type as the user, see what it would do.

    Lines that begin with a slash are commands; /help lists them. Reads lines from a pipe, too.
    """
    from dialog_policy.runtime import Policy

    policy = Policy.load(run)
    count = len(policy.actions)
    click.echo(
        f"{run}: {count} actions, trained on {policy.info['corpus']['name']}. /help lists the commands, /quit ends."
    )
    _Chat(policy).loop()


class _Chat:
    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self.session = policy.start()
        self.context: dict[str, Any] = {}
        self.ended = False
        self.commands: dict[str, tuple[str, str, Callable[[str], None]]] = {
            "context": ("JSON", "what the system learns before its next turn, such as database results", self._context),
            "turn": ("", "a turn in which the user says nothing", self._turn),
            "correct": ("[ACTION …]", "what the bot should have done; no action: nothing at all", self._correct),
            "say": ("TEXT", "what the bot should have said", self._say),
            "undo": ("[N]", "take the last turn back, or the last N", self._undo),
            "actions": ("[PART]", "the actions, or those with PART in their name", self._actions),
            "save": ("FILE", "add the conversation to a corpus: .jsonl, .csv, .tsv or .parquet", self._save),
            "new": ("", "begin a new conversation", self._new),
            "help": ("", "this list", self._help),
            "quit": ("", "end; so does the end of the input", self._quit),
        }

    def loop(self) -> None:
        is_typed = sys.stdin.isatty()
        if is_typed:
            with contextlib.suppress(ImportError):
                import readline  # noqa: F401 - arrow keys and history in input()
        while not self.ended:
            try:
                line = input("you> " if is_typed else "").strip()
            except (EOFError, KeyboardInterrupt):
                if is_typed:
                    click.echo()
                return
            try:
                if line.startswith("/"):
                    self._command(line[1:])
                elif line:
                    self._respond(line)
            except DialogPolicyError as error:
                click.echo(f"Error: {error}", err=True)

    def _command(self, line: str) -> None:
        name, _, rest = line.partition(" ")
        if name not in self.commands:
            raise OptionError(f"there is no command /{name}; /help lists them.{did_you_mean(name, self.commands)}")
        wanted, _, run = self.commands[name]
        if rest.strip() and not wanted:
            raise OptionError(f"/{name} takes nothing, found {rest.strip()!r}.")
        if not rest.strip() and wanted and not wanted.startswith("["):
            raise OptionError(f"expected /{name} {wanted}.")
        run(rest.strip())

    def _respond(self, user: str | None) -> None:
        step = self.session.respond(user, self.context)
        self.context = {}
        _tell("bot> ", step.text or "(no template for this)", bold=True)
        shares = step.probabilities
        taken = [f"{name} {shares[name]:.2f}" for name in sorted(step.actions, key=lambda name: -shares[name])]
        rest = {name: p for name, p in shares.items() if name not in step.actions and p >= _WORTH_SHOWING}
        others = sorted(rest.items(), key=lambda item: -item[1])[:_OTHERS]
        _tell("     ", "  ".join(taken) or "(no action)", fg="green")
        if others:
            _tell("     not ", "  ".join(f"{name} {p:.2f}" for name, p in others), dim=True)
        unsure = ": unsure, better ask or hand over" if step.fallback else ""
        _tell(
            "     ",
            f"confidence {step.confidence:.2f}{unsure}",
            **({"fg": "yellow"} if step.fallback else {"dim": True}),
        )

    def _context(self, text: str) -> None:
        try:
            found = msgspec.json.decode(text)
        except msgspec.DecodeError as error:
            raise OptionError(
                f'expected a JSON object such as {{"results": [{{"name": "The Oak"}}]}}: {error}.'
            ) from None
        if not isinstance(found, dict):
            raise OptionError(f"expected a JSON object, found {text}.")
        self.context = found
        click.echo("Goes with the next turn; /turn makes one in which the user says nothing.")

    def _turn(self, _: str) -> None:
        self._respond(None)

    def _correct(self, text: str) -> None:
        self.session.observe(_words(text))
        self._tell_last()

    def _say(self, text: str) -> None:
        self.session.observe(system=text)
        self._tell_last()

    def _tell_last(self) -> None:
        last = self.session.turns[-1]
        _tell("bot> ", last.system or "(says nothing)", bold=True)
        _tell("     ", "  ".join(sorted(last.actions or ())) or "(no action)", fg="green")

    def _undo(self, text: str) -> None:
        if text and not text.isdecimal():
            raise OptionError(f"expected a number of turns, found {text!r}.")
        self.session.undo(int(text or 1))
        click.echo(f"{len(self.session)} turns left.")

    def _actions(self, part: str) -> None:
        found = [name for name in self.policy.actions.classes_ if part.casefold() in name.casefold()]
        click.echo("  ".join(found) or f"no action has {part!r} in its name")

    def _save(self, text: str) -> None:
        from dialog_policy.corpus.readers import load_corpus
        from dialog_policy.corpus.write import write_corpus

        if not len(self.session):
            raise OptionError("there is nothing to save yet.")
        known = load_corpus(text) if Path(text).exists() else ()
        content = self.session.to_dialogue("chat").fingerprint()
        dialogue = self.session.to_dialogue(f"chat-{content[:12]}")
        if any(other.id == dialogue.id for other in known):
            click.echo(f"{text} has this conversation already.")
            return
        write_corpus(itertools.chain(known, [dialogue]), text)
        click.echo(f"Saved as {dialogue.id}; {text} has {len(known) + 1} dialogues.")

    def _new(self, _: str) -> None:
        self.session, self.context = self.policy.start(), {}
        click.echo("A new conversation.")

    def _help(self, _: str) -> None:
        for name, (wanted, words, _run) in self.commands.items():
            click.echo(f"  {f'/{name} {wanted}':22} {words}")

    def _quit(self, _: str) -> None:
        self.ended = True


def _words(text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError as error:
        raise OptionError(f"{text}: {error}; names with spaces go in quotation marks.") from None


def _tell(before: str, text: str, **style: Any) -> None:
    # NO_COLOR: https://no-color.org; without a terminal click takes the colours out by itself.
    click.echo(before + (text if os.environ.get("NO_COLOR") else click.style(text, **style)))
