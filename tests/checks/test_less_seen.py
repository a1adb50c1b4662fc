"""The less one sees, the more is unknown: a source that is denied, fails or is missing decides nothing that was not decided so before.

No check passes, does not apply or fails because something could not be seen.
Missing is what a bundle does not hold at all: it was recorded by a probe that did not ask for it yet, or no longer does.
"""

from __future__ import annotations

from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

from tests import scenes
from tests.hosts import look as hosts
from tutela.agreement.rulebook import resolve, resolve_checks
from tutela.assess import assess
from tutela.checks import Outcome
from tutela.collect.archive import read_bundle
from tutela.evidence import Bundle, Evidence, Status
from tutela.facts.memory import Memory

HERE = Path(__file__).parent
EXAMPLES = HERE.parents[1] / "examples"
CHECKS = sorted(path.name for path in HERE.iterdir() if path.is_dir() and not path.name.startswith("_"))
SEEN = (Status.OK, Status.TRUNCATED)
"""Not what is absent: that was established, and nobody is denied what is not there. It may be missing, as may what was not seen anyway."""
LESS = {Status.DENIED: SEEN, Status.FAILED: SEEN, Status.MISSING: tuple(Status)}
"""How a source may be seen less -> what it was before."""
STAYS = {outcome: {outcome, Outcome.UNKNOWN} for outcome in Outcome}
# What excused a host and is not seen any more excuses nothing; that all is well may still be shown by the rest.
STAYS[Outcome.NOTAPPLICABLE].add(Outcome.PASS)

MAY_BE_MISSED = {
    (
        "mysql-bound",
        "mysql -N -e (accounts without a password, counts)",
    ): "the catalogue (H-060): where the table of accounts cannot be read, the sockets decide",
    ("*", "scan of * from *"): "whoever looks from elsewhere adds to what the host says, which stands by itself",
    ("ssh-not-reached-by-all", "nft -j list ruleset"): "what was measured open is open (H.0.2); only rules could show that just the scanner was let in",
    ("ssh-not-reached-by-all", "/proc/net/ip*_tables_names"): "the same: whether there are more rules",
}


def needed(check: str, name: str) -> bool:
    return not any(fnmatchcase(check, one) and fnmatchcase(name, other) for one, other in MAY_BE_MISSED)


def with_less(bundle: Bundle, source: str, status: Status) -> Bundle:
    sources = dict(bundle.sources)
    if status is Status.MISSING:
        del sources[source]
    else:
        sources[source] = Evidence(source, status, b"", 1)
    return replace(bundle, sources=sources)


@pytest.mark.parametrize("name", CHECKS)
def test_nothing_is_decided_by_not_being_seen(name: str) -> None:
    content = scenes.content()
    decided = []
    for path in sorted((HERE / name).glob("*.yaml")):
        scene = scenes.load(path)
        profile = content.profiles[scene.get("profile", content.default_profile.id)]
        rulebook = resolve_checks(content, (profile,), (name,), {name: scene.get("params") or {}})
        bundle, declared, memory = scenes.bundle(scene), scenes.site(scene), Memory()
        whole = assess(bundle, rulebook, declared, memory=memory).verdicts[-1]
        assert whole.check.id == name
        for source in whole.evidence:
            if source not in bundle.sources or not needed(name, source):
                continue
            for status, before in LESS.items():
                if bundle[source].status not in before:
                    continue
                now = assess(with_less(bundle, source, status), rulebook, declared, memory=memory).verdicts[-1].result
                if now not in STAYS[whole.result]:
                    decided.append(f"{path.stem}: {whole.result.value} -> {now.value} with {status.value}: {source}")

    assert decided == []


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.bundle")), ids=lambda path: path.stem)
def test_nothing_of_a_real_host_is_decided_by_not_being_seen(path: Path) -> None:
    bundle, memory = read_bundle(path), Memory()
    rulebook, declared = resolve(scenes.content(), (scenes.content().default_profile,)), hosts.site()
    whole = {verdict.check.id: verdict.result for verdict in assess(bundle, rulebook, declared, memory=memory).verdicts}
    decided = []
    for source, evidence in bundle.sources.items():
        for status, before in LESS.items():
            if evidence.status not in before:
                continue
            for verdict in assess(with_less(bundle, source, status), rulebook, declared, memory=memory).verdicts:
                name, now = verdict.check.id, verdict.result
                if now not in STAYS[whole[name]] and needed(name, source):
                    decided.append(f"{name}: {whole[name].value} -> {now.value} with {status.value}: {source}")

    assert decided == []
