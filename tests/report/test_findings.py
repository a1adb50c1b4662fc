"""What every format says about one assessment."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from tests import scenes
from tests.report.standard import HERE, judged, options, standard
from tutela.assess import Assessment
from tutela.assess.assessment import Standing
from tutela.checks import Outcome, Severity
from tutela.cli.check import exit_status
from tutela.language import Lang, Text
from tutela.report import FORMATS
from tutela.report.checklist import checklist
from tutela.report.findings import Headline, by_weight, headline, sort_key
from tutela.report.nagios import status
from tutela.report.words import value, wanted


def undecided_advice() -> Assessment:
    """Everything that binds is kept; of the advice nothing is known."""
    (one,) = standard("keeps")
    verdicts = tuple(replace(verdict, result=Outcome.UNKNOWN) if verdict.check.catalogue == "H-052" else verdict for verdict in one.verdicts)
    clauses = tuple(replace(clause, standing=Standing.UNPROVEN) if clause.clause.recommended else clause for clause in one.clauses)
    return replace(one, verdicts=verdicts, clauses=clauses)


def test_subjects_are_in_the_order_in_which_people_count() -> None:
    names = ["web10", "Web2", "web1.example", "db", "web02b", "web" + "9" * 5000]
    assert sorted(names, key=sort_key) == ["db", "web1.example", "Web2", "web02b", "web10", "web" + "9" * 5000]


def test_signs_of_a_break_in_stand_first_among_their_equals() -> None:
    low, first, *_, last = (replace(verdict, severity=Severity.HIGH) for verdict in by_weight(standard("breaks")[0].verdicts))
    low = replace(low, severity=Severity.LOW, check=replace(low.check, incident=True))
    last = replace(last, check=replace(last.check, incident=True))

    assert by_weight([low, first, last]) == [last, first, low]


def test_advice_that_is_unknown_leaves_the_headline_and_both_exit_statuses_as_they_were() -> None:
    one = undecided_advice()

    assert [verdict.result for verdict in one.verdicts].count(Outcome.UNKNOWN) == 1
    assert (headline(one), exit_status(one, "low"), status([one], options())) == (Headline.COMPLIANT, 0, 0)


@pytest.mark.parametrize("form", ["text", "html"])
@pytest.mark.parametrize(("lang", "words"), [(Lang.EN, "Of these, 0 broken and 1 unproven are advice"), (Lang.ZH, "其中建议类 0 条未履行、1 条未证实")])
def test_where_the_table_counts_advice_too_it_says_how_much(form: str, lang: Lang, words: str) -> None:
    one = undecided_advice()
    alone = replace(one, clauses=tuple(clause for clause in one.clauses if not clause.clause.recommended))

    said, unsaid = ("".join(FORMATS[form].render([which], lang, options())) for which in (one, alone))  # type: ignore[arg-type]

    assert " ".join(said.split()).count(words) == 1
    assert ("advice" in unsaid, "建议" in unsaid) == (False, False)


def test_the_tenth_of_the_worst_stands_apart_from_its_number() -> None:
    from tutela.report.text import _Page

    line = next(_Page(Lang.EN, options()).titled("10.", standard("breaks")[0].verdicts[0]))

    assert line.startswith("10. ")


@pytest.mark.parametrize(
    ("expected", "zh", "en"),
    [
        ("true or not (<= 7 and present)", "是 或 不是 (<= 7 且 present)", "yes or not (<= 7 and present)"),
        ("pass", "通过", "pass"),
        ("pass/notapplicable or pass", "通过/不适用 或 通过", "pass/n.a. or pass"),
        ("= drop or true", "= drop 或 是", "= drop or yes"),
        ("= password", "= password", "= password"),
    ],
)
def test_what_is_expected_is_said_in_words(expected: str, zh: str, en: str) -> None:
    assert Text(zh, en) == wanted(expected)


@pytest.mark.parametrize(
    ("observed", "zh", "en"),
    [
        ("H-036: notapplicable", "H-036：不适用", "H-036: n.a."),
        ("yes", "是", "yes"),
        ("fail", "fail", "fail"),
        ("a word: pass", "a word: pass", "a word: pass"),
    ],
)
def test_what_another_check_said_is_said_in_words(observed: str, zh: str, en: str) -> None:
    assert Text(zh, en) == value(observed)


@pytest.mark.parametrize("form", ["text", "html", "csv", "junit", "sarif", "oscal", "nagios", "checklist.txt"])
def test_why_a_host_was_not_reached_is_said_in_the_language_of_the_report(form: str) -> None:
    (one,) = standard("lost")
    one = replace(one, bundle=replace(one.bundle, meta={"unreachable": "no way there", "unreachable_zh": "没有路"}))

    for lang, said, unsaid in ((Lang.ZH, "没有路", "no way there"), (Lang.EN, "no way there", "没有路")):
        report = "".join(FORMATS[form].render([one], lang, options()))  # type: ignore[arg-type]
        assert (said in report, unsaid in report) == (True, False)


TOLD = {
    "json": r'"agreed": "8",\s+"parameter": "\S+\.minlen",\s+"value": "1"',
    "jsonl": r'"agreed":"8","parameter":"\S+\.minlen","value":"1"',
    "sarif": r'"toolConfigurationNotifications".*\.minlen = 1 \(otherwise 8\)',
    "junit": r'name="own_parameters" value="\S+\.minlen=1 \(8\)"',
    "csv": r",\S+\.minlen=1 \(8\)",
    "oscal": r'"name": "own-parameters",.*"value": "\S+\.minlen=1 \(8\)"',
    "prometheus": r'tutela_own_parameter\{check="password-minlen",parameter="minlen",subject="\S+"\} 1',
    "nagios": r"; the site file changes 1 parameter \|",
}


@pytest.mark.parametrize("form", ["checklist", *(name for name in FORMATS if not name.startswith("checklist"))])
def test_a_parameter_that_the_site_changes_is_told_with_what_would_apply(form: str) -> None:
    """Whoever writes the site file can loosen the judgement, but not in silence."""
    (given,) = standard("keeps")
    scene = scenes.load(HERE / "scenes" / "keeps.yaml")
    changed = judged(scene | {"site": (scene.get("site") or {}) | {"parameters": {"password-minlen": {"minlen": 1}}}})

    def said(one: Assessment) -> str:
        if form == "checklist":
            return " ".join(note.en for note in checklist(one, options()).notes)
        return " ".join("".join(FORMATS[form].render([one], Lang.EN, options())).split())

    told = TOLD.get(form, r"\S+\.minlen = 1 \(otherwise 8\)")
    assert re.search(told, said(changed))
    assert not re.search(told, said(given))
