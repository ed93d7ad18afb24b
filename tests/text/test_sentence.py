"""A sentence model encodes each text by itself; what it needs from outside, or gets wrong, is said in a sentence."""

import json
import pickle
import sqlite3
import sys

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from safetensors.numpy import load_file, save_file

from dialog_policy import DialogPolicy
from dialog_policy.corpus import ActionSpace
from dialog_policy.errors import MissingExtraError, OptionError, RunError
from dialog_policy.features.fit import fit_turn_encoder
from dialog_policy.features.settings import EncoderSettings
from dialog_policy.files import sha256_of
from dialog_policy.runtime import Policy
from dialog_policy.testing import encoder_checks, parametrize_with_checks
from dialog_policy.text import sentence_model
from dialog_policy.text.encoders import Bits, Sentence, fit_encoder
from tests.conftest import QUICK
from tests.sentence_models import DIM, VECTORS, WORDS, onnx_model, tokenizer_json, write_model

pytest.importorskip("tokenizers", reason="the extra sentence is not installed")


@pytest.fixture(autouse=True)
def _no_cache(monkeypatch):
    monkeypatch.setenv("DIALOG_POLICY_CACHE", "")


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory):
    return write_model(tmp_path_factory.mktemp("sentence") / "model")


def fit(path, texts=()):
    return fit_encoder(Sentence(path=str(path)), list(texts), sentences=list(texts), seed=0)


@parametrize_with_checks(encoder_checks(Sentence(path="dialog_policy_tiny_sentences")))
def test_contract(check, tmp_path, monkeypatch):
    package = tmp_path / "dialog_policy_tiny_sentences"
    write_model(package / "onnx").joinpath("tokenizer.json").rename(package / "tokenizer.json")
    (package / "__init__.py").write_text("raise SystemExit('a package is looked for, and not imported')")
    monkeypatch.syspath_prepend(str(tmp_path))
    check()


def test_a_text_is_the_mean_of_its_tokens_of_length_one(model_folder):
    table = fit(model_folder)
    ids = [WORDS.index(word) for word in ("[CLS]", "cheap", "place", "##s", "[UNK]", "[SEP]")]
    mean = VECTORS[ids].astype(np.float64).mean(axis=0)
    expected = mean / np.linalg.norm(mean) * np.sqrt(DIM)
    np.testing.assert_allclose(table.encode([["cheap", "places", "unheard"]])[0], expected, rtol=1e-5)
    long = table.encode([["cheap"] * 5 + ["food"] * 5, ["cheap"] * 5 + ["food"]])
    np.testing.assert_array_equal(*long, err_msg="the tokenizer's own limit is 8 tokens, its frame included")


def test_what_is_served_is_what_was_evaluated_and_what_was_kept(model_folder, tmp_path, monkeypatch):
    texts = [["cheap", "food"], [], ["italian"], ["cheap", "food"], ["\ud800"], ["place", "\0"]]
    expected = fit(model_folder).encode(texts)
    monkeypatch.setenv("DIALOG_POLICY_CACHE", str(tmp_path))
    table = fit(model_folder)
    for _ in range(2):  # computed, then from the cache
        np.testing.assert_array_equal(table.encode(texts), expected)
    for tokens, row in zip(texts, expected, strict=True):
        alone = np.zeros(DIM, dtype=np.float32)
        assert table.encode_into(alone, tokens) == bool(tokens)
        np.testing.assert_array_equal(alone, row)
    (kept,) = (tmp_path / "sentences").iterdir()
    with sqlite3.connect(kept) as file:
        assert file.execute("SELECT text FROM vectors ORDER BY text").fetchall() == [("cheap food",), ("italian",)]
        file.execute("UPDATE vectors SET vector = x'00' WHERE text = 'italian'")
    file.close()
    np.testing.assert_array_equal(table.encode(texts), expected, err_msg="what is damaged is computed anew")
    kept.write_bytes(b"no database")
    np.testing.assert_array_equal(table.encode(texts), expected)


