import json
import zipfile

import pytest
from click.testing import CliRunner

from dialog_policy.baselines import load_baselines
from dialog_policy.cli import main
from dialog_policy.corpus.write import write_corpus
from dialog_policy.errors import OptionError, RunError
from dialog_policy.runtime import Policy
from dialog_policy.runtime.export import export_run


@pytest.fixture(scope="module")
def run(trained, tmp_path_factory):
    folder = tmp_path_factory.mktemp("export") / "run"
    trained.save(folder)
    return folder


@pytest.fixture(scope="module")
def evaluation(run, small):
    corpus, file = run.parent / "small.jsonl", run.parent / "evaluation.json"
    write_corpus(small, corpus)
    assert CliRunner().invoke(main, ["evaluate", str(run), str(corpus), "--json", str(file)]).exit_code == 0
    return json.loads(file.read_text())


def test_the_archive_serves_like_the_run(run, small, tmp_path):
    export_run(run, tmp_path / "p.zip")
    packed, whole = Policy.load(tmp_path / "p.zip"), Policy.load(run)
    assert packed.id == whole.id
    assert list(packed.predict(small)) == list(whole.predict(small))
    assert packed.start().respond("hello") == whole.start().respond("hello")
    assert packed.fingerprints == whole.fingerprints
    assert load_baselines(packed.run, packed.actions) == {}
    assert (tmp_path / "p.zip").stat().st_size < sum(file.stat().st_size for file in run.iterdir() if file.is_file())


def test_the_same_run_gives_the_same_bytes(run, tmp_path):
    for name in ("a.zip", "b.zip"):
        export_run(run, tmp_path / name, licence="MIT")
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()


def test_the_card_says_what_was_measured(run, evaluation, tmp_path):
    file, target = tmp_path / "evaluation.json", tmp_path / "p.zip"
    file.write_text(json.dumps(evaluation))
    done = CliRunner().invoke(main, ["export", str(run), str(target), "--licence", "CC0", "--evaluation", str(file)])
    assert done.exit_code == 0, done.output
    with zipfile.ZipFile(target) as archive:
        card = archive.read("MODEL_CARD.md").decode()
    assert "Licence: CC0" in card
    assert f"| this policy | {evaluation['turn_accuracy']:.3f} |" in card
    assert f"| majority | {evaluation['baselines']['majority']['turn_accuracy']:.3f} |" in card
    assert f"{evaluation['dialogues']} dialogues, {evaluation['turns']} turns" in card
    for action in Policy.load(run).actions.classes_:
        assert f"`{action}`" in card


@pytest.mark.parametrize("intervals", [None, {}, {"turn_accuracy": None}])
def test_a_card_without_intervals_or_a_figure_leaves_them_out(run, evaluation, tmp_path, intervals):
    measured = {key: value for key, value in evaluation.items() if key != "ci95"} | {"micro_f1": None}
    export_run(run, tmp_path / "p.zip", evaluation=measured | ({} if intervals is None else {"ci95": intervals}))
    with zipfile.ZipFile(tmp_path / "p.zip") as archive:
        card = archive.read("MODEL_CARD.md").decode()
    assert "95 % CI" not in card
    assert f"| this policy | {evaluation['turn_accuracy']:.3f} | {evaluation['dialogue_accuracy']:.3f} | – |" in card


def test_without_an_evaluation_the_card_says_so(run, tmp_path):
    export_run(run, tmp_path / "p.zip")
    with zipfile.ZipFile(tmp_path / "p.zip") as archive:
        card = archive.read("MODEL_CARD.md").decode()
    assert "Not evaluated" in card
    assert "Licence: not stated" in card


def test_evaluate_works_on_the_archive(run, evaluation, tmp_path):
    export_run(run, tmp_path / "p.zip")
    corpus, file = str(run.parent / "small.jsonl"), str(tmp_path / "e.json")
    assert CliRunner().invoke(main, ["evaluate", str(tmp_path / "p.zip"), corpus, "--json", file]).exit_code == 0
    again = json.loads((tmp_path / "e.json").read_text())
    assert again["turn_accuracy"] == evaluation["turn_accuracy"]
    assert again["baselines"] == {}


