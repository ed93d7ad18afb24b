"""A trained policy inside somebody's program: numpy and onnxruntime, no TensorFlow."""

from dialog_policy.runtime.policy import Policy

__all__ = ["Policy"]
