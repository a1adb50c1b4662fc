"""SARIF 2.1.0: a run a subject, a rule a check, a result a verdict.

Source: OASIS SARIF 2.1.0, sections 3.11 (messages), 3.20 (invocations), 3.27 (results), 3.35 (suppressions).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from hashlib import sha256
from typing import Any
from urllib.parse import quote

import tutela
from tutela.assess.assessment import Assessment
from tutela.assess.verdict import Verdict
from tutela.checks import Check, Outcome, Severity
from tutela.language import Lang, Text
from tutela.report.findings import headline, said_own_parameters, unreachable
from tutela.report.inert import inert, inert_lines
from tutela.report.json import encoded, moment
from tutela.report.options import Options
from tutela.report.words import value, wanted

_SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
_LEVELS = {Severity.CRITICAL: "error", Severity.HIGH: "error", Severity.MEDIUM: "warning", Severity.LOW: "note", Severity.INFO: "note"}
_SCORES = {Severity.CRITICAL: "9.5", Severity.HIGH: "8.0", Severity.MEDIUM: "5.0", Severity.LOW: "2.0", Severity.INFO: "0.0"}
"""GitHub's `security-severity`: our words on its scale, no CVSS scores."""
_KINDS = {Outcome.PASS: "pass", Outcome.FAIL: "fail", Outcome.NOTAPPLICABLE: "notApplicable", Outcome.UNKNOWN: "open"}
_SEEN = Text("{label}：看到 {seen}，应为 {expected}", "{label}: seen {seen}, expected {expected}")


def render(assessments: Sequence[Assessment], lang: Lang, options: Options) -> Iterator[str]:
    """One log file."""
    del options
    log = {"$schema": _SCHEMA, "version": "2.1.0", "runs": [_run(one, lang) for one in assessments]}
    yield encoded(log, indent=2) + "\n"


def _run(one: Assessment, lang: Lang) -> dict[str, Any]:
    why = unreachable(one)
    invocation: dict[str, Any] = {"executionSuccessful": why is None, "endTimeUtc": moment(one.judged_at)}
    if why is not None:
        invocation["toolExecutionNotifications"] = [{"level": "error", "message": {"text": literal(why.in_(lang))}}]
    own = said_own_parameters(one)
    if own is not None:
        invocation["toolConfigurationNotifications"] = [{"level": "warning", "message": {"text": literal(own.in_(lang))}}]
    index = {verdict.check.id: at for at, verdict in enumerate(one.verdicts)}
    return {
        "tool": {
            "driver": {
                "name": "Tutela",
                "semanticVersion": tutela.__version__ if tutela.__version__.count(".") == 2 else f"{tutela.__version__}.0.0",
                "language": "zh-CN" if lang is Lang.ZH else "en-US",
                "rules": [_rule(verdict.check, one.rulebook.severities[verdict.check.id], lang) for verdict in one.verdicts],
            }
        },
        "automationDetails": {"id": f"tutela/{quote(one.subject, safe='')}"},
        "columnKind": "unicodeCodePoints",
        "invocations": [invocation],
        "results": [_result(one, verdict, index[verdict.check.id], lang) for verdict in one.verdicts],
        "properties": {
            "subject": inert(one.subject),
            "headline": headline(one).value,
            "unknownPercent": one.summary.unknown_percent,
            "bundle": one.bundle.digest,
            "agreements": [f"{agreement.id} {agreement.edition} {agreement.digest}" for agreement in one.rulebook.agreements],
            "derivedDefaults": list(one.rulebook.derived),
            "oldestDatum": moment(one.summary.oldest_datum),
        },
    }


def _rule(check: Check, severity: Severity, lang: Lang) -> dict[str, Any]:
    return {
        "id": check.id,
        "name": check.catalogue or check.id,
        "shortDescription": {"text": literal(check.title.in_(lang))},
        "fullDescription": {"text": literal(check.why.in_(lang))},
        "help": {"text": "\n".join(map(literal, inert_lines(check.remedy.in_(lang))))},
        "defaultConfiguration": {"level": _LEVELS[severity]},
        "properties": {"tags": ["security", *check.clauses], "security-severity": _SCORES[severity]},
    }


def _result(one: Assessment, verdict: Verdict, index: int, lang: Lang) -> dict[str, Any]:
    result: dict[str, Any] = {
        "ruleId": verdict.check.id,
        "ruleIndex": index,
        "kind": _KINDS[verdict.result],
        "level": _LEVELS[verdict.severity] if verdict.result is Outcome.FAIL else "none",
        "message": {"text": _message(verdict, lang)},
        "locations": [_location(one, verdict)],
        "partialFingerprints": {"tutela/1": sha256(f"{one.subject}\n{verdict.check.id}".encode("utf-8", "backslashreplace")).hexdigest()},
        "properties": {
            "severity": verdict.severity.value,
            "clauses": list(verdict.check.clauses),
            "evidence": [f"{inert(ref.source)} {ref.digest}" for ref in map(one.sight, verdict.evidence)],
        },
    }
    if verdict.code is not None:
        result["properties"]["code"] = verdict.code.value
    if verdict.waived_by is not None:
        result["suppressions"] = [{"kind": "external", "status": "accepted", "justification": inert(verdict.waived_by)}]
    return result


def _message(verdict: Verdict, lang: Lang) -> str:
    parts = [literal(verdict.check.title.in_(lang))]
    if verdict.reason is not None:
        parts.append(literal(verdict.reason.in_(lang)))
    for seen in verdict.observations:
        if seen.met is not True:
            values = {
                "label": seen.label.in_(lang),
                "seen": ", ".join(value(one).in_(lang) for one in seen.observed) or "-",
                "expected": wanted(seen.expected).in_(lang),
            }
            parts.append(literal(_SEEN.in_(lang).format(**values)))
    return "\n".join(parts)


def _location(one: Assessment, verdict: Verdict) -> dict[str, Any]:
    host = quote(one.subject, safe="")
    path = next((name for name in verdict.evidence if name.startswith("/")), "")
    return {
        "logicalLocations": [{"name": inert(one.subject), "kind": "resource"}],
        "physicalLocation": {"artifactLocation": {"uri": host + quote(path, errors="backslashreplace")}},
    }


def literal(words: str) -> str:
    """Words inside a message: no placeholder and no link of their own (3.11.5, 3.11.6)."""
    words = inert(words).replace("\\", "\\\\").replace("[", "\\[").replace("]", "\\]")
    return words.replace("{", "{{").replace("}", "}}")
