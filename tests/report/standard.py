"""The standard assessments: a small site, and content of its own that no change of the shipped content moves."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from tests import scenes
from tutela.agreement.rulebook import Content, resolve
from tutela.assess import Assessment, assess
from tutela.documents import read_yaml
from tutela.evidence import digest_of
from tutela.library.load import _content
from tutela.report import Options

HERE = Path(__file__).parent
GOLDEN = HERE / "golden"


@cache
def content() -> Content:
    documents = []
    for path in sorted((HERE / "content").rglob("*.yaml")):
        name, raw = path.relative_to(HERE / "content").as_posix(), path.read_bytes()
        documents.append((name, read_yaml(raw, name), digest_of(raw)))
    return _content(documents)


def judged(scene: dict[str, Any]) -> Assessment:
    bundle = replace(scenes.bundle(scene, scene["subject"]), meta={"unreachable": scene["unreachable"]} if "unreachable" in scene else {})
    site = scenes.site(scene)
    profiles = tuple(content().profiles[name] for name in scene["profiles"])
    return assess(bundle, resolve(content(), profiles, site.parameters), site, scene.get("judged_at"))


@cache
def standard(name: str) -> tuple[Assessment, ...]:
    """`keeps`, `breaks`, `lost`, `hostile`; `site` is the first three together, `empty` nobody.

    `form` and `form-breaks` stand under the checklist's clauses, `form-hostile` and `form-lost` are their hostile and unreachable siblings.
    """
    if name == "site":
        return tuple(one for part in ("keeps", "breaks", "lost") for one in standard(part))
    if name == "empty":
        return ()
    if name in ("form-hostile", "form-lost"):
        return (judged(scenes.load(HERE / "scenes" / f"{name.removeprefix('form-')}.yaml") | {"profiles": ["paper"]}),)
    return (judged(scenes.load(HERE / "scenes" / f"{name}.yaml")),)


def odd() -> Assessment:
    """A host that sent one source twice, and not the same."""
    scene = scenes.load(HERE / "scenes" / "keeps.yaml")
    name = next(iter(scene["sources"]))
    return judged(scene | {"sources": scene["sources"] | {f"{name} (again)": "another answer"}})


def options(**changes: Any) -> Options:
    return replace(Options(tables=content().tables), **changes)
