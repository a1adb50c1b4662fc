"""Every check is seen to fail and to pass again on a real host (tests/hosts/flips.yaml), or cannot be, with the reason (unflippable.yaml)."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import yaml

from tests import scenes

HOSTS = Path(__file__).parents[1] / "hosts"
FLIPS = yaml.safe_load((HOSTS / "flips.yaml").read_text("utf-8"))
UNFLIPPABLE: dict[str, str] = yaml.safe_load((HOSTS / "unflippable.yaml").read_text("utf-8"))


def test_every_check_is_flipped_or_cannot_be() -> None:
    checks = {check.catalogue or check.id for check in scenes.content().checks.values()}
    flipped = {flip["check"] for flip in FLIPS}

    assert flipped & set(UNFLIPPABLE) == set()
    assert flipped | set(UNFLIPPABLE) == checks
    assert all(len(reason) > 20 for reason in UNFLIPPABLE.values())


def test_every_flipped_check_changes_its_result() -> None:
    """A flip that keeps its result shows that something else does not matter; it needs one beside it that does."""
    changing = {flip["check"] for flip in FLIPS if flip.get("broken", "fail") != flip.get("kept", "pass")}

    assert {flip["check"] for flip in FLIPS} - changing == set()


def test_no_two_flips_have_one_name() -> None:
    names = Counter((flip["check"], flip["what"]) for flip in FLIPS)

    assert [name for name, times in names.items() if times > 1] == []
