import zipfile

import pytest

from dialog_policy.corpus.readers import load_corpus
from dialog_policy.errors import OptionError
from dialog_policy.policy import make_config
from dialog_policy.policy.recipes import load_recipe, recipe_names
from tests.cli.commands import run

FILES = {
    "babi5": "dialog-bAbI-tasks.zip",
    "babi6": "dialog-bAbI-tasks.zip",
    "dstc2": "dstc2.zip",
    "sgd": "sgd.zip",
    "sim-m": "sim-M.zip",
    "star": "star.zip",
    "ted-paper": "ted-paper.zip",
}


def test_every_recipe_of_the_help_is_there():
    assert recipe_names() == sorted(FILES)


@pytest.mark.parametrize("name", sorted(FILES))
def test_a_recipe_has_settings_and_reader_options_that_exist(name, public_corpora, tmp_path):
    settings, reader = load_recipe(name)
    make_config(settings)
    corpus = public_corpora(FILES[name])
    if name == "sgd":
        corpus = first_files(corpus, tmp_path / corpus.name)
    assert load_corpus(corpus, reader=reader).reader_options.items() >= reader.items()


def first_files(archive, copy):
    """The first file of dialogues of each part, which is read in a second where the whole takes ten."""
    with zipfile.ZipFile(archive) as whole, zipfile.ZipFile(copy, "w") as few:
        for name in whole.namelist():
            if name.endswith(("_001.json", "schema.json")):
                few.writestr(name, whole.read(name))
    return copy


def test_a_misspelt_recipe_is_refused_with_a_hint():
    with pytest.raises(OptionError, match="Did you mean 'star'"):
        load_recipe("sta")


def test_settings_change_a_recipe(tmp_path):
    refused = run(
        "train", "corpora/desk.jsonl", "--recipe", "star", "--set", "hidden=-1", "--out", tmp_path / "r", code=2
    )
    assert "hidden" in refused.output
