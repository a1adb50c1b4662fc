"""Each scene gets the verdict its name promises: tests/checks/<check-id>/<scene>.<result>.yaml."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import scenes
from tutela.agreement.rulebook import resolve
from tutela.assess.assessment import assess_check
from tutela.checks import Outcome

HERE = Path(__file__).parent
SCENES = sorted(path for path in HERE.glob("*/*.yaml") if not path.parent.name.startswith("_"))


@pytest.mark.parametrize("path", SCENES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_scene_gets_the_verdict_its_name_promises(path: Path) -> None:
    scene = scenes.load(path)
    content = scenes.content()
    check = content.checks[path.parent.name]
    profile = content.profiles[scene.get("profile", content.default_profile.id)]

    verdict = assess_check(check, scenes.look(scene), content, (profile,), scene.get("params") or {})

    expected = path.stem.rpartition(".")[2]
    assert expected == verdict.result.value, verdict
    if "severity" in scene:
        assert scene["severity"] == verdict.severity.value, verdict
    if "observed" in scene:
        assert scene["observed"] == [word for seen in verdict.observations if seen.met is not True for word in seen.observed]
    if "code" in scene:
        assert scene["code"] == verdict.code, verdict


def test_every_check_has_a_pass_a_fail_and_an_unknown_scene() -> None:
    have = {(path.parent.name, path.stem.rpartition(".")[2]) for path in SCENES}
    missing = []
    for check in scenes.content().checks.values():
        wanted = [Outcome.UNKNOWN] if check.vantage != "host" else [Outcome.PASS, Outcome.FAIL, Outcome.UNKNOWN]
        if check.not_applicable:
            wanted.append(Outcome.NOTAPPLICABLE)
        missing += [f"{check.id}: {word}" for word in wanted if (check.id, word.value) not in have]

    assert missing == []


def test_every_scene_belongs_to_a_check() -> None:
    assert {path.parent.name for path in SCENES} - set(scenes.content().checks) == set()


def test_shipped_checks_bind_to_every_profile() -> None:
    content = scenes.content()
    for profile in content.profiles.values():
        assert resolve(content, (profile,)).checks


@pytest.mark.parametrize("profile", ["campus-L1", "enterprise-L3"])
def test_where_nothing_was_seen_nothing_passes_and_nothing_fails(profile: str) -> None:
    content = scenes.content()
    nothing = scenes.look({"sources": {}})
    said = {check.id: assess_check(check, nothing, content, (content.profiles[profile],), {}).result for check in content.checks.values()}

    assert [name for name, result in said.items() if result in (Outcome.PASS, Outcome.FAIL)] == []
