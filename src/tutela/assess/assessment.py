"""One run over one subject: verdicts, standings of clauses, summary."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, cast

from tutela.agreement.model import Clause, Implementation, Profile
from tutela.agreement.rulebook import Content, Rulebook, resolve_checks
from tutela.assess.conditions import Scope
from tutela.assess.verdict import Sight, Verdict, judge
from tutela.checks import Check, Outcome, Severity
from tutela.evidence import Bundle
from tutela.facts.look import Look, attribute
from tutela.facts.registry import parser
from tutela.language import Text
from tutela.record import field, record, replace
from tutela.site import Attestation, Site, Waiver

if TYPE_CHECKING:
    from tutela.facts.memory import Memory


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

    def sight(self, name: str) -> Sight:
        """What a name in a verdict's evidence stands for."""
        source = self.bundle[name]
        return Sight(name, source.status.value, source.digest)

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
    judges = _judges(rulebook, mine.waivers, memory)
    verdicts = [look.fact(judge) for judge in judges.waived]
    clauses = tuple([look.fact(judge) for judge in judges.clauses])
    return Assessment(
        subject=bundle.subject,
        judged_at=look.now,
        bundle=bundle,
        rulebook=rulebook,
        site=mine,
        verdicts=tuple(verdicts),
        clauses=clauses,
        summary=_summary(verdicts, clauses, bundle),
        unused_waivers=_unused(look, verdicts),
        look=look,
    )


def assess_check(check: Check, look: Look, content: Content, profiles: tuple[Profile, ...], params: Mapping[str, Any]) -> Verdict:
    """The verdict of one check alone, with all that it rests on."""
    rulebook = resolve_checks(content, profiles, (check.id,), {check.id: params})
    return look.fact(_Judges(rulebook, ()).verdicts[check.id])


def _judges(rulebook: Rulebook, waivers: tuple[Waiver, ...], memory: Memory | None) -> _Judges:
    """Judges are remembered like facts, so a memory keeps those of its rulebook and waivers."""
    if memory is None:
        return _Judges(rulebook, waivers)
    if memory.judges is None or memory.judges.rulebook is not rulebook or memory.judges.waivers != waivers:
        memory.judges = _Judges(rulebook, waivers)
    return cast("_Judges", memory.judges)


class _Judges:
    """What a rulebook says, as functions of a look: a memory keeps what they say as it keeps facts."""

    def __init__(self, rulebook: Rulebook, waivers: tuple[Waiver, ...]) -> None:
        self.rulebook, self.waivers = rulebook, waivers
        self.profile = {"level": rulebook.level, "ids": tuple(one.id for one in rulebook.profiles)}
        self.verdicts: dict[str, _JudgeCheck] = {check.id: _JudgeCheck(self, check) for check in rulebook.checks.values()}
        # Most checks have no waiver: what they say stands.
        targets = {waiver.target for waiver in waivers}
        self.waived: list[_JudgeCheck | _Waive] = [
            _Waive(judge) if {judge.check.id, judge.check.catalogue} & targets else judge for judge in self.verdicts.values()
        ]
        waived = dict(zip(self.verdicts, self.waived, strict=True))
        self.clauses = [_JudgeClause(clause, [waived[rulebook.alias[name]] for name in clause.checks]) for clause in rulebook.clauses]


class _JudgeCheck:
    """One check -> its verdict."""

    def __init__(self, judges: _Judges, check: Check) -> None:
        self.judges, self.check = judges, check
        rulebook = judges.rulebook
        self.params, self.severity = rulebook.params[check.id], rulebook.severities[check.id]

    def __call__(self, look: Look) -> Verdict:
        # Everything that the check names is evidence, whichever part of a condition decides in the end.
        parts = [look.sources_of(parser(fact)) for fact in self.check.facts]
        others = [self._other(name) for name in self.check.checks]
        parts += [look.sources_of(other) for other in others]
        evidence = tuple(sorted(frozenset[str]().union(*parts)))
        scope = Scope(
            lambda name, part: _value(look, name, part),
            {"profile": self.judges.profile},
            self.params,
            lambda name: look.part(self._other(name), "result"),
        )
        return judge(self.check, scope, evidence, self.severity)

    def _other(self, name: str) -> _JudgeCheck:
        return self.judges.verdicts[self.judges.rulebook.alias[name]]

    @staticmethod
    def essence(verdict: Verdict) -> object:
        """What tells one verdict of this check from another."""
        return verdict.result, verdict.severity, verdict.reason, verdict.code, verdict.observations, verdict.notes, verdict.evidence


def _value(look: Look, name: str, part: str) -> Any:
    """A fact that a check names, or one attribute of it: a verdict stands as long as that does."""
    if name == "site":
        return attribute(look.site, part) if part else look.site
    return look.part(parser(name), part) if part else look.fact(parser(name))


