"""The estimators by their keys, in the order of reports."""

from __future__ import annotations

from dialog_policy.ope.doubly_robust import DirectMethod, DoublyRobust, SelfNormalizedDR, WeightedDR
from dialog_policy.ope.evidence import Estimator
from dialog_policy.ope.importance import (
    InversePropensityScoring,
    PerDecisionIS,
    SelfNormalizedIPS,
    WeightedPerDecisionIS,
)
from dialog_policy.ope.magic import MAGIC
from dialog_policy.ope.mips import MarginalizedIPS
from dialog_policy.ope.shrinkage import DRos, SwitchDR

__all__ = ["ESTIMATORS"]

_ALL: tuple[Estimator, ...] = (
    DirectMethod(),
    InversePropensityScoring(),
    SelfNormalizedIPS(),
    DoublyRobust(),
    PerDecisionIS(),
    WeightedPerDecisionIS(),
    SelfNormalizedDR(),
    WeightedDR(),
    SwitchDR(),
    DRos(),
    MAGIC(),
    MarginalizedIPS(),
)
ESTIMATORS: dict[str, Estimator] = {estimator.key: estimator for estimator in _ALL}
