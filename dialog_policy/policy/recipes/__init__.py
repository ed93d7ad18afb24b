"""Recipes: for a known corpus, the settings that did best on its dev part and the reader options of its protocol.

A recipe is a TOML file beside this one: settings of a policy, and a table ``reader``.
"""

from __future__ import annotations

from importlib.resources import files
from typing import Any

from dialog_policy.errors import check_known
from dialog_policy.policy.config import tomllib

__all__ = ["load_recipe", "recipe_names"]


def recipe_names() -> list[str]:
    """Names of all recipes, sorted."""
    names = (entry.name for entry in files(__name__).iterdir())
    return sorted(name.removesuffix(".toml") for name in names if name.endswith(".toml"))


def load_recipe(name: str) -> tuple[dict[str, Any], dict[str, str]]:
    """Return a recipe's settings and its reader options.

    Raises
    ------
    OptionError
        If there is no such recipe.
    """
    check_known("recipe", name, recipe_names())
    settings = tomllib.loads((files(__name__) / f"{name}.toml").read_text(encoding="utf-8"))
    reader: dict[str, str] = settings.pop("reader", {})
    return settings, reader