class _Waive:
    """A verdict, with the waiver that excuses it."""

    def __init__(self, judge: _JudgeCheck) -> None:
        self.judge = judge

    def __call__(self, look: Look) -> Verdict:
        verdict = look.fact(self.judge)
        if verdict.result is not Outcome.FAIL:
            return verdict
        for waiver in look.fact(_in_force):
            if waiver.target in (verdict.check.id, verdict.check.catalogue) and not _refused(waiver, verdict):
                return replace(verdict, waived_by=waiver.approver)
        return verdict

    @staticmethod
    def essence(verdict: Verdict) -> object:
        """See `_JudgeCheck.essence`."""
        return _JudgeCheck.essence(verdict), verdict.waived_by


class _JudgeClause:
    """One clause -> how it stands."""

    def __init__(self, clause: Clause, judges: list[_JudgeCheck | _Waive]) -> None:
        self.clause, self.judges = clause, judges

    def __call__(self, look: Look) -> ClauseStanding:
        return _standing(self.clause, [look.fact(judge) for judge in self.judges], look)

    @staticmethod
    def essence(one: ClauseStanding) -> object:
        """What tells one standing of this clause from another."""
        return one.standing, one.severity, one.verdicts, one.reason, one.declared, one.contradicted


def _for_subject(look: Look) -> list[Waiver]:
    """Waivers that concern this subject."""
    every = look.site.waivers
    return [waiver for waiver in every if any(fnmatchcase(look.subject, pattern) for pattern in waiver.subjects)]


def _in_force(look: Look) -> list[Waiver]:
    """Of them those that count today."""
    return [waiver for waiver in look.fact(_for_subject) if waiver.granted <= look.today <= waiver.expires]


def _refused(waiver: Waiver, verdict: Verdict) -> bool:
    return verdict.severity is Severity.CRITICAL and waiver.party == "owner"


def _unused(look: Look, verdicts: list[Verdict]) -> tuple[UnusedWaiver, ...]:
    """Waivers that count for nothing, and why."""
    unused: list[UnusedWaiver] = []
    for waiver in look.fact(_for_subject):
        if waiver.expires < look.today:
            unused.append(UnusedWaiver(waiver, Text(f"已于 {waiver.expires} 到期", f"expired on {waiver.expires}")))
        elif waiver.granted > look.today:
            unused.append(UnusedWaiver(waiver, Text(f"{waiver.granted} 才生效", f"not in force before {waiver.granted}")))
    why = Text("严重级检查不能由乙方单方豁免", "an owner alone cannot waive a critical check")
    in_force = look.fact(_in_force)
    for verdict in verdicts if in_force else ():
        if verdict.result is not Outcome.FAIL:
            continue
        for waiver in in_force:
            if waiver.target in (verdict.check.id, verdict.check.catalogue):
                if not _refused(waiver, verdict):
                    break
                unused.append(UnusedWaiver(waiver, why))
    return tuple(unused)


def _standing(clause: Clause, mine: list[Verdict], look: Look) -> ClauseStanding:
    standing, reason = _measured(mine)
    ids = tuple(dict.fromkeys(verdict.check.id for verdict in mine))
    declared = _attested(clause, look)
    if clause.implementation is Implementation.REFERENCE:
        standing, reason = Standing.NOTAPPLICABLE, Text("参考事实，不作要求", "a reference fact; it demands nothing")
    elif clause.implementation is Implementation.ATTESTED:
        by_people, why = _declared(declared, look)
        if not mine or standing in (Standing.KEPT, Standing.NOTAPPLICABLE):
            standing, reason = by_people, why
    elif clause.implementation is not Implementation.AUTOMATIC and standing in (Standing.KEPT, Standing.NOTAPPLICABLE):
        # Host checks see only a part of such a clause: they can break it, never prove it.
        standing, reason = Standing.UNPROVEN, _NO_DATA[clause.implementation]
    contradicted = standing is Standing.BROKEN and declared is not None and declared.answer == "yes" and bool(mine)
    severity = _worst([v for v in mine if v.result in (Outcome.FAIL, Outcome.UNKNOWN)], clause)
    if standing is Standing.BROKEN and any(w.target == clause.id and not (severity is Severity.CRITICAL and w.party == "owner") for w in look.fact(_in_force)):
        standing = Standing.WAIVED
    elif standing is Standing.BROKEN:
        # Only what fails says how grave the breach is: a worse check beside it that could not look has broken nothing.
        severity = _worst([v for v in mine if v.result is Outcome.FAIL and v.waived_by is None], clause)
    return ClauseStanding(clause, standing, severity, ids, reason, declared.answer if declared else None, contradicted)


def _worst(verdicts: list[Verdict], clause: Clause) -> Severity:
    return max((verdict.severity for verdict in verdicts), key=lambda severity: severity.rank, default=clause.severity)


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


def _attested(clause: Clause, look: Look) -> Attestation | None:
    every = [one for one in look.site.attestations if one.clause == clause.id]
    mine = [one for one in every if any(fnmatchcase(look.subject, pattern) for pattern in one.subjects)]
    return max(mine, key=lambda one: one.on, default=None)


def _declared(attestation: Attestation | None, look: Look) -> tuple[Standing, Text | None]:
    if attestation is None:
        return Standing.UNPROVEN, Text("尚未提交人工证据（U5）", "no evidence lodged yet (U5)")
    if attestation.expires < look.today:
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
