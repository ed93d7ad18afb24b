"""The command: ``scripts/peers``."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path

import click

from benchmarks.contender import CHECKOUT
from benchmarks.peers.compare import CONTENDERS, CORPORA, compare_peers, kept_rows, short_table, table
from dialog_policy.cli.options import Command


def _of(known: Iterable[str]) -> Callable[[click.Context, click.Parameter, str], list[str]]:
    """Return what splits names and refuses those that are not known."""

    def names(_: click.Context, __: click.Parameter, value: str) -> list[str]:
        wanted = value.split(",")
        if unknown := [name for name in wanted if name not in known]:
            raise click.BadParameter(f"expected some of {', '.join(known)}; found {', '.join(map(repr, unknown))}.")
        return wanted

    return names


@click.command(cls=Command)
@click.option(
    "--corpora",
    default=",".join(CORPORA),
    show_default=True,
    callback=_of(CORPORA),
    help="Which corpora, separated by commas.",
)
@click.option(
    "--contenders", default=",".join(CONTENDERS), show_default=True, callback=_of(CONTENDERS), help="Which policies."
)
@click.option("--most", type=click.IntRange(1), help="At most so many dialogues of each part.")
@click.option(
    "--rasa-epochs", type=click.IntRange(1), default=100, show_default=True, help="Epochs of Rasa's training."
)
@click.option("--short", is_flag=True, help="Print the table of README, not those of docs/peers.md.")
@click.option("--out", type=click.Path(path_type=Path), default=CHECKOUT / "runs" / "peers", show_default="runs/peers")
def main(corpora: list[str], contenders: list[str], most: int | None, rasa_epochs: int, short: bool, out: Path) -> None:
    """Measure, and print the table of all that was measured; what was measured before is not measured again."""
    public = Path(os.environ.get("DIALOG_POLICY_CORPORA", CHECKOUT.parent / "shared" / "corpora"))
    rasa = CHECKOUT / ".venv-rasa" / "bin" / "python"
    if "rasa" in contenders and not rasa.exists():
        click.echo(f"Rasa is left out: there is no {rasa}; scripts/peers makes it.", err=True)
    for row in compare_peers(
        corpora,
        contenders,
        out,
        public,
        rasa if rasa.exists() else None,
        most,
        rasa_epochs,
    ):
        click.echo(f"{row['corpus']}: {row['contender']} is measured.", err=True)
    for line in short_table(kept_rows(out, most)) if short else table(kept_rows(out)):
        click.echo(line)


if __name__ == "__main__":
    main()
