"""Predictors, decoders and estimators keep the promises of :mod:`dialog_policy.testing`, which needs no pytest to be imported."""

import subprocess
import sys

from dialog_policy import DialogPolicy
from dialog_policy.baselines import load_baselines
from dialog_policy.corpus import ActionSpace
from dialog_policy.corpus.readers import load_corpus
from dialog_policy.ope.estimators import ESTIMATORS
from dialog_policy.ope.importance import LoggedReturn
from dialog_policy.runtime import Policy
from dialog_policy.runtime.decoder import Decoder
from dialog_policy.testing import (
    decoder_checks,
    parametrize_with_checks,
    policy_estimator_checks,
    predictor_checks,
    value_estimator_checks,
)
from tests.conftest import QUICK, REPOSITORY

RUN = REPOSITORY / "tests" / "fixtures" / "run-format-4"
DIALOGUES = load_corpus(RUN.with_name(f"{RUN.name}-dialogues.jsonl"))[:3]
POLICY = Policy.load(RUN)
PREDICTORS = [POLICY, *load_baselines(POLICY.run, POLICY.actions).values()]
SETS = [frozenset(s) for s in ("a", "a", "b", "ab", "", "c", "bcd")]


def _decoders():
    for name, size in (("one action", 1), ("four actions", 4), ("10,000 actions", 10_000)):
        space = ActionSpace([f"a{i}" for i in range(size)] if size != 4 else list("abcd"))
        sets = SETS if size == 4 else [frozenset([action]) for action in space.classes_[:50]]
        for single in (True, False):
            singles = [actions for actions in sets if len(actions) == 1] if single else sets
            kind = "one of" if single else "sets of"
            yield from decoder_checks(f"{kind} {name}", Decoder.fit(space, singles, single_action=single))
    independent = Decoder.fit(ActionSpace(list("abcd")), SETS, single_action=False, whole_sets=False)
    yield from decoder_checks("each of four actions by itself", independent)


def _checks():
    for predictor in PREDICTORS:
        yield from predictor_checks(predictor, list(DIALOGUES))
    yield from _decoders()
    for estimator in ESTIMATORS.values():
        yield from value_estimator_checks(estimator)
    yield from policy_estimator_checks(DialogPolicy(**QUICK | {"epochs": 1}), DIALOGUES)


@parametrize_with_checks(_checks())
def test_contract(check):
    check()


def test_an_estimator_that_forgets_the_weights_is_found_out():
    failed = []
    for check in value_estimator_checks(LoggedReturn()):
        check()  # right for the logging policy itself

    class Wrong(LoggedReturn):
        def terms(self, evidence):
            return super().terms(evidence)._replace(columns=evidence.rewards[:, :1] ** 2)

    for check in value_estimator_checks(Wrong()):
        try:
            check()
        except AssertionError:
            failed.append(check.name)
    assert len(failed) == 2, failed


def test_importing_it_needs_no_pytest_and_nothing_imports_it():
    code = (
        "import sys; sys.modules['pytest'] = None; import dialog_policy.cli; "
        "assert 'dialog_policy.testing' not in sys.modules; import dialog_policy.testing as testing; "
        "assert not {'keras', 'tensorflow'} & set(sys.modules); print(len(testing.__all__))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=REPOSITORY)
    assert int(done.stdout) == 12
