"""The less one sees, the more is unknown, never better: no source that is denied or fails makes a check pass, or not apply, that did not before."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

from tests import scenes
from tutela.agreement.rulebook import resolve_checks
from tutela.assess import assess
from tutela.checks import Outcome
from tutela.evidence import Bundle, Evidence, Status
from tutela.facts.memory import Memory

HERE = Path(__file__).parent
CHECKS = sorted(path.name for path in HERE.iterdir() if path.is_dir() and not path.name.startswith("_"))
SEEN = (Status.OK, Status.TRUNCATED)
GOOD = frozenset([Outcome.PASS, Outcome.NOTAPPLICABLE])
BETTER = {Outcome.FAIL: GOOD, Outcome.UNKNOWN: GOOD, Outcome.PASS: GOOD - {Outcome.PASS}}

MAY_BE_MISSED = {
    (
        "mysql-bound",
        "mysql -N -e (accounts without a password, counts)",
    ): "the catalogue (H-060): where the table of accounts cannot be read, the sockets decide",
    ("*", "scan of * from *"): "whoever looks from elsewhere adds to what the host says, which stands by itself",
}


def needed(check: str, name: str) -> bool:
    return not any(fnmatchcase(check, one) and fnmatchcase(name, other) for one, other in MAY_BE_MISSED)


def with_less(bundle: Bundle, whole: Outcome, name: str) -> Iterator[tuple[str, Bundle]]:
    # What passes can get no better than not apply: once is enough.
    for status in (Status.DENIED, Status.FAILED)[: 1 if whole is Outcome.PASS else 2]:
        yield status.value, replace(bundle, sources={**bundle.sources, name: Evidence(name, status, b"", 1)})


@pytest.mark.parametrize("name", CHECKS)
def test_nothing_gets_better_by_not_being_seen(name: str) -> None:
    content = scenes.content()
    better = []
    for path in sorted((HERE / name).glob("*.yaml")):
        scene = scenes.load(path)
        profile = content.profiles[scene.get("profile", content.default_profile.id)]
        rulebook = resolve_checks(content, (profile,), (name,), {name: scene.get("params") or {}})
        bundle, declared, memory = scenes.bundle(scene), scenes.site(scene), Memory()
        whole = assess(bundle, rulebook, declared, memory=memory).verdicts[-1]
        assert whole.check.id == name
        if whole.result is Outcome.NOTAPPLICABLE:
            continue
        for source in whole.evidence:
            if source not in bundle.sources or bundle[source].status not in SEEN or not needed(name, source):
                continue
            for status, less in with_less(bundle, whole.result, source):
                now = assess(less, rulebook, declared, memory=memory).verdicts[-1].result
                if now in BETTER[whole.result]:
                    better.append(f"{path.stem}: {whole.result.value} -> {now.value} with {status}: {source}")

    assert better == []
