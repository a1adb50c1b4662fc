from __future__ import annotations

import json
from importlib import resources
from typing import Any

import jsonschema
import pytest

from tests import scenes
from tests.report.standard import HERE, judged, odd, options, standard
from tutela.language import Lang
from tutela.report import FORMATS

SCHEMA = json.loads((resources.files("tutela") / "report/assessment-1.schema.json").read_bytes())


def said(name: str, form: str = "json") -> str:
    return "".join(FORMATS[form].render(standard(name), Lang.EN, options()))


@pytest.mark.parametrize("name", ["keeps", "breaks", "lost", "hostile", "site", "empty"])
def test_valid_against_the_published_schema(name: str) -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)

    jsonschema.Draft202012Validator(SCHEMA).validate(json.loads(said(name)))


def test_the_schema_refuses_a_summary_without_the_unknown_share() -> None:
    document = json.loads(said("keeps"))
    del document["summary"]["unknown_percent"]

    assert not jsonschema.Draft202012Validator(SCHEMA).is_valid(document)


def test_canonical() -> None:
    for name in ("keeps", "hostile", "site"):
        words = said(name)
        assert words == said(name)
        assert _sorted(json.loads(words))


def _sorted(value: Any) -> bool:
    if isinstance(value, dict):
        return list(value) == sorted(value) and all(map(_sorted, value.values()))
    return not isinstance(value, list) or all(map(_sorted, value))


def test_jsonl_is_one_document_a_line() -> None:
    lines = said("site", "jsonl").splitlines()

    assert json.loads(said("site"))["assessments"] == [json.loads(line) for line in lines]


def test_hostile_bytes_survive_and_stay_escaped() -> None:
    words = said("hostile")

    assert json.loads(words)["subject"] == standard("hostile")[0].subject
    assert [char for char in words if not char.isprintable() and char != "\n"] == []


def test_sources_that_came_twice_are_valid_against_the_schema() -> None:
    document = json.loads("".join(FORMATS["json"].render([odd()], Lang.EN, options())))

    jsonschema.Draft202012Validator(SCHEMA).validate(document)
    assert document["sources_twice"]


def test_parameters_that_the_site_changes_are_valid_against_the_schema() -> None:
    scene = scenes.load(HERE / "scenes" / "keeps.yaml")
    one = judged(scene | {"site": {"parameters": {"password-minlen": {"minlen": 1}}}})
    document = json.loads("".join(FORMATS["json"].render([one], Lang.EN, options())))

    jsonschema.Draft202012Validator(SCHEMA).validate(document)
    assert [(each["value"], each["agreed"]) for each in document["parameters"]] == [("1", "8")]
