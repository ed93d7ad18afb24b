"""What a Rasa project declares: the names in its domain, and the intents that have examples."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from dialog_policy.corpus.readers.rasa.documents import Entry, sections
from dialog_policy.corpus.readers.source import Source
from dialog_policy.errors import CorpusError, did_you_mean

__all__ = ["DATA_KEYS", "DOMAIN_KEYS", "Project", "check_section", "declared_names", "read_project"]

DOMAIN_KEYS = ("intents", "entities", "slots", "forms", "actions", "responses", "e2e_actions")
DATA_KEYS = ("stories", "rules", "nlu")
# What else stands at the top of the files of a project: domain, configuration, endpoints, credentials, flows.
_OTHER_KEYS = (
    "version",
    "session_config",
    "config",
    "flows",
    "recipe",
    "assistant_id",
    "language",
    "pipeline",
    "policies",
    "importers",
)


@dataclass
class Project:
    """Names that a project declares.

    Attributes
    ----------
    declared
        Key of the domain, such as ``intents``, to the names under it.
    with_examples
        Intents that have examples under ``nlu``.
    unknown_keys
        Keys at the top of a file that seem to mean another: the key, the file.
    unreadable
        What is wrong with files that are no YAML.
    """

    declared: dict[str, set[str]] = field(default_factory=lambda: {key: set() for key in DOMAIN_KEYS})
    with_examples: set[str] = field(default_factory=set)
    unknown_keys: list[tuple[str, str]] = field(default_factory=list)
    unreadable: list[CorpusError] = field(default_factory=list)

    @property
    def has_domain(self) -> bool:
        """Whether it declares intents or actions; else names cannot be checked."""
        return bool(self.declared["intents"] or self.declared["actions"])


def check_section(key: str, value: Any, path: str) -> None:
    """Refuse stories and examples under a key that Rasa does not know: they would be lost.

    Raises
    ------
    CorpusError
        If the value looks like a story or a rule, and the key is neither ``stories`` nor ``rules``; or if it looks like the
        examples of an intent, and the key is not ``nlu``.
    """
    if not isinstance(value, Entry):
        return
    keys: tuple[str, ...]
    if not value.keys().isdisjoint(("story", "rule")):
        keys, what = ("stories", "rules"), "a story"
    elif {"intent", "examples"} <= value.keys():
        keys, what = ("nlu",), "the examples of an intent"
    else:
        return
    if key not in keys:
        expected = " or ".join(f"'{name}:'" for name in keys)
        raise CorpusError(
            f"expected {expected} above {what}, found {key!r}.",
            path=path,
            line=value.line,
            remedy=did_you_mean(key, keys).strip(),
        )


def read_project(source: Source, members: Iterable[str]) -> Project:
    """Read what the files of a project declare."""
    project = Project()
    for member in members:
        try:
            _read_member(project, source, member)
        except CorpusError as error:
            project.unreadable.append(error)
    return project


def _read_member(project: Project, source: Source, member: str) -> None:
    known = (*DATA_KEYS, *DOMAIN_KEYS, *_OTHER_KEYS)
    seen = set()
    for key, value in sections(source, member):
        key = "responses" if key == "templates" else key  # their name before Rasa 2
        if key in project.declared:
            project.declared[key].update(declared_names(value))
        elif key == "nlu" and isinstance(value, Entry) and isinstance(intent := value.get("intent"), str):
            if value.get("examples"):
                project.with_examples.update((intent, intent.partition("/")[0]))
        elif key not in known and key not in seen and did_you_mean(key, (*DATA_KEYS, *DOMAIN_KEYS)):
            project.unknown_keys.append((key, source.place(member)))
        seen.add(key)


def declared_names(value: Any) -> Iterator[str]:
    """Yield the names that stand under a key of a domain: an item of a list, a mapping of names, or a name with its settings."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Entry):
        yield from value
