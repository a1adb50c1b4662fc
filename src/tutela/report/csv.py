"""One row a verdict, RFC 4180, for spreadsheets.

Chinese output begins with a byte order mark: without it Excel takes UTF-8 for something else.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tutela.assess.assessment import Assessment
from tutela.assess.verdict import Verdict
from tutela.language import Lang, Text
from tutela.report.findings import headline, listed_own_parameters, unreachable
from tutela.report.inert import inert, inert_lines
from tutela.report.json import moment
from tutela.report.options import Options
from tutela.report.row import row
from tutela.report.words import value, wanted

COLUMNS = (
    "subject",
    "collected_at",
    "judged_at",
    "headline",
    "unreachable",
    "check",
    "catalogue",
    "clauses",
    "title",
    "result",
    "severity",
    "waived_by",
    "code",
    "reason",
    "observed",
    "expected",
    "remedy",
    "bundle",
    "own_parameters",
)
"""Names for programs, the same in every language."""


def render(assessments: Sequence[Assessment], lang: Lang, options: Options) -> Iterator[str]:
    """A header and a row for each verdict of each subject."""
    del options
    yield ("\ufeff" if lang is Lang.ZH else "") + row(COLUMNS)
    for assessment in assessments:
        for verdict in assessment.verdicts:
            yield row(_cells(assessment, verdict, lang))


def _cells(assessment: Assessment, verdict: Verdict, lang: Lang) -> list[str]:
    def say(text: Text | None) -> str:
        return "" if text is None else inert(text.in_(lang))

    unmet = [seen for seen in verdict.observations if seen.met is not True]
    return [
        inert(assessment.subject),
        moment(assessment.bundle.collected_at),
        moment(assessment.judged_at),
        headline(assessment).value,
        say(unreachable(assessment)),
        verdict.check.id,
        verdict.check.catalogue or "",
        " ".join(verdict.check.clauses),
        say(verdict.check.title),
        verdict.result.value,
        verdict.severity.value,
        inert(verdict.waived_by or ""),
        "" if verdict.code is None else verdict.code.value,
        say(verdict.reason),
        "\n".join(f"{say(seen.label)}: {', '.join(say(value(one)) for one in seen.observed)}" for seen in unmet),
        "\n".join(f"{say(seen.label)}: {say(wanted(seen.expected))}" for seen in unmet),
        "\n".join(inert_lines(verdict.check.remedy.in_(lang))),
        assessment.bundle.digest,
        inert(listed_own_parameters(assessment, verdict.check) or ""),
    ]
