"""NIST OSCAL assessment results: a result a subject, an observation a verdict, a finding a clause, a risk a failure.

Titles, descriptions and remarks are Markdown there (Metaschema data types `markup-line` and `markup-multiline`).
Identifiers are UUIDv5 of what they name, so the same assessment is the same document.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any
from uuid import UUID, uuid5

import tutela
from tutela.assess.assessment import Assessment, ClauseStanding, Standing
from tutela.assess.verdict import Verdict
from tutela.checks import Outcome, Vantage
from tutela.errors import UsageError
from tutela.language import Lang, Text
from tutela.report.findings import HEADLINES, headline, listed_own_parameters, name_of, summary, unreachable
from tutela.report.inert import inert
from tutela.report.json import encoded, moment
from tutela.report.options import Options
from tutela.report.words import PARTIES, STANDINGS, value, wanted

VERSION = "1.1.3"
_OURS = UUID("6f3c2a52-6d0e-5c0b-9f7d-3f8f0a7c7d11")
_NS = "https://tutela.invalid/ns/oscal"
_TITLE = Text("守责检查结果", "Tutela assessment results")
_PLAN = Text("作为检查依据的协议", "The agreements that were judged")
_SELECTION = Text("约束本主机的全部条款", "All clauses that bind this host")
_SEEN = Text("{label}：看到 {seen}，应为 {expected}", "{label}: seen {seen}, expected {expected}")
_METHODS = {Vantage.HOST: "EXAMINE", Vantage.CENTRE: "TEST", Vantage.RECEIVER: "EXAMINE", Vantage.RECORD: "EXAMINE"}


def render(assessments: Sequence[Assessment], lang: Lang, options: Options) -> Iterator[str]:
    """One `assessment-results` document. Raises UsageError without a subject: the format has no empty form."""
    del options
    if not assessments:
        raise UsageError(Text("没有主机，无法写 OSCAL 结果", "OSCAL results need at least one subject"))
    yield encoded({"assessment-results": _document(assessments, lang)}, indent=2) + "\n"


def _id(*names: str) -> str:
    return str(uuid5(_OURS, "\n".join(names).encode("utf-8", "backslashreplace").decode()))


def _words(words: str) -> str:
    """A line that OSCAL's string type takes: not empty, no space at the ends."""
    return inert(words).strip() or "-"


def _prose(words: str) -> str:
    """The same where the format takes Markdown (titles, descriptions, remarks): no mark in foreign text is one."""
    return _MARKS.sub(r"\\\g<0>", _words(words))


_MARKS = re.compile(r"[\\`*_~^<>\[\]{}&#\"]|^[-+=](?=\s|$)|^[-+=]{2,}")


def _props(**values: str | None) -> list[dict[str, str]]:
    return [{"name": name.replace("_", "-"), "ns": _NS, "value": _words(value)} for name, value in values.items() if value]


def _document(assessments: Sequence[Assessment], lang: Lang) -> dict[str, Any]:
    digests = [assessment.bundle.digest for assessment in assessments]
    agreements = {agreement.digest: agreement for assessment in assessments for agreement in assessment.rulebook.agreements}
    plan = _id("plan", *sorted(agreements))
    return {
        "uuid": _id("document", lang, *digests, *(moment(one.judged_at) for one in assessments), *(one.rulebook.content_digest for one in assessments)),
        "metadata": {
            "title": _TITLE.in_(lang),
            "last-modified": moment(max(one.judged_at for one in assessments)),
            "version": tutela.__version__,
            "oscal-version": VERSION,
        },
        "import-ap": {"href": f"#{plan}"},
        "results": [_result(one, lang) for one in assessments],
        "back-matter": {
            "resources": [
                {
                    "uuid": plan,
                    "title": _PLAN.in_(lang),
                    "description": _prose("; ".join(f"{one.id} {one.edition} {one.digest}" for one in agreements.values())),
                }
            ]
        },
    }


def _result(one: Assessment, lang: Lang) -> dict[str, Any]:
    key = (one.bundle.digest, moment(one.judged_at), one.subject)
    item, why = _id("subject", one.subject), unreachable(one)
    result: dict[str, Any] = {
        "uuid": _id("result", *key),
        "title": _prose(f"{one.subject}: {HEADLINES[headline(one)].in_(lang)}"),
        "description": _prose(summary(one).in_(lang)),
        "start": moment(one.bundle.collected_at),
        "end": moment(one.judged_at),
        "props": _props(
            headline=headline(one).value,
            unreachable=None if why is None else why.in_(lang),
            unknown_percent=str(one.summary.unknown_percent),
            oldest_datum=moment(one.summary.oldest_datum),
            bundle=one.bundle.digest,
            content=one.rulebook.content_digest,
            site=one.site.digest,
            profiles=", ".join(profile.id for profile in one.rulebook.profiles),
            derived_defaults=", ".join(one.rulebook.derived),
            own_parameters=listed_own_parameters(one),
        ),
        "local-definitions": {"inventory-items": [{"uuid": item, "description": _prose(one.subject)}]},
        "reviewed-controls": {"control-selections": [_selection(one, lang)]},
    }
    observations = [_observation(one, verdict, key, item, lang) for verdict in one.verdicts]
    findings = [_finding(clause, key, lang) for clause in one.clauses if clause.standing is not Standing.NOTAPPLICABLE]
    risks = [_risk(verdict, key, lang) for verdict in one.verdicts if verdict.result is Outcome.FAIL]
    # OSCAL knows no empty lists.
    return result | {name: value for name, value in (("observations", observations), ("findings", findings), ("risks", risks)) if value}


