"""The policy to train, and its settings."""

from dialog_policy.policy.config import Config, make_config
from dialog_policy.policy.dialog_policy import DialogPolicy
from dialog_policy.policy.folds import cross_validate
from dialog_policy.policy.parts import hold_out

__all__ = ["Config", "DialogPolicy", "cross_validate", "hold_out", "make_config"]
