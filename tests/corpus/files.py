"""What the tests of single readers have in common: files of our own, what is read from them."""

import json

from dialog_policy.corpus.readers import load_corpus


def put(folder, **files):
    """Write members, `__` for a slash; what is no text becomes JSON."""
    for name, content in files.items():
        path = folder / name.replace("__", "/")
        path = path if path.suffix else path.with_suffix(".json")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return folder


def read(path, **options):
    return list(load_corpus(path, reader=options))


def said(dialogue):
    return [(turn.user, turn.actions, turn.system) for turn in dialogue.turns]
