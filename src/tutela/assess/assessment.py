"""One run over one subject: verdicts, standings of clauses, summary."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import field, replace
from datetime import datetime
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import Any

from tutela.agreement.model import Clause, Implementation, Profile
from tutela.agreement.rulebook import Content, Rulebook, resolve_checks
from tutela.assess.conditions import Scope
from tutela.assess.verdict import EvidenceRef, Verdict, judge
from tutela.checks import Check, Outcome, Severity
from tutela.evidence import Bundle, Status
from tutela.facts.look import Look, Memory
from tutela.facts.registry import parser
from tutela.language import Text
from tutela.record import record
from tutela.site import Attestation, Site, Waiver


class Standing(StrEnum):
    """How a clause stands."""

    KEPT = "kept"
    BROKEN = "broken"
    UNPROVEN = "unproven"
    WAIVED = "waived"
    NOTAPPLICABLE = "notapplicable"


@record
class ClauseStanding:
    """One clause and how it stands."""

    clause: Clause
    standing: Standing
    severity: Severity
    verdicts: tuple[str, ...]
    """Ids of the checks that decided."""
    reason: Text | None
    declared: str | None = None
    """What people declared (yes, no), apart from what was measured."""
    contradicted: bool = False
    """Declared yes, measured broken: a finding of its own."""


@record
class UnusedWaiver:
    """A waiver that counts for nothing, and why."""

    waiver: Waiver
    why: Text


@record
class Summary:
    """Counts; never a score without the unknown share."""

    results: Mapping[str, Mapping[str, int]]
    """result -> severity -> count; waived failures are counted under `waived`."""
    standings: Mapping[str, int]
    unknown_percent: int
    """Share of applicable checks that are undecided, rounded up."""
    oldest_datum: datetime


@record
class Assessment:
    """Everything one run says."""

    subject: str
    judged_at: datetime
    bundle: Bundle
    rulebook: Rulebook
    site: Site
    verdicts: tuple[Verdict, ...]
    clauses: tuple[ClauseStanding, ...]
    summary: Summary
    unused_waivers: tuple[UnusedWaiver, ...]
    look: Look = field(repr=False, compare=False)
    """The facts behind the verdicts, for forms that print values no check compares."""

    @property
    def worst(self) -> Severity | None:
        """Severity of the worst failure that is not waived."""
        failed = [verdict.severity for verdict in self.verdicts if verdict.result is Outcome.FAIL and verdict.waived_by is None]
        return max(failed, key=lambda severity: severity.rank, default=None)


def assess(bundle: Bundle, rulebook: Rulebook, site: Site, now: datetime | None = None, memory: Memory | None = None) -> Assessment:
    """Judge one bundle.

    The same arguments give the same assessment, whenever and wherever; `memory` only makes many of them quicker.
    """
    mine = site.for_subject(bundle.subject)
    look = Look(bundle, mine, rulebook.reference, now, memory)
    waivers, unused = _waivers(mine, bundle.subject, look.now)
    verdicts = [_waived(verdict, waivers, unused) for verdict in _verdicts(rulebook, look)]
    by_id = {verdict.check.id: verdict for verdict in verdicts}
    clauses = tuple(_standing(clause, rulebook, by_id, mine, bundle.subject, look.now, waivers) for clause in rulebook.clauses)
    return Assessment(
        subject=bundle.subject,
        judged_at=look.now,
        bundle=bundle,
        rulebook=rulebook,
        site=mine,
        verdicts=tuple(verdicts),
        clauses=clauses,
        summary=_summary(verdicts, clauses, bundle),
        unused_waivers=tuple(unused),
        look=look,
    )


def assess_check(check: Check, look: Look, content: Content, profiles: tuple[Profile, ...], params: Mapping[str, Any]) -> Verdict:
    """The verdict of one check alone, with all that it rests on."""
    rulebook = resolve_checks(content, profiles, (check.id,), {check.id: params})
    return _verdicts(rulebook, look)[-1]


def _verdicts(rulebook: Rulebook, look: Look) -> list[Verdict]:
    """One verdict for every check of the rulebook, in its order."""
    results: dict[str, Outcome] = {}
    profile = {"level": rulebook.level, "ids": tuple(one.id for one in rulebook.profiles)}
    others = {"site": look.site, "profile": profile}
    verdicts: list[Verdict] = []
    references = _References(rulebook, look)
    for check in rulebook.checks.values():
        scope = Scope(lambda name: look.fact(parser(name)), others, rulebook.params[check.id], lambda name: results[rulebook.alias[name]])
        verdict = judge(check, scope, references.of(check), rulebook.severities[check.id])
        results[check.id] = verdict.result
        verdicts.append(verdict)
    return verdicts


class _References:
    """What verdicts rest on; each source is digested once, however many verdicts name it."""

    def __init__(self, rulebook: Rulebook, look: Look) -> None:
        self.rulebook, self.look = rulebook, look
        self._made: dict[str, EvidenceRef | None] = {}
        self._names: dict[str, frozenset[str]] = {}

    def of(self, check: Check) -> tuple[EvidenceRef, ...]:
        """References of a check and of those it rests on, by name."""
        refs = (self._reference(name) for name in sorted(self._sources(check)))
        return tuple(ref for ref in refs if ref is not None)

    def _sources(self, check: Check) -> frozenset[str]:
        known = self._names.get(check.id)
        if known is None:
            # Composites come after what they rest on, so this never goes deep.
            parts = [self.look.sources_of(parser(fact)) for fact in check.facts]
            parts += [self._sources(self.rulebook.checks[self.rulebook.alias[other]]) for other in check.checks]
            known = self._names[check.id] = frozenset().union(*parts)
        return known

    def _reference(self, name: str) -> EvidenceRef | None:
        if name not in self._made:
            source = self.look.source(name)
            self._made[name] = None if source.status is Status.MISSING else EvidenceRef(source.name, source.status.value, source.digest)
        return self._made[name]


def _waivers(site: Site, subject: str, now: datetime) -> tuple[list[Waiver], list[UnusedWaiver]]:
    valid: list[Waiver] = []
    unused: list[UnusedWaiver] = []
    for waiver in site.waivers:
        if not any(fnmatchcase(subject, pattern) for pattern in waiver.subjects):
            continue
        if waiver.expires < now.date():
            unused.append(UnusedWaiver(waiver, Text(f"已于 {waiver.expires} 到期", f"expired on {waiver.expires}")))
        elif waiver.granted > now.date():
            unused.append(UnusedWaiver(waiver, Text(f"{waiver.granted} 才生效", f"not in force before {waiver.granted}")))
        else:
            valid.append(waiver)
    return valid, unused


def _waived(verdict: Verdict, waivers: list[Waiver], unused: list[UnusedWaiver]) -> Verdict:
    if verdict.result is not Outcome.FAIL:
        return verdict
    for waiver in waivers:
        if waiver.target in (verdict.check.id, verdict.check.catalogue):
            if verdict.severity is Severity.CRITICAL and waiver.party == "owner":
                unused.append(UnusedWaiver(waiver, Text("严重级检查不能由乙方单方豁免", "an owner alone cannot waive a critical check")))
                continue
            return replace(verdict, waived_by=waiver.approver)
    return verdict


def _standing(
    clause: Clause, rulebook: Rulebook, verdicts: Mapping[str, Verdict], site: Site, subject: str, now: datetime, waivers: list[Waiver]
) -> ClauseStanding:
    mine = [verdicts[rulebook.alias[name]] for name in clause.checks]
    standing, reason = _measured(mine)
    ids = tuple(dict.fromkeys(verdict.check.id for verdict in mine))
    declared = _attested(clause, site, subject)
    if clause.implementation is Implementation.REFERENCE:
        standing, reason = Standing.NOTAPPLICABLE, Text("参考事实，不作要求", "a reference fact; it demands nothing")
    elif clause.implementation is Implementation.ATTESTED:
        by_people, why = _declared(declared, now)
        if not mine or standing in (Standing.KEPT, Standing.NOTAPPLICABLE):
            standing, reason = by_people, why
    elif clause.implementation is not Implementation.AUTOMATIC and standing in (Standing.KEPT, Standing.NOTAPPLICABLE):
        # Host checks see only a part of such a clause: they can break it, never prove it.
        standing, reason = Standing.UNPROVEN, _NO_DATA[clause.implementation]
    contradicted = standing is Standing.BROKEN and declared is not None and declared.answer == "yes" and bool(mine)
    severity = max((v.severity for v in mine if v.result in (Outcome.FAIL, Outcome.UNKNOWN)), key=lambda s: s.rank, default=clause.severity)
    if standing is Standing.BROKEN and any(w.target == clause.id and not (severity is Severity.CRITICAL and w.party == "owner") for w in waivers):
        standing = Standing.WAIVED
    return ClauseStanding(clause, standing, severity, ids, reason, declared.answer if declared else None, contradicted)


_NO_DATA = {
    Implementation.AUTOMATIC: Text("没有检查结果", "no verdict"),
    Implementation.MEASURED: Text("需要中心的测量数据（U3）", "needs data measured by the centre (U3)"),
    Implementation.NOT_YET: Text("程序尚不能判定（U3）", "not decided by the program yet (U3)"),
}


def _measured(verdicts: list[Verdict]) -> tuple[Standing, Text | None]:
    """How the clause stands by its checks; a failure that is mere information breaks nothing."""
    if any(verdict.result is Outcome.FAIL and verdict.waived_by is None and verdict.severity is not Severity.INFO for verdict in verdicts):
        return Standing.BROKEN, None
    undecided = next((verdict for verdict in verdicts if verdict.result is Outcome.UNKNOWN), None)
    if undecided is not None:
        return Standing.UNPROVEN, undecided.reason
    if any(verdict.waived_by is not None for verdict in verdicts):
        return Standing.WAIVED, None
    if any(verdict.result in (Outcome.PASS, Outcome.FAIL) for verdict in verdicts):
        return Standing.KEPT, None
    return Standing.NOTAPPLICABLE, next((verdict.reason for verdict in verdicts if verdict.reason), None)


def _attested(clause: Clause, site: Site, subject: str) -> Attestation | None:
    mine = [one for one in site.attestations if one.clause == clause.id and any(fnmatchcase(subject, pattern) for pattern in one.subjects)]
    return max(mine, key=lambda one: one.on, default=None)


def _declared(attestation: Attestation | None, now: datetime) -> tuple[Standing, Text | None]:
    if attestation is None:
        return Standing.UNPROVEN, Text("尚未提交人工证据（U5）", "no evidence lodged yet (U5)")
    if attestation.expires < now.date():
        return Standing.UNPROVEN, Text(f"人工证据已于 {attestation.expires} 到期（U5）", f"the lodged evidence expired on {attestation.expires} (U5)")
    if attestation.answer == "no":
        return Standing.BROKEN, Text(f"责任方声明未履行（{attestation.reference}）", f"declared not kept ({attestation.reference})")
    return Standing.KEPT, Text(f"{attestation.by} 提交：{attestation.reference}", f"lodged by {attestation.by}: {attestation.reference}")


def _summary(verdicts: list[Verdict], clauses: tuple[ClauseStanding, ...], bundle: Bundle) -> Summary:
    results: dict[str, dict[str, int]] = {word: {s.value: 0 for s in Severity} for word in ("pass", "fail", "notapplicable", "unknown", "waived")}
    for verdict in verdicts:
        results["waived" if verdict.waived_by is not None else verdict.result.value][verdict.severity.value] += 1
    applicable = sum(1 for verdict in verdicts if verdict.result is not Outcome.NOTAPPLICABLE)
    unknown = sum(1 for verdict in verdicts if verdict.result is Outcome.UNKNOWN)
    standings = Counter(one.standing.value for one in clauses)
    return Summary(
        results=results,
        standings={word.value: standings[word.value] for word in Standing},
        unknown_percent=-(-100 * unknown // applicable) if applicable else 0,
        oldest_datum=bundle.collected_at,
    )
