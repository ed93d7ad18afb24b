"""Every code block of README and docs is run as it is printed."""

import shutil

import pytest

from benchmarks.simulation import lead_dialogues, make_world
from dialog_policy import DialogPolicy
from dialog_policy.corpus.write import write_corpus
from dialog_policy.evaluation.prediction_files import write_predictions
from tests.conftest import QUICK, REPOSITORY
from tests.docs.pages import LANGUAGES, PageRun, blocks_of, quick_fit

DOCS = REPOSITORY / "docs"
PATHS = [REPOSITORY / "README.md", REPOSITORY / "CONTRIBUTING.md"]
PATHS += [path for folder in (DOCS, DOCS / "howto", DOCS / "explanation") for path in sorted(folder.glob("*.md"))]
PAGES = {path.relative_to(REPOSITORY).as_posix(): blocks_of(path) for path in PATHS}
BLOCKS = [(page, number) for page, blocks in PAGES.items() for number in range(len(blocks))]


@pytest.fixture(scope="module")
def world(tmp_path_factory, desk):
    """What the pages begin with: the bundled corpus, shortened, a run of it, and a log with rewards (docs/value.md)."""
    folder = tmp_path_factory.mktemp("world")
    (folder / "corpora").mkdir()
    chosen = [d for part, n in (("train", 20), ("dev", 10), ("test", 10)) for d in list(desk.split(part))[:n]]
    small = desk.with_dialogues(chosen)
    write_corpus(small, folder / "corpora" / "desk.jsonl")
    policy = DialogPolicy(**QUICK).fit(small.split("train"), dev=small.split("dev"), out=folder / "runs" / "demo")
    assert policy.actions_
    log, predictions = lead_dialogues(make_world(0), 300, seed=0)
    write_corpus(log, folder / "log.jsonl")
    write_predictions(folder / "policy.jsonl", predictions)
    return folder


@pytest.fixture(scope="module")
def run_of(world, tmp_path_factory):
    """The run of a page."""
    runs = {}

    def run(page):
        if page not in runs:
            folder = tmp_path_factory.mktemp(page.replace("/", "-"))
            shutil.copytree(world, folder, dirs_exist_ok=True)
            runs[page] = PageRun(PAGES[page], folder)
        return runs[page]

    yield run
    for each in runs.values():
        each.close()


@pytest.mark.parametrize(("page", "number"), BLOCKS, ids=[f"{page}:{PAGES[page][n].line}" for page, n in BLOCKS])
def test_a_block_runs_as_printed(page, number, run_of, monkeypatch):
    block = PAGES[page][number]
    assert block.language in LANGUAGES, f"{page}, line {block.line}: a block needs one of {', '.join(LANGUAGES)}"
    if block.kind == "skip":
        assert len(block.argument) > 10, f"{page}, line {block.line}: say why the block is not run"
        return
    monkeypatch.setattr(DialogPolicy, "fit", quick_fit(DialogPolicy.fit))
    run = run_of(page)
    monkeypatch.chdir(run.folder)
    run.run(number)
