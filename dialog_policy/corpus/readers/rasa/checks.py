"""What ``rasa data validate`` looks for: names that the domain lacks, names that nothing uses, stories in conflict."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from dialog_policy.corpus.contradictions import Contradictions
from dialog_policy.corpus.dialogue import Dialogue
from dialog_policy.corpus.problems import SHOWN_PLACES, Level, Place, Problem, of_reading
from dialog_policy.corpus.readers.rasa.project import DATA_KEYS, DOMAIN_KEYS, Project
from dialog_policy.corpus.readers.rasa.stories import Did, Part, Said
from dialog_policy.errors import counted, did_you_mean

__all__ = ["SIMILAR", "conflicts", "problems"]

# Names that every project has.
_BUILT_IN = {
    "action": {
        "action_listen",
        "action_restart",
        "action_session_start",
        "action_default_fallback",
        "action_deactivate_loop",
        "action_revert_fallback_events",
        "action_default_ask_affirmation",
        "action_default_ask_rephrase",
        "action_two_stage_fallback",
        "action_unlikely_intent",
        "action_back",
        "action_extract_slots",
        "action_send_text",
    },
    "intent": {"restart", "back", "out_of_scope", "session_start", "nlu_fallback"},
    "slot": {"requested_slot", "session_started_metadata"},
    "form": set[str](),
    "entity": set[str](),
}
_PLURALS = {"action": "actions", "intent": "intents", "slot": "slots", "form": "forms", "entity": "entities"}
# A policy that sees an undeclared entity learns all the same; Rasa refuses the others.
_LEVELS: dict[str, Level] = {
    "action": "error",
    "intent": "error",
    "slot": "error",
    "form": "error",
    "entity": "warning",
}
_SHOWN_NAMES = 10
# Names begin alike: "utter_done" is no misspelt "utter_song".
SIMILAR = 0.85

_Uses = dict[str, list[Place]]


def problems(project: Project, items: Iterable[Sequence[Part]]) -> list[Problem]:
    """Compare stories and rules with what their project declares.

    Parameters
    ----------
    project
        What it declares.
    items
        The parts of each story and rule; none of one in which nothing happens.
    """
    uses: dict[str, _Uses] = {kind: {} for kind in _PLURALS}
    for parts in items:
        for part in parts:
            for kind, name in _used(part):
                of_name = uses[kind].setdefault(name, [])
                place = Place(part.name, file=part.path, line=part.line)
                if place not in of_name[-1:]:
                    of_name.append(place)
    listed = [
        Problem(
            "warning",
            "unknown-key",
            f"The key {key!r} means nothing to Rasa",
            did_you_mean(key, (*DATA_KEYS, *DOMAIN_KEYS)).strip(),
            places=[Place(file=path)],
        )
        for key, path in project.unknown_keys
    ]
    listed += [of_reading(error) for error in project.unreadable]
    if not project.has_domain:
        message = "No domain (intents, actions) is among the files, so names in the stories are not checked"
        return [*listed, Problem("note", "no-domain", message, "Name the folder of the whole project.")]
    known = _known(project)
    for kind, places in uses.items():
        listed += _undeclared(kind, places, known[kind])
    return [*listed, *_without_texts(project, uses), *_unused(project, uses)]


def _known(project: Project) -> dict[str, set[str]]:
    declared = project.declared
    # The responses "utter_faq/hours", "utter_faq/prices" belong to the action "utter_faq".
    responses = declared["responses"] | {name.partition("/")[0] for name in declared["responses"]}
    intents = declared["intents"] | {name.partition("/")[0] for name in declared["intents"]}
    return {
        "action": declared["actions"] | declared["e2e_actions"] | declared["forms"] | responses | _BUILT_IN["action"],
        "intent": intents | _BUILT_IN["intent"],
        "slot": declared["slots"] | _BUILT_IN["slot"],
        "form": declared["forms"],
        "entity": declared["entities"],
    }


def _used(part: Part) -> Iterator[tuple[str, str]]:
    """Kind and name of everything that a part names."""
    for alternatives in part.steps:
        for step in alternatives:
            if isinstance(step, Said):
                if step.intent:
                    yield "intent", step.intent
                yield from (("entity", name) for name in step.entities)
            elif isinstance(step, Did):
                if step.action != step.text:  # the text of a bot's message is no name
                    yield "action", step.action
            elif step.slots is not None:
                yield from (("slot", name) for name in step.slots)
            elif step.active_loop is not None:
                yield "form", step.active_loop


def _undeclared(kind: str, places: Mapping[str, list[Place]], known: set[str]) -> Iterator[Problem]:
    for name, uses in places.items():
        # An entity stands with its role and group: "city-from".
        is_known = name in known or (kind == "entity" and any(name.startswith(f"{entity}-") for entity in known))
        base = name.partition("/")[0]
        if is_known or (kind == "intent" and base in known and name not in known and base not in _BUILT_IN["intent"]):
            continue
        hint = did_you_mean(name, known, cutoff=SIMILAR).strip()
        remedy = hint or f"Declare it under '{_PLURALS[kind]}' in the domain, or correct the story."
        message = f"The domain has no {kind} {name!r}"
        yield Problem(_LEVELS[kind], f"undeclared-{kind}", message, remedy, len(uses), uses[:SHOWN_PLACES])


def _without_texts(project: Project, uses: Mapping[str, _Uses]) -> Iterator[Problem]:
    """Intents without examples, and responses without texts: the policy would learn from their names."""
    if project.with_examples:
        for name, uses_of_one in uses["intent"].items():
            if name not in project.with_examples and name in _known(project)["intent"] - _BUILT_IN["intent"]:
                message = f"The intent {name!r} has no example under 'nlu', so its name stands for what the user says"
                yield Problem(
                    "warning", "no-examples", message, "Write examples.", len(uses_of_one), uses_of_one[:SHOWN_PLACES]
                )
    responses = project.declared["responses"] | {name.partition("/")[0] for name in project.declared["responses"]}
    for name, uses_of_one in uses["action"].items():
        if name.startswith("utter_") and name not in responses and name in _known(project)["action"]:
            message = f"The action {name!r} has no text under 'responses'"
            yield Problem(
                "warning", "no-response", message, "Write its text.", len(uses_of_one), uses_of_one[:SHOWN_PLACES]
            )
    for name in sorted(project.with_examples - _known(project)["intent"]):
        hint = did_you_mean(name, project.declared["intents"], cutoff=SIMILAR).strip()
        message = f"The intent {name!r} has examples, and the domain does not have it"
        yield Problem("warning", "undeclared-intent", message, hint or "Declare it under 'intents' in the domain.")


def _unused(project: Project, uses: Mapping[str, _Uses]) -> Iterator[Problem]:
    intents = set(uses["intent"]) | {name.partition("/")[0] for name in uses["intent"]}
    actions = set(uses["action"]) | set(uses["form"])
    for kind, names, used in (
        ("intent", {name.partition("/")[0] for name in project.declared["intents"]}, intents),
        ("response", {name.partition("/")[0] for name in project.declared["responses"]}, actions),
        ("action", project.declared["actions"] - project.declared["responses"], actions),
        ("form", project.declared["forms"], actions),
    ):
        if unused := sorted(names - used):
            shown = ", ".join(map(repr, unused[:_SHOWN_NAMES])) + (", …" if len(unused) > _SHOWN_NAMES else "")
            message = f"{counted(len(unused), kind)} of the domain occur{'s' if len(unused) == 1 else ''} in no story or rule: {shown}"
            yield Problem("note", f"unused-{kind}", message, "A policy learns nothing of it.", len(unused))


def conflicts(dialogues: Iterable[Dialogue]) -> list[Problem]:
    """Find stories that go on differently after the same events, from dialogues that have intents for texts."""
    contradictions = Contradictions()
    for dialogue in dialogues:
        contradictions.add(dialogue, [[t.user] for t in dialogue.turns], [[t.system] for t in dialogue.turns])
    listed = []
    for conflict in contradictions.summary().whole.examples:
        outcomes = conflict.outcomes
        before = conflict.user or " + ".join(conflict.previous_actions or ())
        done = " and another with ".join(repr(" + ".join(outcome.actions)) for outcome in outcomes)
        places = [Place(outcome.dialogue, outcome.turn) for outcome in outcomes]
        after = f"after {before!r} and the same events before it" if before else "at the beginning"
        message = f"Stories conflict: {after}, one story goes on with {done}"
        remedy = "Make them agree, or set a slot that tells them apart."
        listed.append(Problem("warning", "conflict", message, remedy, len(outcomes), places[:SHOWN_PLACES]))
    return listed
