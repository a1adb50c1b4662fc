"""Facts from scenes: tests/facts/<fact>/<scene>.yaml, the whole fact in <scene>.json; `pytest --update` rewrites it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests import scenes
from tutela.facts.registry import MODULES, parser

HERE = Path(__file__).parent
SCENES = sorted(HERE.glob("*/*.yaml"))


@pytest.mark.parametrize("path", SCENES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_fact_is_read_from_the_scene(path: Path, update: bool) -> None:
    fact = scenes.look(scenes.load(path)).fact(parser(path.parent.name))

    golden = path.with_suffix(".json")
    said = json.dumps(scenes.plain(fact), ensure_ascii=False, indent=1, sort_keys=True) + "\n"
    if update:
        golden.write_text(said, "utf-8")
    assert golden.read_text("utf-8") == said


def test_every_fact_has_scenes_and_one_without_evidence_is_unobserved() -> None:
    assert sorted(set(MODULES) - {path.parent.name for path in SCENES}) == []


@pytest.mark.parametrize("name", sorted(MODULES))
def test_a_fact_without_any_evidence_is_never_a_clean_bill(name: str) -> None:
    """An empty bundle must not produce a fact that could pass a check: it is Unobserved, or all its fields are."""
    from tutela.evidence import Unobserved

    fact = scenes.look({"sources": {}}).fact(parser(name))

    if not isinstance(fact, Unobserved):
        values = [getattr(fact, field) for field in fact.__slots__]
        assert any(isinstance(value, Unobserved) for value in values), fact
