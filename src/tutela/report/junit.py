"""JUnit XML, for CI systems: a suite a subject, a case a check.

A failure is a failure; what could not be seen is an error, never a skip that CI paints green; not applicable and waived are skips.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tutela.assess.assessment import Assessment
from tutela.assess.verdict import Verdict
from tutela.checks import Outcome
from tutela.language import Lang, Text
from tutela.report.findings import headline, listed_own_parameters, name_of, unreachable
from tutela.report.inert import inert
from tutela.report.json import moment
from tutela.report.markup import Markup, el, joined
from tutela.report.options import Options
from tutela.report.words import SEVERITIES, value, wanted

_WAIVED = Text("由 {by} 豁免", "waived by {by}")
_SEEN = Text("所见", "seen")
_EXPECTED = Text("应为", "expected")
_DO = Text("处理", "what to do")


def render(assessments: Sequence[Assessment], lang: Lang, options: Options) -> Iterator[str]:
    """One `testsuites` document."""
    del options
    cases = [verdict for one in assessments for verdict in one.verdicts]
    yield '<?xml version="1.0" encoding="UTF-8"?>\n'
    yield f'<testsuites name="tutela" tests="{len(cases)}" failures="{_failed(cases)}" errors="{_unknown(cases)}">\n'
    for one in assessments:
        yield from _suite(one, lang)
    yield "</testsuites>\n"


def _failed(verdicts: Sequence[Verdict]) -> int:
    return sum(1 for verdict in verdicts if verdict.result is Outcome.FAIL and verdict.waived_by is None)


def _unknown(verdicts: Sequence[Verdict]) -> int:
    return sum(1 for verdict in verdicts if verdict.result is Outcome.UNKNOWN)


def _suite(one: Assessment, lang: Lang) -> Iterator[str]:
    skipped = sum(1 for verdict in one.verdicts if verdict.result is Outcome.NOTAPPLICABLE or verdict.waived_by is not None)
    why = unreachable(one)
    properties = {
        "headline": headline(one).value,
        "unreachable": "" if why is None else why.in_(lang),
        "agreements": ", ".join(f"{agreement.id} {agreement.edition}" for agreement in one.rulebook.agreements),
        "bundle": one.bundle.digest,
        "unknown_percent": str(one.summary.unknown_percent),
        "derived_defaults": ", ".join(one.rulebook.derived),
        "own_parameters": inert(listed_own_parameters(one) or ""),
    }
    suite = el(
        "testsuite",
        Markup("\n"),
        el("properties", [el("property", name=name, value=value) for name, value in properties.items() if value]),
        Markup("\n"),
        [joined([_case(verdict, lang), Markup("\n")]) for verdict in one.verdicts],
        name=one.subject,
        hostname=one.subject,
        tests=len(one.verdicts),
        failures=_failed(one.verdicts),
        errors=_unknown(one.verdicts),
        skipped=skipped,
        timestamp=moment(one.judged_at).rstrip("Z"),
    )
    yield suite + "\n"


def _case(verdict: Verdict, lang: Lang) -> Markup:
    title = verdict.check.title.in_(lang)
    return el("testcase", _outcome(verdict, lang), name=f"{name_of(verdict)}: {title}", classname=f"tutela.{verdict.check.subject}", time="0")


def _outcome(verdict: Verdict, lang: Lang) -> Markup | None:
    reason = verdict.reason.in_(lang) if verdict.reason is not None else ""
    if verdict.waived_by is not None:
        return el("skipped", message=_WAIVED.with_values(by=verdict.waived_by).in_(lang))
    if verdict.result is Outcome.NOTAPPLICABLE:
        return el("skipped", message=reason)
    if verdict.result is Outcome.UNKNOWN:
        return el("error", _detail(verdict, lang), message=reason, type=verdict.code.value if verdict.code is not None else "unknown")
    if verdict.result is Outcome.FAIL:
        message = f"{SEVERITIES[verdict.severity].in_(lang)}: {verdict.check.title.in_(lang)}"
        return el("failure", _detail(verdict, lang), message=message, type=verdict.severity.value)
    return None


def _detail(verdict: Verdict, lang: Lang) -> Markup:
    lines: list[str] = []
    for seen in verdict.observations:
        if seen.met is not True:
            lines.append(f"{_SEEN.in_(lang)}: {seen.label.in_(lang)}: {', '.join(value(one).in_(lang) for one in seen.observed)}")
            lines.append(f"{_EXPECTED.in_(lang)}: {wanted(seen.expected).in_(lang)}")
    lines += [f"{_DO.in_(lang)}:", *verdict.check.remedy.in_(lang).split("\n")]
    return joined([[Markup("\n") if at else None, line] for at, line in enumerate(lines)])
