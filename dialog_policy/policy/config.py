"""All settings of a policy, from Python, a TOML file or ``KEY=VALUE`` on the command line."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any

import msgspec
import numpy as np

from dialog_policy.errors import OptionError, check_known
from dialog_policy.features.settings import EncoderSettings
from dialog_policy.network.config import NetworkConfig
from dialog_policy.policy.explain import explain
from dialog_policy.text.vectors import VECTORS_TO_FILE

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

__all__ = ["Config", "current_names", "make_config", "parse_settings", "read_settings", "setting_names", "tomllib"]

# Settings that had another name up to version 0.1: the name of today, and the values of today.
_RENAMED: dict[str, tuple[str, dict[str, str]]] = {
    "decisions": ("decoding", {"sets": "joint", "bits": "independent"}),
}


class Config(NetworkConfig, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Settings of a policy: those of :class:`~dialog_policy.network.config.NetworkConfig`, and how text becomes vectors.

    Users, files and runs name all settings side by side, those of the encoders too: :func:`make_config` and :meth:`flat`. What
    each of them does is said by the parameter of the same name of :class:`~dialog_policy.policy.DialogPolicy`.
    """

    encoders: EncoderSettings = EncoderSettings()
    fallback_precision: Annotated[float, msgspec.Meta(gt=0.0, lt=1.0)] | None = None

    def flat(self) -> dict[str, Any]:
        """Return all settings by name, as JSON and TOML have them."""
        settings: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(self))
        encoders: dict[str, Any] = settings.pop("encoders")
        return {**settings, **encoders}


def setting_names() -> list[str]:
    """Names of all settings."""
    return [*(name for name in Config.__struct_fields__ if name != "encoders"), *EncoderSettings.__struct_fields__]


def current_names(settings: Mapping[str, Any], *, warn: bool = True) -> dict[str, Any]:
    """Return settings by the names and with the values that they have today.

    Parameters
    ----------
    settings
        By their names of today or of an earlier version, such as a run's.
    warn
        Whether to warn (DeprecationWarning) of old names.
    """
    renamed = {}
    for name, value in settings.items():
        new, values = _RENAMED.get(name, (name, {}))
        renamed[new] = values.get(value, value) if values and isinstance(value, str) else value
        if new != name and warn:
            warnings.warn(
                f"the setting {name}={value!r} is now called {new}={renamed[new]!r}. The next version will not accept the "
                "old name.",
                DeprecationWarning,
                stacklevel=3,
            )
    return renamed


def make_config(settings: Mapping[str, Any], base: Config | None = None) -> Config:
    """Return `base` (the defaults, unless given) with some settings changed.

    Raises
    ------
    OptionError
        If a setting is unknown or its value impossible.
    """
    settings, known = current_names(settings), setting_names()
    for name in settings:
        if name == "bidirectional":
            raise OptionError(
                "there is no bidirectional network, because a policy acts before it knows the next turns."
            )
        check_known("setting", name, known)
    merged = (base or Config()).flat() | {name: _builtins(name, value) for name, value in settings.items()}
    merged["encoders"] = {name: merged.pop(name) for name in EncoderSettings.__struct_fields__}
    _check_numbers(merged)
    try:
        config = msgspec.convert(merged, Config)
    except msgspec.ValidationError as error:
        raise OptionError(explain(error, Config, merged)) from None
    for part in ("user", "system", "context"):
        for number, encoder in enumerate(getattr(config.encoders, part)):
            shortest, longest = getattr(encoder, "ngrams", (1, 1))
            if shortest > longest:
                raise OptionError(
                    f"setting {part}[{number}].ngrams: expected the shorter length first; found [{shortest}, {longest}]."
                )
    return config


def _builtins(name: str, value: Any) -> Any:
    """Return a setting's value as JSON and TOML have it; numbers and arrays of NumPy, such as those of a grid, are plain ones."""

    def plain(one: Any) -> Any:
        if isinstance(one, np.generic | np.ndarray):
            return one.tolist()
        if isinstance(one, os.PathLike):
            return os.fspath(one)
        advice = ""
        if hasattr(one, "save_word2vec_format") or hasattr(one, "wv"):
            advice = f" {VECTORS_TO_FILE}"
        raise OptionError(f"setting {name}: found a value of an impossible type, {type(one).__name__}.{advice}")

    try:
        return msgspec.to_builtins(value, enc_hook=plain)
    except (TypeError, RecursionError) as error:  # such as a dict whose keys are no strings
        raise OptionError(f"setting {name}: found a value of an impossible type ({error}).") from None


def _check_numbers(settings: Mapping[str, Any]) -> None:
    """Refuse NaN, which is within any bounds for msgspec, and numbers that are too large for it to compare with a bound."""
    for field in msgspec.structs.fields(Config):
        value = settings.get(field.name)
        values = value if isinstance(value, list | tuple) else (value,)
        if any(isinstance(one, int | float) and (one != one or abs(one) >= 2**63) for one in values):
            raise OptionError(
                explain(msgspec.ValidationError(f"Not a possible number - at `$.{field.name}`"), Config, settings)
            )


def parse_settings(assignments: Iterable[str]) -> dict[str, Any]:
    """Parse ``KEY=VALUE`` words; values are TOML, and what is not TOML is a string.

    Raises
    ------
    OptionError
        If a word has no ``=``.
    """
    settings: dict[str, Any] = {}
    for assignment in assignments:
        key, equals, value = assignment.partition("=")
        if not equals or not key:
            raise OptionError(f"expected KEY=VALUE, found {assignment!r}.")
        try:
            settings[key] = tomllib.loads(f"value = {value}")["value"]
        except (ValueError, RecursionError):  # besides TOMLDecodeError: a number of thousands of digits, deep nesting
            settings[key] = value
    return settings


def read_settings(path: str | Path) -> dict[str, Any]:
    """Read settings from a TOML file.

    Raises
    ------
    OptionError
        If the file cannot be read or is not TOML.
    """
    try:
        with open(path, "rb") as file:
            settings: dict[str, Any] = tomllib.load(file)
            return settings
    except FileNotFoundError:
        raise OptionError(f"there is no configuration file {path}.") from None
    except OSError as error:
        raise OptionError(f"the configuration file {path} cannot be read: {error.strerror}.") from None
    # Besides TOMLDecodeError: not UTF-8, a number of thousands of digits, nested too deeply.
    except (ValueError, RecursionError) as error:
        raise OptionError(f"{path}: expected TOML; {error}.") from None