def _loop():
    body = helper.make_graph([helper.make_node("Identity", ["go"], ["again"])], "body", [], [])
    return [helper.make_node("Loop", ["n", "go", "input_ids"], ["tokens"], body=body)]


def _outside():
    tensor = numpy_helper.from_array(np.zeros(4, np.float32), "x")
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../../../../etc/passwd")
    return tensor


def _of_nodes(*nodes, constants=(), **options):
    return onnx_model([helper.make_node(*node) for node in nodes], constants, **options)


HALVES = numpy_helper.from_array(np.array([1, 2, DIM // 2], dtype=np.int64), "shape")
HOSTILE = {
    "external data": (onnx_model(constants=[_outside()]), "in another file"),
    "external data in a node": (
        onnx_model([helper.make_node("Constant", [], ["tokens"], value=_outside())]),
        "in another file",
    ),
    "loop": (onnx_model(_loop()), "an operator with a graph of its own"),
    "unknown operator": (
        onnx_model([helper.make_node("Exfiltrate", ["input_ids"], ["tokens"], domain="evil")]),
        "cannot be used",
    ),
    "enormous initialiser": (
        _of_nodes(("Gather", ["x", "input_ids"], ["tokens"]), constants=[TensorProto(dims=[2**40, DIM], data_type=TensorProto.FLOAT, name="x")]),
        "cannot be used",
    ),
    "other inputs": (onnx_model(inputs=("input_ids", "pixels")), "expected a model with the inputs"),
    "no vectors of tokens": (
        _of_nodes(("Identity", ["input_ids"], ["tokens"]), output=TensorProto.INT64, shape=("batch", "tokens")),
        "expected an output of vectors of tokens",
    ),
    "numbers of another kind": (
        _of_nodes(("Gather", ["v", "input_ids"], ["tokens"]), output=TensorProto.DOUBLE, constants=[numpy_helper.from_array(VECTORS.astype(np.float64), "v")]),
        "not an array of float32",
    ),
    "a shape that is no text's": (
        _of_nodes(("ConstantOfShape", ["shape"], ["tokens"]), constants=[HALVES], shape=(None, None, None)),
        "expected vectors of shape",
    ),
    "too few vectors": (
        _of_nodes(("Gather", ["v", "input_ids"], ["tokens"]), constants=[numpy_helper.from_array(VECTORS[:1], "v")]),
        "the sentence model fails for the text 'hello'",
    ),
    "NaN": (
        _of_nodes(("Gather", ["v", "input_ids"], ["tokens"]), constants=[numpy_helper.from_array(VECTORS * np.nan, "v")]),
        "found NaN",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("model", "message"), HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_model_is_refused(model, message, tmp_path):
    with pytest.raises(OptionError, match=message):
        fit(write_model(tmp_path, model))


@pytest.mark.parametrize("content", [b"", b"\xff" * 999, bytes(1000), pickle.dumps([1] * 9), b"\x3a\xff\xff\x03\x00"])
def test_what_is_no_model_is_refused(content, tmp_path):
    folder = write_model(tmp_path)
    (folder / "model.onnx").write_bytes(content)
    with pytest.raises(OptionError, match="cannot be used as a sentence model"):
        fit(folder)


def test_functions_of_its_own_and_graphs_for_training_are_refused(tmp_path):
    model = onnx_model()
    model.functions.append(helper.make_function("f", "g", ["x"], ["y"], [], [helper.make_opsetid("", 17)]))
    with pytest.raises(OptionError, match="functions of its own"):
        fit(write_model(tmp_path, model))
    model = onnx_model()
    model.training_info.append(onnx.TrainingInfoProto())
    with pytest.raises(OptionError, match="a graph for training"):
        fit(write_model(tmp_path, model))


def test_where_a_model_is_looked_for(model_folder, tmp_path):
    assert fit(model_folder / "model.onnx").dim == DIM
    (tmp_path / "empty").mkdir()
    with pytest.raises(OptionError, match="found no ONNX file"):
        fit(tmp_path / "empty")
    for name in ("one", "two"):
        write_model(tmp_path / "several" / name)
    with pytest.raises(OptionError, match=r"found one/model.onnx, two/model.onnx. Name the file"):
        fit(tmp_path / "several")
    (tmp_path / "several" / "one" / "tokenizer.json").unlink()
    with pytest.raises(OptionError, match=r"its tokenizer.json beside it or in the folder above it, found none"):
        fit(tmp_path / "several" / "one")
    with pytest.raises(OptionError, match="no file, no folder and no installed package 'no_such_package'"):
        fit("no_such_package")
    for content in (b"{}", b"\xff", json.dumps({"model": 1}).encode()):
        (tmp_path / "several" / "two" / "tokenizer.json").write_bytes(content)
        with pytest.raises(OptionError, match="cannot be read as a tokenizer"):
            fit(tmp_path / "several" / "two")


def test_a_context_is_no_sentence_and_a_turn_has_one_model(model_folder, tmp_path, small):
    with pytest.raises(OptionError, match="a context is not a sentence"):
        fit_encoder(Sentence(path=str(model_folder)), [["a"]], sentences=[], seed=0, are_terms=True)
    other = write_model(tmp_path, tokenizer=tokenizer_json(truncation=None))
    settings = EncoderSettings(user=(Sentence(path=str(model_folder)),), system=(Sentence(path=str(other)),))
    with pytest.raises(OptionError, match="one sentence model for all parts"):
        fit_turn_encoder(small.split("train"), ActionSpace(["a"]), settings)


@pytest.fixture(scope="module")
def trained_run(model_folder, small, tmp_path_factory):
    part = small.split("train")[:6]
    settings = {"user": [Bits(), Sentence(path=str(model_folder))], "system": [Sentence(path=str(model_folder))]}
    run = tmp_path_factory.mktemp("run") / "run"
    policy = DialogPolicy(**QUICK | settings | {"epochs": 1}).fit(part)
    policy.save(run)
    return run, part, list(policy.predict(part))


def test_a_run_has_its_model_and_serves_as_it_evaluates(trained_run, model_folder, monkeypatch):
    run, part, expected = trained_run
    monkeypatch.setattr(sentence_model, "files_of_model", None)  # the run needs no other place
    arrays = load_file(run / "encoder.safetensors")
    assert arrays["sentence.model"].tobytes() == (model_folder / "model.onnx").read_bytes()
    policy = Policy.load(run)
    assert list(policy.predict(part)) == expected
    session, first = policy.start(), part[0]
    for turn, evaluated in zip(first.turns, expected, strict=False):
        step = session.respond(turn.user, turn.context)
        session.observe(actions=turn.actions, system=turn.system)
        assert evaluated.dialogue == first.id
        assert step.actions == evaluated.actions
        assert {name: step.probabilities[name] for name in evaluated.probabilities} == pytest.approx(
            evaluated.probabilities, abs=1e-5
        )


def test_a_run_without_the_extra_or_with_another_model_is_refused(trained_run, monkeypatch):
    run, _, _ = trained_run
    with monkeypatch.context() as patched:
        patched.setitem(sys.modules, "tokenizers", None)
        patched.setattr(sentence_model, "_loaded", {})
        with pytest.raises(MissingExtraError, match=r"a sentence encoder needs tokenizers.*dialog-policy\[sentence\]"):
            Policy.load(run)
    good, manifest = load_file(run / "encoder.safetensors"), json.loads((run / "run.json").read_text())
    for changed, message in (
        ({"sentence.tokenizer": np.frombuffer(tokenizer_json(padding=None), np.uint8)}, "not the sentence model of training"),
        ({"sentence.model": np.frombuffer(onnx_model(constants=[_outside()]).SerializeToString(), np.uint8)}, "in another file"),
        ({"sentence.model": np.zeros(3, np.float32)}, "a sentence model and its tokenizer as bytes"),
    ):  # fmt: skip
        save_file({**good, **changed}, run / "encoder.safetensors")
        manifest["files"]["encoder.safetensors"] = sha256_of(run / "encoder.safetensors")
        (run / "run.json").write_text(json.dumps(manifest))
        with pytest.raises(RunError, match=rf"encoder.json is damaged: .*{message}"):
            Policy.load(run)
