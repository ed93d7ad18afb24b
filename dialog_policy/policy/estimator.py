"""The settings of a policy as scikit-learn's estimators have theirs: stored as they are given, copied and changed by name."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from dialog_policy.errors import OptionError, did_you_mean
from dialog_policy.network.config import ClassWeight, Decoding, Head, Precision, Strategy, Weighting
from dialog_policy.policy.config import Config, current_names, make_config
from dialog_policy.text.encoders import Encoder

__all__ = ["Estimator"]

Encoders = Sequence[Encoder | Mapping[str, Any]]
_DEFAULT = Config()
_Self = TypeVar("_Self", bound="Estimator")


class Estimator:
    """Keeps settings by name. They are checked where they are used: by `config`.

    Defaults are those of :class:`~dialog_policy.policy.config.Config`.
    """

    def __init__(
        self,
        *,
        hidden: int | Sequence[int] = _DEFAULT.hidden,
        head: Head = _DEFAULT.head,
        decoding: Decoding = _DEFAULT.decoding,
        dropout: float = _DEFAULT.dropout,
        epochs: int | None = _DEFAULT.epochs,
        batch_size: int | None = _DEFAULT.batch_size,
        batches: Strategy = _DEFAULT.batches,
        max_lengths: int | None = _DEFAULT.max_lengths,
        window: int = _DEFAULT.window,
        weighting: Weighting = _DEFAULT.weighting,
        learning_rate: float = _DEFAULT.learning_rate,
        weight_decay: float = _DEFAULT.weight_decay,
        averaging: float = _DEFAULT.averaging,
        label_smoothing: float = _DEFAULT.label_smoothing,
        class_weight: ClassWeight = _DEFAULT.class_weight,
        precision: Precision = _DEFAULT.precision,
        patience: int = _DEFAULT.patience,
        smallest_dev: int = _DEFAULT.smallest_dev,
        seed: int = _DEFAULT.seed,
        user: Encoders = _DEFAULT.encoders.user,
        system: Encoders = _DEFAULT.encoders.system,
        context: Encoders = _DEFAULT.encoders.context,
        tokenizer: str = _DEFAULT.encoders.tokenizer,
        entities: bool = _DEFAULT.encoders.entities,
        fallback_precision: float | None = _DEFAULT.fallback_precision,
        **old_names: Any,
    ) -> None:
        self.hidden = hidden
        self.head = head
        self.decoding = decoding
        self.dropout = dropout
        self.epochs = epochs
        self.batch_size = batch_size
        self.batches = batches
        self.max_lengths = max_lengths
        self.window = window
        self.weighting = weighting
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.averaging = averaging
        self.label_smoothing = label_smoothing
        self.class_weight = class_weight
        self.precision = precision
        self.patience = patience
        self.smallest_dev = smallest_dev
        self.seed = seed
        self.user = user
        self.system = system
        self.context = context
        self.tokenizer = tokenizer
        self.entities = entities
        self.fallback_precision = fallback_precision
        self.set_params(**current_names(old_names))

    @classmethod
    def defaults(cls) -> dict[str, Any]:
        """Names and defaults of the settings."""
        parameters = inspect.signature(cls).parameters.values()
        return {p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY}

    @classmethod
    def from_config(cls: type[_Self], config: Config | Mapping[str, Any]) -> _Self:
        """Make a policy with these settings: a checked configuration, or those that a run names (``policy.info["config"]``)."""
        if not isinstance(config, Config):
            config = make_config(current_names(config, warn=False))
        parts = (config, config.encoders)
        return cls(**{name: getattr(part, name) for part in parts for name in cls.defaults() if hasattr(part, name)})

    @property
    def config(self) -> Config:
        """The settings, checked.

        Raises
        ------
        OptionError
            If one is impossible.
        """
        return make_config(self.get_params())

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the settings by name, as scikit-learn's estimators do; `deep` makes no difference."""
        return {name: getattr(self, name) for name in self.defaults()}

    def set_params(self: _Self, **settings: Any) -> _Self:
        """Change settings by name.

        Raises
        ------
        OptionError
            If a setting is unknown.
        """
        known = self.defaults()
        for name, value in current_names(settings).items():
            if name not in known:
                make_config({name: value})  # says why
                raise OptionError(f"there is no setting {name!r}.{did_you_mean(name, known)}")
            setattr(self, name, value)
        return self

    def __repr__(self) -> str:
        defaults = self.defaults()
        # Compared as they are shown: whether an array equals something has no one answer.
        shown = ((name, repr(value)) for name, value in self.get_params().items())
        changed = (f"{name}={value}" for name, value in shown if value != repr(defaults[name]))
        return f"{type(self).__name__}({', '.join(changed)})"

    def __sklearn_tags__(self) -> Any:
        """Say to scikit-learn that there is no y."""
        from sklearn.utils import InputTags, Tags, TargetTags

        return Tags(
            estimator_type=None,
            target_tags=TargetTags(required=False),
            input_tags=InputTags(two_d_array=False),
            non_deterministic=False,
        )
