"""Remembering facts across bundles changes how fast a fleet is judged, and nothing else."""

from __future__ import annotations

import random

from tests import scenes
from tests.report import standard
from tutela.agreement.rulebook import resolve
from tutela.assess import assess
from tutela.facts.look import Memory
from tutela.language import Lang
from tutela.report import FORMATS, Options


def test_with_and_without_memory_the_report_is_the_same_to_the_byte() -> None:
    content = standard.content()
    chance = random.Random(1)
    parts = [scenes.load(standard.HERE / "scenes" / f"{name}.yaml") for name in ("keeps", "breaks", "hostile")]
    memory = Memory(size=50)
    for number in range(60):
        one, other = chance.choice(parts), chance.choice(parts)
        mixed = {name: chance.choice([given, other["sources"].get(name, given)]) for name, given in one["sources"].items()}
        scene = one | {"sources": mixed, "subject": f"host-{number % 7}"}
        site = scenes.site(scene)
        book = resolve(content, tuple(content.profiles[name] for name in one["profiles"]), site.parameters)
        bundle = scenes.bundle(scene, scene["subject"])

        said = ["".join(map(str, FORMATS["json"].render([assess(bundle, book, site, memory=kept)], Lang.EN, Options()))) for kept in (None, memory)]

        assert said[0] == said[1]
    assert len(memory.facts) <= 50