def test_mistakes_leave_nothing(run, evaluation, tmp_path):
    with pytest.raises(OptionError, match=r"\.zip"):
        export_run(run, tmp_path / "p.tar")
    with pytest.raises(OptionError, match="not one of the run"):
        export_run(run, tmp_path / "p.zip", evaluation={**evaluation, "policy": "another"})
    with pytest.raises(OptionError, match=r"not a whole evaluation .* missing required field"):
        export_run(run, tmp_path / "p.zip", evaluation={"policy": evaluation["policy"]})
    with pytest.raises(RunError, match="no run"):
        export_run(tmp_path / "nowhere", tmp_path / "p.zip")
    for content in ("[]", "{"):
        (tmp_path / "bad.json").write_text(content)
        done = CliRunner().invoke(
            main, ["export", str(run), str(tmp_path / "p.zip"), "--evaluation", str(tmp_path / "bad.json")]
        )
        assert done.exit_code == 2
        assert "bad.json" in done.output
    assert [path.name for path in tmp_path.iterdir()] == ["bad.json"]


def test_a_damaged_archive_is_refused(run, tmp_path):
    target = tmp_path / "p.zip"
    export_run(run, target)
    content = target.read_bytes()
    target.write_bytes(content[: len(content) // 2])
    with pytest.raises(RunError, match=r"p\.zip"):
        Policy.load(target)


@pytest.mark.parametrize("damage", ["bytes", "content"])
def test_one_damaged_file_is_named_by_whatever_opens_the_archive(run, evaluation, tmp_path, damage):
    """Loading reads the graph, too, although chatting does not need it."""
    target = tmp_path / "p.zip"
    export_run(run, target)
    if damage == "bytes":
        with zipfile.ZipFile(target) as archive:
            start = archive.getinfo("model.onnx").header_offset
        content = bytearray(target.read_bytes())
        content[start + 200 : start + 260] = bytes(60)
        target.write_bytes(content)
        message = f"the file model.onnx in {target} is damaged"
    else:
        with zipfile.ZipFile(target) as archive:
            files = {name: archive.read(name) for name in archive.namelist()}
        with zipfile.ZipFile(target, "w") as archive:
            for name, content in files.items():
                archive.writestr(name, content + b" " if name == "model.onnx" else content)
        message = f"{target}/model.onnx was changed after training"
    with pytest.raises(RunError, match=message):
        Policy.load(target)
    for command in (["chat", str(target)], ["evaluate", str(target), str(run.parent / "small.jsonl")]):
        done = CliRunner().invoke(main, command)
        assert done.exit_code == 2
        assert message in done.output


def test_a_damaged_folder_is_refused_when_it_is_opened(trained, tmp_path):
    trained.save(tmp_path / "run")
    (tmp_path / "run" / "model.onnx").write_bytes(b"")
    with pytest.raises(RunError, match=r"model\.onnx was changed after training"):
        Policy.load(tmp_path / "run")


def test_an_export_replaces_an_export_and_keeps_its_link(run, tmp_path):
    export_run(run, tmp_path / "first.zip")
    (tmp_path / "current.zip").symlink_to("first.zip")
    export_run(run, tmp_path / "current.zip", licence="MIT")
    assert (tmp_path / "current.zip").is_symlink()
    with zipfile.ZipFile(tmp_path / "first.zip") as archive:
        assert "Licence: MIT" in archive.read("MODEL_CARD.md").decode()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["current.zip", "first.zip"]


def test_the_card_says_first_what_a_reader_must_know(run, evaluation, tmp_path):
    warning = "The run was trained on 24 of these 24 dialogues."
    export_run(run, tmp_path / "p.zip", evaluation=evaluation | {"warnings": [warning]})
    with zipfile.ZipFile(tmp_path / "p.zip") as archive:
        card = archive.read("MODEL_CARD.md").decode()
    results = card[card.index("## How often it is right") :]
    assert results.index(warning) < results.index("turn accuracy")
    assert card.startswith("# run: a dialogue policy trained on desk.jsonl")
