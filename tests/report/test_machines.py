"""Formats that machines read, each read back by somebody else's reader."""

from __future__ import annotations

import csv
import io
import json
import re
import warnings
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import cmarkgfm
import pytest

from tests.report.standard import options, standard
from tutela.errors import UsageError
from tutela.language import Lang
from tutela.report import FORMATS
from tutela.report.nagios import status
from tutela.report.sarif import literal

NAMES = ["keeps", "breaks", "lost", "hostile", "site"]


def said(name: str, form: str, lang: Lang = Lang.EN, **changes: Any) -> str:
    return "".join(FORMATS[form].render(standard(name), lang, options(**changes)))  # type: ignore[arg-type]


@pytest.mark.parametrize("form", ["json", "jsonl", "sarif", "junit", "csv", "oscal", "prometheus", "nagios"])
@pytest.mark.parametrize("lang", list(Lang))
def test_nothing_invisible_stands_raw(form: str, lang: Lang) -> None:
    words = said("hostile", form, lang).removeprefix("\ufeff").replace("\r\n", "\n")

    assert [char for char in words if not char.isprintable() and char != "\n"] == []


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("lang", list(Lang))
def test_sarif_reads_back(name: str, lang: Lang) -> None:
    from sarif_pydantic import Sarif

    log = json.loads(said(name, "sarif", lang))

    Sarif.model_validate(log)
    assert [run["automationDetails"]["id"] for run in log["runs"]]
    for run in log["runs"]:
        for result in run["results"]:
            assert run["tool"]["driver"]["rules"][result["ruleIndex"]]["id"] == result["ruleId"]
            assert (result["kind"] == "fail") is (result["level"] != "none")
            assert re.fullmatch(r"[A-Za-z0-9%/._~-]+", result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"])


def test_sarif_messages_hold_no_links_and_no_placeholders() -> None:
    assert literal("[click](http://192.0.2.1) {0}") == r"\[click\](http://192.0.2.1) {{0}}"


def test_sarif_says_unknown_as_open_and_a_waiver_as_a_suppression() -> None:
    results = {one["ruleId"]: one for one in json.loads(said("breaks", "sarif"))["runs"][0]["results"]}

    assert results["logs-forwarded"]["kind"] == "open"
    assert results["ports-needed"]["suppressions"] == [{"justification": "Security office", "kind": "external", "status": "accepted"}]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("lang", list(Lang))
def test_oscal_is_valid_and_its_references_lead_somewhere(name: str, lang: Lang) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from trestle.oscal.assessment_results import Model

        document = json.loads(said(name, "oscal", lang))
        Model.model_validate(document)

    for result in document["assessment-results"]["results"]:
        observations = {one["uuid"] for one in result["observations"]}
        assert len(observations) == len(result["observations"])
        for finding in result["findings"]:
            assert {one["observation-uuid"] for one in finding.get("related-observations", [])} <= observations
            if finding["target"]["status"]["state"] == "satisfied":
                assert finding["target"]["status"]["reason"] == "pass"


def _prose(node: object) -> Iterator[str]:
    """Every text that OSCAL reads as Markdown."""
    if isinstance(node, list):
        for item in node:
            yield from _prose(item)
    elif isinstance(node, dict):
        for key, value in node.items():
            if key in ("title", "description", "statement", "remarks"):
                yield value
            else:
                yield from _prose(value)


def test_what_oscal_reads_as_markdown_holds_no_mark_of_a_host_and_each_line_of_a_remedy_stays_one() -> None:
    texts = list(_prose(json.loads(said("hostile", "oscal"))))

    pages = [cmarkgfm.markdown_to_html(text) for text in texts]
    assert {tag for page in pages for tag in re.findall(r"<(\w+)", page)} == {"p"}
    assert any("evil&lt;/td&gt;&lt;script&gt;alert(2)&lt;/script&gt;" in page for page in pages)
    assert "Put into /etc/ssh/sshd\\_config.d/10-tutela.conf:\n\nPasswordAuthentication no\n\n" in "".join(texts)


def test_oscal_has_no_empty_form() -> None:
    with pytest.raises(UsageError):
        said("empty", "oscal")


@pytest.mark.parametrize("name", NAMES)
def test_junit_reads_back_with_its_own_counts(name: str) -> None:
    from junitparser import Error, Failure, JUnitXml, Skipped

    suites = list(JUnitXml.fromstring(said(name, "junit").encode()))

    assert len(suites) == len(standard(name))
    for suite, one in zip(suites, standard(name), strict=True):
        kinds = [type(case.result[0]) if case.result else None for case in suite]
        assert (suite.tests, suite.failures, suite.errors, suite.skipped) == (len(kinds), kinds.count(Failure), kinds.count(Error), kinds.count(Skipped))
        assert suite.errors == sum(one.summary.results["unknown"].values())


@pytest.mark.parametrize("lang", list(Lang))
@pytest.mark.parametrize("name", NAMES)
def test_csv_rows_are_whole_and_run_no_formula(name: str, lang: Lang) -> None:
    words = said(name, "csv", lang).removeprefix("\ufeff")
    rows = list(csv.reader(io.StringIO(words, newline=""), strict=True))

    assert len(rows) == 1 + sum(len(one.verdicts) for one in standard(name))
    assert {len(row) for row in rows} == {len(rows[0])}
    assert words.endswith("\r\n")
    assert [cell for row in rows for cell in row if cell.lstrip()[:1] and cell.lstrip()[0] in "=+-@＝＋－＠\t\r"] == []


@pytest.mark.parametrize("name", NAMES)
def test_prometheus_reads_back_without_a_double_series(name: str) -> None:
    from prometheus_client.parser import text_string_to_metric_families

    families = list(text_string_to_metric_families(said(name, "prometheus")))

    series = [(sample.name, tuple(sorted(sample.labels.items()))) for family in families for sample in family.samples]
    assert len(series) == len(set(series))
    assert {dict(key)["subject"] for _, key in series} == {
        one.subject.encode("unicode_escape").decode() if name == "hostile" else one.subject for one in standard(name)
    }


def test_the_same_subject_twice_is_one_series() -> None:
    twice = "".join(FORMATS["prometheus"].render(standard("keeps") * 2, Lang.EN, options()))  # type: ignore[arg-type]

    assert twice == said("keeps", "prometheus")


@pytest.mark.parametrize(
    ("name", "fail_on", "code"),
    [("keeps", "low", 0), ("breaks", "low", 2), ("breaks", "critical", 2), ("breaks", "never", 1), ("lost", "low", 3), ("site", "low", 2), ("empty", "low", 3)],
)
def test_nagios_state(name: str, fail_on: str, code: int) -> None:
    line = said(name, "nagios", fail_on=fail_on)

    assert code == status(standard(name), options(fail_on=fail_on))
    assert line.startswith("TUTELA " + ("OK", "WARNING", "CRITICAL", "UNKNOWN")[code])
    assert line.count("\n") == 1


def test_nagios_counts_two_hosts_of_one_name_as_two() -> None:
    good = standard("keeps")[0]
    bad = replace(standard("breaks")[0], subject=good.subject)

    for several in ((good, bad), (bad, good)):
        line = "".join(FORMATS["nagios"].render(several, Lang.EN, options()))  # type: ignore[arg-type]
        assert f"2 hosts, 1 not compliant, 0 not reached: {bad.subject} ({bad.bundle.digest[7:15]})" in line


@pytest.mark.parametrize("name", [*NAMES, "empty"])
def test_nagios_has_one_pipe_and_performance_data_behind_it(name: str) -> None:
    sentence, bar, data = said(name, "nagios").rstrip("\n").rpartition(" | ")

    assert bar
    assert "|" not in sentence
    assert all(re.fullmatch(r"[a-z]+=\d+%?;;;0(;100)?", word) for word in data.split(" "))
