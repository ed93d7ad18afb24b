"""Checks for parts of your own: whether a reader, encoder, decoder or store keeps what the rest of the package relies on.

Every function here returns a list of :class:`Check`, made for one object. ``for check in store_checks(...): check()`` runs them;
:func:`parametrize_with_checks` makes a test of each, with an id. A check that fails raises AssertionError and says what was found.
Ours go through the same lists. Nothing here is imported by the rest of the package, and pytest is needed by
:func:`parametrize_with_checks` alone.
"""

from dialog_policy.testing.batches import batch_checks
from dialog_policy.testing.check import Check, parametrize_with_checks
from dialog_policy.testing.decoders import decoder_checks
from dialog_policy.testing.encoders import encoder_checks
from dialog_policy.testing.estimators import policy_estimator_checks, value_estimator_checks
from dialog_policy.testing.predictors import predictor_checks
from dialog_policy.testing.readers import reader_checks
from dialog_policy.testing.samples import ReaderSample, TurnSpec
from dialog_policy.testing.stores import store_checks

__all__ = [
    "Check",
    "ReaderSample",
    "TurnSpec",
    "batch_checks",
    "decoder_checks",
    "encoder_checks",
    "parametrize_with_checks",
    "policy_estimator_checks",
    "predictor_checks",
    "reader_checks",
    "store_checks",
    "value_estimator_checks",
]
