"""Do on a real host what a remedy prints: the check fails before and passes after, and the next look still gets in over SSH.

An entry of remedies.yaml is {check, role, do, fill}, and where it differs from the defaults: break (what makes it fail first); also (other checks that pass
afterwards); full, profile as in flips.yaml. A step of `do` is one of
    run      a command as the remedy prints it
    write    path -> the text of a file, line by line as printed
    set      path -> lines as printed, each in place of what the file says of the same word
    by_hand  sh text for what the remedy leaves to an editor or asks at the keyboard
`fill` says what stands for the words that a person fills in; several of them do all of it once for each.
tests/checks/test_remedies.py holds the words of `run`, `write` and `set` to the printed text, in both languages.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from shlex import quote
from typing import Any

import pytest
import yaml

from tests.hosts import look
from tests.hosts.own_host import OwnHost

pytest_plugins = ["tests.lab.fixtures"]
pytestmark = [pytest.mark.lab, pytest.mark.root]

REMEDIES: list[dict[str, Any]] = yaml.safe_load((Path(__file__).parent / "remedies.yaml").read_text("utf-8"))


def results(host: OwnHost, entry: dict[str, Any], checks: list[str]) -> dict[str, str]:
    bundle = host.look("root", *(() if entry.get("full") else ("--quick",)))
    assessment = look.judge(bundle, profile=entry.get("profile", "campus-L1"))
    return {one.check.catalogue or one.check.id: one.result.value for one in assessment.verdicts if (one.check.catalogue or one.check.id) in checks}


def scripts(entry: dict[str, Any]) -> Iterator[str]:
    """The steps as sh text, filled in."""
    fills = entry.get("fill", {})
    for fill in fills if isinstance(fills, list) else [fills]:
        for step in entry["do"]:
            for script in _scripts(step):
                yield re.sub("|".join(map(re.escape, fill)) or r"\Z.", lambda found, fill=fill: fill[found[0]], script)


def _scripts(step: dict[str, Any]) -> Iterator[str]:
    for path, text in step.get("write", {}).items():
        yield f"printf %s {quote(text)} >{path}"
    for path, lines in step.get("set", {}).items():
        yield f"touch {path}"
        for line in lines:
            word = re.match(r"[^\s=]+", line)
            assert word is not None
            yield f"sed -i -E '/^{re.escape(word[0])}([ =]|$)/d' {path}; printf '%s\\n' {quote(line)} >>{path}"
    yield from (step[kind] for kind in ("run", "by_hand") if kind in step)


@pytest.mark.parametrize("entry", REMEDIES, ids=lambda entry: f"{entry['check']} on {entry['role']}")
def test_who_does_as_printed_passes(entry: dict[str, Any], own_host: Callable[[str], OwnHost]) -> None:
    host = own_host(entry["role"])
    if "break" in entry:
        host.run(entry["break"])
    before = results(host, entry, [entry["check"]])

    host.run("\n".join(scripts(entry)))

    wanted = [entry["check"], *entry.get("also", [])]
    assert before == {entry["check"]: "fail"}
    assert results(host, entry, wanted) == dict.fromkeys(wanted, "pass")
