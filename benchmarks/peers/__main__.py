"""The command: ``scripts/peers``."""

from __future__ import annotations

import os
from pathlib import Path

import click

from benchmarks.contender import CHECKOUT
from benchmarks.peers.compare import CONTENDERS, CORPORA, compare_peers, table


@click.command()
@click.option("--corpora", default=",".join(CORPORA), show_default=True, help="Which corpora, separated by commas.")
@click.option("--contenders", default=",".join(CONTENDERS), show_default=True, help="Which policies.")
@click.option("--most", type=int, help="At most so many dialogues of each part.")
@click.option("--out", type=click.Path(path_type=Path), default=CHECKOUT / "runs" / "peers", show_default="runs/peers")
def main(corpora: str, contenders: str, most: int | None, out: Path) -> None:
    """Measure and print the table; what was measured before is not measured again."""
    public = Path(os.environ.get("DIALOG_POLICY_CORPORA", CHECKOUT.parent / "shared" / "corpora"))
    rasa = CHECKOUT / ".venv-rasa" / "bin" / "python"
    rows = []
    for row in compare_peers(
        corpora.split(","), contenders.split(","), out, public, rasa if rasa.exists() else None, most
    ):
        rows.append(row)
        click.echo(f"{row['corpus']}: {row['contender']} is measured.", err=True)
    for line in table(rows):
        click.echo(line)


if __name__ == "__main__":
    main()
