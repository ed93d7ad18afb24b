"""A logistic regression over words as people write it with scikit-learn: each set of actions is a class.

Its words are those of the plain Keras network (what the user says now, the context, the actions before), and those that the user
has said earlier in the dialogue.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.peers.files import Decide, dialogues, main, sets_of, tokens_of_turns


def _examples(dialogue: dict[str, Any]) -> Iterator[tuple[list[str], list[str] | None]]:
    earlier: dict[str, None] = {}
    for turn, (tokens, actions) in zip(dialogue["turns"], tokens_of_turns(dialogue), strict=True):
        yield [*tokens, *earlier], actions
        earlier.update(dict.fromkeys(f"earlier:{word}" for word in (turn.get("user") or "").lower().split()))


def fit(folder: Path, out: Path) -> None:
    """Fit the regression; nothing of it is chosen by the dev part."""
    import numpy as np
    from sklearn.feature_extraction.text import CountVectorizer
    from sklearn.linear_model import LogisticRegression

    train = dialogues(folder, "train")
    sets = sets_of(train)
    number = {actions: n for n, actions in enumerate(sets)}
    seen = [(tokens, done) for d in train for tokens, done in _examples(d) if done is not None]
    vectorizer = CountVectorizer(analyzer=list, binary=True)
    x = vectorizer.fit_transform(tokens for tokens, _ in seen)
    model = LogisticRegression(max_iter=1_000).fit(x, [number[tuple(sorted(done))] for _, done in seen])
    np.savez(out / "model.npz", classes=model.classes_, coef=model.coef_, intercept=model.intercept_)
    words = {word: int(column) for word, column in vectorizer.vocabulary_.items()}
    (out / "names.json").write_text(json.dumps([words, sets]), encoding="utf-8")


def load(out: Path) -> Decide:
    """Load the coefficients; a turn is decided by the likeliest class."""
    import numpy as np
    from sklearn.feature_extraction.text import CountVectorizer
    from sklearn.linear_model import LogisticRegression

    words, sets = json.loads((out / "names.json").read_text(encoding="utf-8"))
    vectorizer = CountVectorizer(analyzer=list, binary=True, vocabulary=words)
    model = LogisticRegression()
    with np.load(out / "model.npz") as arrays:
        model.classes_, model.coef_, model.intercept_ = arrays["classes"], arrays["coef"], arrays["intercept"]

    def decide(dialogue: dict[str, Any]) -> Iterator[list[str]]:
        for tokens, _ in _examples(dialogue):
            yield sets[model.predict(vectorizer.transform([tokens]))[0]]

    return decide


if __name__ == "__main__":
    main(fit, load)
