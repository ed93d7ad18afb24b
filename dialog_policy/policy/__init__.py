"""The policy to train, and its settings."""

from dialog_policy.policy.config import Config, make_config
from dialog_policy.policy.dialog_policy import DialogPolicy, hold_out

__all__ = ["Config", "DialogPolicy", "hold_out", "make_config"]
