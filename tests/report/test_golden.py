"""Every format, in every language it speaks, over the standard assessments: whole outputs against golden files."""

from __future__ import annotations

from pathlib import Path

import pytest

import tutela
from tests.report.standard import GOLDEN, options, standard
from tutela.language import Lang
from tutela.report import FORMATS, Format

FORMS = ("form", "form-breaks", "form-lost", "form-hostile", "keeps")
CASES = [
    (name, lang, form)
    for form in FORMATS.values()
    if not form.binary
    for name in (FORMS if form.name.startswith("checklist") else ("keeps", "breaks", "lost", "site", "hostile"))
    for lang in (tuple(Lang) if form.spoken else (Lang.EN,))
]


def golden(name: str, lang: Lang, form: Format) -> Path:
    return GOLDEN / (f"{name}.{lang}.{form.name}" if form.spoken else f"{name}.{form.name}")


@pytest.fixture(autouse=True)
def fixed_version(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tutela, "__version__", "0")


@pytest.mark.parametrize(("name", "lang", "form"), CASES, ids=lambda one: getattr(one, "name", one))
def test_output_is_the_golden_one(name: str, lang: Lang, form: Format, update: bool) -> None:
    said = "".join(form.render(standard(name), lang, options()))

    path = golden(name, lang, form)
    if update:
        path.write_text(said, "utf-8", newline="")
    with path.open(encoding="utf-8", newline="") as file:
        assert file.read() == said


def test_no_golden_is_left_over() -> None:
    expected = {golden(name, lang, form).name for name, lang, form in CASES}

    assert expected == {path.name for path in GOLDEN.iterdir()}


@pytest.mark.parametrize("form", [form for form in FORMATS.values() if not form.spoken], ids=lambda form: form.name)
def test_forms_for_machines_are_the_same_in_every_language(form: Format) -> None:
    zh, en = ("".join(form.render(standard("site"), lang, options())) for lang in Lang)

    assert zh == en


@pytest.mark.parametrize("form", [form for form in FORMATS.values() if form.many and not form.binary and form.name != "oscal"], ids=lambda form: form.name)
def test_nobody_to_report_about_is_no_crash_and_no_praise(form: Format) -> None:
    said = "".join(form.render((), Lang.EN, options()))

    assert "web-1" not in said
