"""``train --distributed`` refuses what cannot be before anything is read."""

import pytest

from tests.cli.commands import run as command


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            ["--rank", "1"],
            "--coordinator, --processes and --rank only work with --distributed",
        ),
        (["--distributed", "--backend", "tensorflow"], "--distributed needs the backend jax, found tensorflow"),
    ],
)
def test_impossible_options_are_refused(tmp_path, options, message):
    said = command("train", "no-corpus.jsonl", "--out", tmp_path / "run", *options, code=2).output
    assert message in " ".join(said.split())
    assert list(tmp_path.iterdir()) == []
