"""All settings of a policy in one flat object, from Python, a TOML file or ``KEY=VALUE`` on the command line."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any

import msgspec

from dialog_policy.errors import OptionError, did_you_mean
from dialog_policy.network.config import NetworkConfig
from dialog_policy.policy.explain import explain
from dialog_policy.text.encoders import Bits, Encoder, Lsa

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

__all__ = ["Config", "make_config", "parse_settings", "read_settings", "tomllib"]


class Config(NetworkConfig, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Settings of a policy: those of :class:`~dialog_policy.network.config.NetworkConfig`, and how text becomes vectors.

    Attributes
    ----------
    user, system, context
        Encoders of the user's utterance, of the system's previous utterance and of the context; what several encoders
        yield is concatenated.
    tokenizer
        ``"default"``, or the name of an installed entry point in the group ``dialog_policy.tokenizers``.
    entities
        Whether values that the corpus' gazetteer or the dialogue's records list are looked for: the user's utterance is
        encoded with their types in their place, and what the dialogue has said of them so far is known to the network.
    fallback_precision
        How often the policy is to be right when it acts: the confidence below which a step is a fallback is chosen for it on
        the dev part. None: 0.3.
    """

    user: tuple[Encoder, ...] = (
        Bits(),
        Lsa(unit="word", ngrams=(1, 2), dim=200),
        Lsa(unit="character", ngrams=(3, 5), dim=100),
    )
    system: tuple[Encoder, ...] = (Lsa(unit="word", ngrams=(1, 2), dim=100),)
    context: tuple[Encoder, ...] = (Bits(), Lsa(dim=100))
    tokenizer: str = "default"
    entities: bool = True
    fallback_precision: Annotated[float, msgspec.Meta(gt=0.0, lt=1.0)] | None = None


def make_config(settings: Mapping[str, Any], base: Config | None = None) -> Config:
    """Return `base` (the defaults, unless given) with some settings changed.

    Raises
    ------
    OptionError
        If a setting is unknown or its value impossible.
    """
    known = Config.__struct_fields__
    for name in settings:
        if name == "bidirectional":
            raise OptionError(
                "there are no bidirectional networks here: a policy acts before it knows what comes next."
            )
        if name not in known:
            raise OptionError(f"there is no setting {name!r}; known: {', '.join(known)}.{did_you_mean(name, known)}")
    merged = {**msgspec.to_builtins(base or Config()), **msgspec.to_builtins(dict(settings))}
    try:
        return msgspec.convert(merged, Config)
    except msgspec.ValidationError as error:
        raise OptionError(explain(error, Config, merged)) from None


def parse_settings(assignments: Iterable[str]) -> dict[str, Any]:
    """Parse ``KEY=VALUE`` words; values are TOML, and what is no TOML is a string.

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
        except tomllib.TOMLDecodeError:
            settings[key] = value
    return settings


def read_settings(path: str | Path) -> dict[str, Any]:
    """Read settings from a TOML file.

    Raises
    ------
    OptionError
        If the file is missing or no TOML.
    """
    try:
        with open(path, "rb") as file:
            settings: dict[str, Any] = tomllib.load(file)
            return settings
    except FileNotFoundError:
        raise OptionError(f"there is no configuration file {path}.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise OptionError(f"{path}: expected TOML; {error}.") from None
