"""Every tutorial runs, and its outputs are those that it is printed with."""

import pytest

pytest.importorskip("nbclient", reason="nbclient is not installed (extra `test`)")

from tests.docs.notebooks import NOTEBOOKS, execute, outputs_of


@pytest.mark.parametrize("path", NOTEBOOKS, ids=[path.stem for path in NOTEBOOKS])
def test_a_notebook_gives_the_outputs_that_it_is_printed_with(path):
    import nbformat

    kept = [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]
    today = [cell for cell in execute(path).cells if cell.cell_type == "code"]
    for before, now in zip(kept, today, strict=True):
        assert outputs_of(now) == outputs_of(before), before.source


def test_there_is_a_notebook_for_each_tutorial():
    assert len(NOTEBOOKS) == 5
