"""Both languages are whole: nothing missing, nothing left in the other one, the same placeholders."""

from __future__ import annotations

import re
from importlib import import_module
from pkgutil import iter_modules
from string import Formatter

import pytest

import tutela.report
from tests.report.standard import options, standard
from tutela.language import Lang, Text
from tutela.report import FORMATS, words

HAN = re.compile(r"[\u3400-\u9fff，。：；、（）“”]")
MODULES = [name for _, name, _ in iter_modules(tutela.report.__path__)]


def texts(value: object) -> list[Text]:
    if isinstance(value, Text):
        return [value]
    if isinstance(value, dict):
        return [text for one in value.values() for text in texts(one)]
    return [text for one in value for text in texts(one)] if isinstance(value, (tuple, list)) else []


@pytest.mark.parametrize("module", MODULES)
def test_module_constants_speak_both_languages(module: str) -> None:
    for name, value in vars(import_module(f"tutela.report.{module}")).items():
        for text in texts(value):
            assert not HAN.search(text.en), (name, text)
            assert text.zh == text.en or HAN.search(text.zh), (name, text)
            fields = [sorted(field for _, field, _, _ in Formatter().parse(side) if field) for side in text]
            assert fields[0] == fields[1], (name, text)


@pytest.mark.parametrize("form", [form for form in FORMATS.values() if form.spoken and not form.binary], ids=lambda form: form.name)
@pytest.mark.parametrize("name", ["keeps", "breaks", "lost", "site", "form", "form-breaks"])
def test_an_english_report_has_no_chinese_in_it(form: tutela.report.Format, name: str) -> None:
    said = "".join(form.render(standard(name), Lang.EN, options()))

    # Two marks stay: the product's own name is not printed in English, and font names stand in the style sheet.
    assert HAN.findall(said.replace("守责", "")) == []


@pytest.mark.parametrize("form", [form for form in FORMATS.values() if form.spoken and not form.binary], ids=lambda form: form.name)
def test_a_chinese_report_is_in_chinese(form: tutela.report.Format) -> None:
    zh, en = ("".join(form.render(standard("site"), lang, options())) for lang in Lang)

    assert zh != en
    assert HAN.search(zh)


def test_every_word_of_the_standards_has_a_text() -> None:
    from tutela.agreement.model import Party
    from tutela.assess.assessment import Standing
    from tutela.checks import Outcome, Severity

    assert set(words.PARTIES) == set(Party)
    assert set(words.STANDINGS) == set(Standing)
    assert set(words.SEVERITIES) == set(Severity)
    assert set(words.RESULTS) == {outcome.value for outcome in Outcome} | {"waived"}
