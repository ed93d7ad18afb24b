"""Sentence models so small that a test makes them: a vector a token, weighed by its position."""

import json

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "cheap", "italian", "food", "place", "##s", "thanks"]
DIM = 6
VECTORS = np.random.default_rng(0).normal(size=(len(WORDS), DIM)).astype(np.float32)
INPUTS = ("input_ids", "attention_mask", "token_type_ids")


def onnx_model(nodes=None, constants=(), inputs=INPUTS, shape=("batch", "tokens", DIM), output=TensorProto.FLOAT):
    """Return a model; without `nodes`, the one that looks each token's vector up."""
    if nodes is None:
        constants = [numpy_helper.from_array(VECTORS, "vectors"), *constants]
        nodes = [helper.make_node("Gather", ["vectors", "input_ids"], ["tokens"])]
    typed = [helper.make_tensor_value_info(name, TensorProto.INT64, ("batch", "tokens")) for name in inputs]
    outputs = [helper.make_tensor_value_info("tokens", output, shape)]
    graph = helper.make_graph(nodes, "g", typed, outputs, list(constants))
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def tokenizer_json(**changed):
    """Return the content of a ``tokenizer.json`` of word pieces, which truncates and pads unless it is told not to."""
    described = {
        "version": "1.0",
        "truncation": {"max_length": 8, "strategy": "LongestFirst", "stride": 0, "direction": "Right"},
        "padding": {"strategy": {"Fixed": 8}, "direction": "Right", "pad_to_multiple_of": None, "pad_id": 0, "pad_type_id": 0, "pad_token": "[PAD]"},
        "added_tokens": [],
        "normalizer": {"type": "BertNormalizer", "clean_text": True, "handle_chinese_chars": True, "strip_accents": None, "lowercase": True},
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": {"type": "BertProcessing", "sep": ["[SEP]", 3], "cls": ["[CLS]", 2]},
        "decoder": None,
        "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##", "max_input_chars_per_word": 100,
                  "vocab": {word: number for number, word in enumerate(WORDS)}},
    }  # fmt: skip
    return json.dumps(described | changed).encode()


def write_model(folder, model=None, tokenizer=None):
    """Write a model and its tokenizer; return the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    onnx.save(model or onnx_model(), folder / "model.onnx")
    (folder / "tokenizer.json").write_bytes(tokenizer or tokenizer_json())
    return folder
