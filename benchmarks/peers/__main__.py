"""The command: ``scripts/peers``."""

from __future__ import annotations

import os
from pathlib import Path

import click

from benchmarks.contender import CHECKOUT
from benchmarks.peers.compare import CONTENDERS, CORPORA, compare_peers, kept_rows, short_table, table


@click.command()
@click.option("--corpora", default=",".join(CORPORA), show_default=True, help="Which corpora, separated by commas.")
@click.option("--contenders", default=",".join(CONTENDERS), show_default=True, help="Which policies.")
@click.option("--most", type=click.IntRange(1), help="At most so many dialogues of each part.")
@click.option("--rasa-epochs", type=click.IntRange(1), default=15, show_default=True, help="Epochs of Rasa's training.")
@click.option("--short", is_flag=True, help="Print the table of README, not those of docs/peers.md.")
@click.option("--out", type=click.Path(path_type=Path), default=CHECKOUT / "runs" / "peers", show_default="runs/peers")
def main(corpora: str, contenders: str, most: int | None, rasa_epochs: int, short: bool, out: Path) -> None:
    """Measure, and print the table of all that was measured; what was measured before is not measured again."""
    public = Path(os.environ.get("DIALOG_POLICY_CORPORA", CHECKOUT.parent / "shared" / "corpora"))
    rasa = CHECKOUT / ".venv-rasa" / "bin" / "python"
    for row in compare_peers(
        corpora.split(","),
        contenders.split(","),
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