def _selection(one: Assessment, lang: Lang) -> dict[str, Any]:
    ids = [clause.clause.id for clause in one.clauses]
    chosen: dict[str, Any] = {"include-controls": [{"control-id": name} for name in ids]} if ids else {"include-all": {}}
    return {"description": _SELECTION.in_(lang), **chosen}


def _observation(one: Assessment, verdict: Verdict, key: tuple[str, str, str], item: str, lang: Lang) -> dict[str, Any]:
    lines = [verdict.reason.in_(lang)] if verdict.reason is not None else []
    lines += [
        _SEEN.in_(lang).format(
            label=seen.label.in_(lang), seen=", ".join(value(one).in_(lang) for one in seen.observed) or "-", expected=wanted(seen.expected).in_(lang)
        )
        for seen in verdict.observations
    ]
    made: dict[str, Any] = {
        "uuid": _id("observation", *key, verdict.check.id),
        "title": _prose(f"{name_of(verdict)}: {verdict.check.title.in_(lang)}"),
        "description": _prose("; ".join(lines)),
        "props": _props(
            check=verdict.check.id,
            catalogue=verdict.check.catalogue,
            result=verdict.result.value,
            severity=verdict.severity.value,
            code=None if verdict.code is None else verdict.code.value,
            waived_by=verdict.waived_by,
            own_parameters=listed_own_parameters(one, verdict.check),
        ),
        "methods": [_METHODS[verdict.check.vantage]],
        "types": ["control-objective"],
        "subjects": [{"subject-uuid": item, "type": "inventory-item"}],
        "collected": moment(one.bundle.collected_at),
    }
    evidence = [{"description": _prose(ref.source), "props": _props(status=ref.status, digest=ref.digest)} for ref in map(one.sight, verdict.evidence)]
    return made | ({"relevant-evidence": evidence} if evidence else {})


def _finding(clause: ClauseStanding, key: tuple[str, str, str], lang: Lang) -> dict[str, Any]:
    kept = clause.standing is Standing.KEPT
    reason = {Standing.KEPT: "pass", Standing.BROKEN: "fail"}.get(clause.standing, "other")
    made: dict[str, Any] = {
        "uuid": _id("finding", *key, clause.clause.id),
        "title": _prose(f"{clause.clause.id} {clause.clause.title.in_(lang)}"),
        "description": _prose(clause.clause.demand.in_(lang)),
        "props": _props(
            standing=clause.standing.value,
            party=clause.clause.party.value,
            severity=clause.severity.value,
            declared=clause.declared,
            contradicted="yes" if clause.contradicted else None,
            recommended="yes" if clause.clause.recommended else None,
            deadline=", ".join(clause.clause.clocks),
        ),
        "target": {
            "type": "objective-id",
            "target-id": clause.clause.id,
            "status": {
                "state": "satisfied" if kept else "not-satisfied",
                "reason": reason,
                "remarks": _prose(
                    f"{STANDINGS[clause.standing].in_(lang)}; {PARTIES[clause.clause.party].in_(lang)}"
                    + (f"; {clause.reason.in_(lang)}" if clause.reason is not None else "")
                ),
            },
        },
    }
    observations = [{"observation-uuid": _id("observation", *key, check)} for check in clause.verdicts]
    return made | ({"related-observations": observations} if observations else {})


def _risk(verdict: Verdict, key: tuple[str, str, str], lang: Lang) -> dict[str, Any]:
    return {
        "uuid": _id("risk", *key, verdict.check.id),
        "title": _prose(verdict.check.title.in_(lang)),
        "description": _prose(verdict.check.title.in_(lang)),
        "statement": _prose(verdict.check.why.in_(lang)),
        "props": _props(severity=verdict.severity.value, waived_by=verdict.waived_by),
        "status": "open" if verdict.waived_by is None else "deviation-approved",
        "remediations": [
            {
                "uuid": _id("remediation", *key, verdict.check.id),
                "lifecycle": "recommendation",
                "title": _prose(verdict.check.title.in_(lang)),
                "description": "\n\n".join(_prose(line) for line in verdict.check.remedy.in_(lang).split("\n") if line.strip()),
            }
        ],
        "related-observations": [{"observation-uuid": _id("observation", *key, verdict.check.id)}],
    }
