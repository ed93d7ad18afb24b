"""Simple policies that a trained one must beat, fitted on the same training part."""

from dialog_policy.baselines.baseline import Baseline
from dialog_policy.baselines.storage import load_baselines, load_training_part

__all__ = ["Baseline", "load_baselines", "load_training_part"]
