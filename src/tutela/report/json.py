"""The assessment as JSON, schema `assessment-1.schema.json` beside this file.

Canonical: keys sorted, moments in UTC, texts in both languages, so the same assessment is the same bytes whoever prints it.
Several subjects stand in one object under `assessments`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

import tutela
from tutela.assess.assessment import Assessment, ClauseStanding
from tutela.assess.verdict import Verdict
from tutela.evidence import Evidence
from tutela.language import Lang, Text
from tutela.report import reachable
from tutela.report.findings import derived, headline, own_parameters, twice, unreachable, waivers
from tutela.report.options import Options

SCHEMA = "tutela/assessment/1"
SCHEMA_OF_MANY = "tutela/assessments/1"


def render(assessments: Sequence[Assessment], lang: Lang, options: Options) -> Iterator[str]:
    """One object; readable, two spaces deep."""
    del lang, options
    if len(assessments) == 1:
        yield encoded(document(assessments[0]), indent=2) + "\n"
        return
    yield encoded({"schema": SCHEMA_OF_MANY, "assessments": [document(one) for one in assessments]}, indent=2) + "\n"


def encoded(value: Any, indent: int | None = None) -> str:
    """JSON text in which nothing invisible stands raw: escapes, line separators and bidirectional marks are escaped."""
    words = json.dumps(value, ensure_ascii=False, sort_keys=True, indent=indent) if indent else _COMPACT(value)
    return _INVISIBLE.sub(_escaped, words) if not words.isprintable() else words


_COMPACT = json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode
_INVISIBLE = re.compile(r"[^\n\x20-\x7e\u00a1-\u00ac\u00ae-\u0377\u3001-\u9fff\uff01-\uffe6]")


def _escaped(found: re.Match[str]) -> str:
    char = found[0]
    return char if char.isprintable() else json.dumps(char)[1:-1]


def document(assessment: Assessment) -> dict[str, Any]:
    """The assessment as plain data."""
    return (
        _edition(assessment)
        | _subject(assessment)
        | {
            "verdicts": [_verdict(verdict) for verdict in assessment.verdicts],
            "clauses": [_clause(one) for one in assessment.clauses],
            "sources": {name: _source(source) for name, source in assessment.bundle.sources.items()},
        }
    )


class Lines:
    """Assessments on one line each: the bytes of `encoded(document(assessment))`.

    Hosts of a fleet share most verdicts, clauses and sources; what is shared is written out once and kept.
    """

    def __init__(self, size: int = 16 << 20) -> None:
        self.size = size
        """Bytes kept at most; beyond that everything is written out anew."""
        self.weight = 0
        self.kept: dict[int, tuple[object, bytes]] = {}
        """By identity; the thing is held, so its identity stays its own."""
        self.edition: tuple[object, dict[str, bytes]] | None = None

    def line(self, assessment: Assessment) -> bytes:
        """One line, its end included."""
        if self.edition is None or self.edition[0] is not assessment.rulebook:
            self.edition = (assessment.rulebook, _each_encoded(_edition(assessment)))
        sources = assessment.bundle.sources
        values = {
            **self.edition[1],
            **_each_encoded(_subject(assessment)),
            "verdicts": b"[%s]" % self._list(assessment.verdicts, _verdict),
            "clauses": b"[%s]" % self._list(assessment.clauses, _clause),
            "sources": b"{%s}" % self._list([sources[name] for name in sorted(sources)], _named_source),
        }
        return b"{%s}\n" % b",".join([b'"%s":%s' % (key.encode(), values[key]) for key in sorted(values)])

    def _list(self, things: Iterable[Any], plain: Callable[[Any], Any]) -> bytes:
        kept = self.kept
        return b",".join([found[1] if (found := kept.get(id(one))) is not None else self._part(one, plain) for one in things])

    def _part(self, thing: Any, plain: Callable[[Any], Any]) -> bytes:
        part = _compact(plain(thing))
        if plain is _named_source:
            part = part[1:-1]
        self.weight += len(part) + (len(thing.content) if plain is _named_source else 0)
        if self.weight > self.size:
            self.kept.clear()
            self.weight = 0
        self.kept[id(thing)] = (thing, part)
        return part


def _compact(value: Any) -> bytes:
    return encoded(value).encode()


def _each_encoded(values: dict[str, Any]) -> dict[str, bytes]:
    return {key: _compact(value) for key, value in values.items()}


def _edition(assessment: Assessment) -> dict[str, Any]:
    """What is the same for every subject that one rulebook binds."""
    rulebook = assessment.rulebook
    own = [{"parameter": name, "value": value, "agreed": agreed} for name, value, agreed in own_parameters(assessment)]
    return ({"parameters": own} if own else {}) | {
        "schema": SCHEMA,
        "tutela": tutela.__version__,
        "profiles": [profile.id for profile in rulebook.profiles],
        "agreements": [{"id": one.id, "edition": one.edition, "digest": one.digest} for one in rulebook.agreements],
        "content_digest": rulebook.content_digest,
        "derived_defaults": [{"key": one.key, "value": one.value, "used_by": list(one.used_by)} for one in derived(assessment)],
        "stricter": [_text(one) for one in rulebook.stricter],
    }


def _subject(assessment: Assessment) -> dict[str, Any]:
    """What is of this subject alone, without the lists."""
    summary = assessment.summary
    joined = reachable.joined(assessment)
    repeated, why = twice(assessment), unreachable(assessment)
    return (
        ({} if joined is None else {"exposure": reachable.document(joined)})
        | ({"sources_twice": list(repeated)} if repeated else {})
        | {
            "subject": assessment.subject,
            "headline": headline(assessment).value,
            "unreachable": _text(why),
            "collected_at": moment(assessment.bundle.collected_at),
            "judged_at": moment(assessment.judged_at),
            "site_digest": assessment.site.digest or None,
            "bundle": {"digest": assessment.bundle.digest, "probe_version": assessment.bundle.probe, "vantage": assessment.bundle.vantage.value},
            "waivers": [
                {
                    "target": use.waiver.target,
                    "party": use.waiver.party,
                    "approver": use.waiver.approver,
                    "reason": use.waiver.reason,
                    "granted": use.waiver.granted.isoformat(),
                    "expires": use.waiver.expires.isoformat(),
                    "used": use.used,
                    "why": _text(use.why),
                }
                for use in waivers(assessment)
            ],
            "summary": {
                "results": {word: dict(row) for word, row in summary.results.items()},
                "standings": dict(summary.standings),
                "unknown_percent": summary.unknown_percent,
                "oldest_datum": moment(summary.oldest_datum),
            },
        }
    )


def moment(at: datetime) -> str:
    """`2026-11-22T08:00:00Z`"""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _verdict(verdict: Verdict) -> dict[str, Any]:
    check = verdict.check
    return {
        "check": check.id,
        "catalogue": check.catalogue,
        "clauses": list(check.clauses),
        "title": _text(check.title),
        "result": verdict.result.value,
        "severity": verdict.severity.value,
        "code": None if verdict.code is None else verdict.code.value,
        "reason": _text(verdict.reason),
        "observations": [
            {"label": _text(seen.label), "met": seen.met, "observed": list(seen.observed), "expected": seen.expected} for seen in verdict.observations
        ],
        "notes": [_text(note) for note in verdict.notes],
        "evidence": list(verdict.evidence),
        "remedy": _text(check.remedy),
        "waived_by": verdict.waived_by,
    }


def _clause(one: ClauseStanding) -> dict[str, Any]:
    return {
        "id": one.clause.id,
        "party": one.clause.party.value,
        "title": _text(one.clause.title),
        "standing": one.standing.value,
        "severity": one.severity.value,
        "recommended": one.clause.recommended,
        "implementation": one.clause.implementation.value,
        "deadline": list(one.clause.clocks),
        "verdicts": list(one.verdicts),
        "reason": _text(one.reason),
        "declared": one.declared,
        "contradicted": one.contradicted,
    }


def _source(source: Evidence) -> dict[str, Any]:
    return {"status": source.status.value, "digest": source.digest, "bytes": len(source.content)}


def _named_source(source: Evidence) -> dict[str, Any]:
    return {source.name: _source(source)}


def _text(text: Text | None) -> dict[str, str] | None:
    return None if text is None else {"zh": text.zh, "en": text.en}
