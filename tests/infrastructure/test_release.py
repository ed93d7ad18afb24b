"""What a release relies on."""

import configparser
import re

from packaging.requirements import Requirement
from packaging.version import Version

import dialog_policy
from tests.conftest import REPOSITORY


def _requirements() -> list[Requirement]:
    setup = configparser.ConfigParser()
    setup.read(REPOSITORY / "setup.cfg", encoding="utf-8")
    lists = [setup["options"]["install_requires"], *setup["options.extras_require"].values()]
    return [Requirement(line) for lines in lists for line in lines.split("\n") if line.strip()]


def test_constraints_pin_every_dependency_within_its_bounds_on_every_python():
    pinned = [
        Requirement(line)
        for line in (REPOSITORY / "constraints.txt").read_text(encoding="utf-8").splitlines()
        if not line.startswith("#")
    ]
    assert len(pinned) > 100
    for python in ("3.10", "3.11", "3.12", "3.13"):
        environment = {"python_version": python, "python_full_version": f"{python}.1", "sys_platform": "linux"}
        for wanted in _requirements():
            if wanted.marker and not wanted.marker.evaluate(environment):
                continue
            name = wanted.name.lower().replace("_", "-")
            versions = [
                next(iter(pin.specifier)).version
                for pin in pinned
                if pin.name.lower().replace("_", "-") == name and (not pin.marker or pin.marker.evaluate(environment))
            ]
            message = f"{wanted} on Python {python}: constraints.txt has {versions or 'no version'}; run scripts/lock"
            assert len(versions) == 1, message
            assert wanted.specifier.contains(Version(versions[0])), message


def test_the_version_is_the_same_wherever_it_is_printed():
    citation = (REPOSITORY / "CITATION.cff").read_text(encoding="utf-8")
    assert re.findall(r"(?m)^version: (.+)$", citation) == [dialog_policy.__version__]
    setup = (REPOSITORY / "setup.cfg").read_text(encoding="utf-8")
    assert "version = attr: dialog_policy.__version__" in setup
