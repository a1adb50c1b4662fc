"""What all formats agree upon: the headline, what comes first, which waivers counted, which derived numbers were used.

Nothing is judged here; it is the assessment, read once for all.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta, tzinfo
from enum import StrEnum
from fnmatch import fnmatchcase

from tutela.agreement.model import Party, Table
from tutela.assess.assessment import Assessment, ClauseStanding, Standing
from tutela.assess.verdict import Verdict
from tutela.checks import Check, Outcome, Severity
from tutela.evidence import Reason
from tutela.evidence.bundle import AGAIN
from tutela.language import Text, same
from tutela.record import record
from tutela.report.inert import inert
from tutela.report.words import PARTIES, RESULTS
from tutela.site import Waiver

FIRST = 5
"""How many failures stand under "do first"."""
MAX_TWICE = 5
"""Names of sources that came twice that a sentence lists."""


class Headline(StrEnum):
    """The one word about a subject."""

    COMPLIANT = "compliant"
    NOT_SHOWN = "not shown compliant"
    BROKEN = "broken"


HEADLINES = {
    Headline.COMPLIANT: Text("合规", "compliant"),
    Headline.NOT_SHOWN: Text("未证实合规", "not shown compliant"),
    Headline.BROKEN: Text("违反约定", "broken"),
}


def headline(assessment: Assessment) -> Headline:
    """Broken when a duty is broken; compliant only when nothing that binds is left undecided.

    Advice (`recommended`) neither breaks nor proves anything. Without clauses the checks alone decide.
    """
    standings = {one.standing for one in duties(assessment)}
    results = {verdict.result for verdict in assessment.verdicts if verdict.waived_by is None} if not assessment.clauses else set()
    if Outcome.FAIL in results or Standing.BROKEN in standings:
        return Headline.BROKEN
    seen = bool(assessment.verdicts) and unreachable(assessment) is None
    undecided = Outcome.UNKNOWN in results or Standing.UNPROVEN in standings
    return Headline.COMPLIANT if seen and not undecided else Headline.NOT_SHOWN


def duties(assessment: Assessment) -> list[ClauseStanding]:
    """The clauses that bind; advice does not."""
    return [one for one in assessment.clauses if not one.clause.recommended]


def unreachable(assessment: Assessment) -> Text | None:
    """Why nobody could look at this subject, if nobody could."""
    meta = assessment.bundle.meta
    return Text(meta.get("unreachable_zh", meta["unreachable"]), meta["unreachable"]) if "unreachable" in meta else None


def twice(assessment: Assessment) -> tuple[str, ...]:
    """Names of sources that the probe sent twice with different content."""
    sources = assessment.bundle.sources
    return tuple(name.removesuffix(AGAIN) for name in sources if name.endswith(AGAIN) and name.removesuffix(AGAIN) in sources)


def said_twice(assessment: Assessment) -> Text | None:
    """The sentence about them, if there are any."""
    names = twice(assessment)
    if not names:
        return None
    listed = ", ".join(inert(name) for name in names[:MAX_TWICE]) + (" …" if len(names) > MAX_TWICE else "")
    return Text(
        f"有 {len(names)} 个来源返回了两份不同的内容，只采用第一份：{listed}。正常主机不会这样，请检查这台主机是否被篡改。",
        f"{len(names)} sources came twice with different content, and only the first counts: {listed}. An honest host does not do this; see whether somebody has tampered with it.",
    )


def summary(assessment: Assessment) -> Text:
    """The sentence behind the headline."""
    why = unreachable(assessment)
    if why is not None:
        return Text(f"无法连接，什么也没有看到：{inert(why.zh)}", f"could not be reached, so nothing was seen: {inert(why.en)}")
    failed, unknown = failures(assessment), unknowns(assessment)
    broken = [one for one in duties(assessment) if one.standing is Standing.BROKEN]
    unproven = [one for one in duties(assessment) if one.standing is Standing.UNPROVEN]
    counted = len(assessment.verdicts)
    zh = f"{counted} 项检查中 {len(failed)} 项不符合、{len(unknown)} 项未知；条款 {len(broken)} 条未履行、{len(unproven)} 条未证实。"
    en = (
        f"Of {_count(counted, 'check')} {len(failed)} failed and {len(unknown)} {_be(unknown)} unknown; "
        f"{_count(len(broken), 'clause')} {_be(broken)} broken and {len(unproven)} {_be(unproven)} unproven."
    )
    return Text(zh, en)


def of_advice(one: Assessment) -> Text | None:
    """Why the table of all clauses counts more than the summary does; None where it counts the same."""
    advice = [clause.standing for clause in one.clauses if clause.clause.recommended]
    broken, unproven = advice.count(Standing.BROKEN), advice.count(Standing.UNPROVEN)
    if not broken and not unproven:
        return None
    return Text(
        f"其中建议类 {broken} 条未履行、{unproven} 条未证实，不计入总评。",
        f"Of these, {broken} broken and {unproven} unproven are advice, and do not count in the headline.",
    )


def _count(number: int, word: str) -> str:
    return f"{number} {word}" if number == 1 else f"{number} {word}s"


def _be(things: Sequence[object]) -> str:
    return "is" if len(things) == 1 else "are"


def by_weight(verdicts: Sequence[Verdict]) -> list[Verdict]:
    """Worst first; among equals signs of a break-in, then as the catalogue has them, which goes from what everything rests on (updates, firewall, logins) to what watches and restores."""
    return sorted(verdicts, key=lambda verdict: (-verdict.severity.rank, not verdict.check.incident, verdict.check.catalogue or "~", verdict.check.id))


def failures(assessment: Assessment) -> list[Verdict]:
    """What fails and is not waived, by weight."""
    return by_weight([verdict for verdict in assessment.verdicts if verdict.result is Outcome.FAIL and verdict.waived_by is None])


def unknowns(assessment: Assessment) -> list[Verdict]:
    """What could not be decided, worst first."""
    return by_weight([verdict for verdict in assessment.verdicts if verdict.result is Outcome.UNKNOWN])


def of_result(assessment: Assessment, outcome: Outcome) -> list[Verdict]:
    """Verdicts of one result in the order of the rulebook."""
    return [verdict for verdict in assessment.verdicts if verdict.result is outcome]


def duty_of(verdict: Verdict, assessment: Assessment) -> tuple[Text, ...]:
    """Whose duty the clauses behind a verdict are."""
    parties = [one.clause.party for one in clauses_of(verdict, assessment)]
    return tuple(PARTIES[party] for party in Party if party in parties)


def clauses_of(verdict: Verdict, assessment: Assessment) -> list[ClauseStanding]:
    """Clauses in force that the verdict decides."""
    return [one for one in assessment.clauses if verdict.check.id in one.verdicts]


def name_of(verdict: Verdict) -> str:
    """`H-028 ssh-password-login`."""
    return f"{verdict.check.catalogue} {verdict.check.id}" if verdict.check.catalogue else verdict.check.id


@record
class WaiverUse:
    """A waiver that concerns this subject, and what became of it."""

    waiver: Waiver
    used: bool
    why: Text
    """What it excuses, or why it counts for nothing."""


def waivers(assessment: Assessment) -> list[WaiverUse]:
    """Every waiver for this subject, used ones first."""
    uses: list[WaiverUse] = []
    refused = {one.waiver: one.why for one in assessment.unused_waivers}
    for waiver in assessment.site.waivers:
        if not any(fnmatchcase(assessment.subject, pattern) for pattern in waiver.subjects):
            continue
        excused = [
            verdict.check.id
            for verdict in assessment.verdicts
            if verdict.waived_by == waiver.approver and waiver.target in (verdict.check.id, verdict.check.catalogue)
        ]
        excused += [one.clause.id for one in assessment.clauses if one.standing is Standing.WAIVED and one.clause.id == waiver.target]
        if waiver in refused:
            uses.append(WaiverUse(waiver, False, refused[waiver]))
        elif excused:
            uses.append(WaiverUse(waiver, True, same(", ".join(excused))))
        else:
            uses.append(WaiverUse(waiver, False, Text("没有可豁免的不符合项", "nothing fails that it could excuse")))
    return sorted(uses, key=lambda use: not use.used)


@record
class Derived:
    """A number in force that is not in the sources (catalogue, section I)."""

    key: str
    title: Text | None
    value: str
    used_by: tuple[str, ...]
    """Checks by catalogue number, or else clauses."""
    by_check: bool


def derived(assessment: Assessment, tables: Mapping[str, Table] | None = None) -> list[Derived]:
    """Derived defaults that this judgement used, with the value in force."""
    rulebook = assessment.rulebook
    table = (tables or {}).get("derived-defaults")
    rows = {row.id: row for row in table.rows} if table is not None else {}
    made = []
    for key in rulebook.derived:
        values: dict[str, None] = {}
        used: list[str] = []
        for check in rulebook.checks.values():
            for name, param in check.params.items():
                if param.derived == key:
                    values[_plain(rulebook.params[check.id][name])] = None
                    used.append(check.catalogue or check.id)
        by_check = bool(used)
        used += [clause.id for clause in rulebook.clauses if key in clause.derived and not by_check]
        row = rows.get(key)
        if not values and row is not None and "default" in row.values:
            default = row.values["default"]
            # Two numbers are a range, both ends included.
            shown = "–".join(map(str, default)) if isinstance(default, (list, tuple)) and len(default) == 2 else _plain(default)
            values[" ".join([shown, str(row.values.get("unit", ""))]).strip()] = None
        made.append(Derived(key, row.title if row is not None else None, ", ".join(values), tuple(dict.fromkeys(used)), by_check))
    return made


def own_parameters(assessment: Assessment) -> list[tuple[str, str, str]]:
    """Parameters that the site sets otherwise than they would be: `H-017.minlen`, the value, what would apply."""
    return [(f"{one.check.catalogue or one.check.id}.{one.name}", _plain(one.value), _plain(one.agreed)) for one in assessment.rulebook.overrides]


def listed_own_parameters(assessment: Assessment, check: Check | None = None) -> str | None:
    """The same in one line for programs, `H-017.minlen=1 (14)`, of one check or of all; None when there are none."""
    found = zip(assessment.rulebook.overrides, own_parameters(assessment), strict=True)
    return "; ".join(f"{name}={value} ({agreed})" for one, (name, value, agreed) in found if check is None or one.check is check) or None


def said_own_parameters(assessment: Assessment) -> Text | None:
    """The sentence about them, if there are any."""
    found = own_parameters(assessment)
    if not found:
        return None
    zh = "、".join(f"{name} = {value}（原为 {agreed}）" for name, value, agreed in found)
    en = ", ".join(f"{name} = {value} (otherwise {agreed})" for name, value, agreed in found)
    return Text(
        f"站点文件更改了判定参数，结论只在更改获准时成立：{inert(zh)}",
        f"The site file changes parameters, so this judgement holds only if that was agreed: {inert(en)}",
    )


def _plain(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, (tuple, list)) else str(value)


def when(moment: datetime, zone: tzinfo) -> str:
    """A moment for people: `2026-11-22 16:00 UTC+8`."""
    return moment.astimezone(zone).strftime("%Y-%m-%d %H:%M %Z")


def age(assessment: Assessment) -> Text:
    """How old the oldest datum was when it was judged."""
    old = assessment.judged_at - assessment.summary.oldest_datum
    if old >= timedelta(days=2):
        return Text(f"{old.days} 天", f"{old.days} days")
    hours = int(old.total_seconds() // 3600)
    if hours:
        return Text(f"{hours} 小时", _count(hours, "hour"))
    minutes = max(0, int(old.total_seconds() // 60))
    return Text(f"{minutes} 分钟", _count(minutes, "minute"))


def counts(assessment: Assessment) -> Iterator[tuple[Text, list[int]]]:
    """result -> a count for each severity, worst first, and the total."""
    for word, text in RESULTS.items():
        row = [assessment.summary.results[word][severity.value] for severity in Severity]
        yield text, [*row, sum(row)]


def sort_key(subject: str) -> tuple[str, str]:
    """Order of subjects: as people read names, web2 before web10, whatever the form of their characters."""
    name = unicodedata.normalize("NFKC", subject).casefold()
    return re.sub(r"\d{1,9}", lambda digits: digits[0].zfill(9), name), subject


def told_apart(assessments: Sequence[Assessment]) -> list[str]:
    """The names of the subjects, in their order. Where several have one name, each gets the first digits of its bundle's digest: two hosts, or two looks at one."""
    counted = Counter(one.subject for one in assessments)
    return [one.subject if counted[one.subject] == 1 else f"{one.subject} ({one.bundle.digest.removeprefix('sha256:')[:8]})" for one in assessments]


def hidden(assessment: Assessment) -> int:
    """How much is unknown because whoever looked may not read it."""
    return sum(1 for verdict in assessment.verdicts if verdict.code is Reason.PRIVILEGE)


def said_hidden(assessment: Assessment) -> Text | None:
    """The sentence about it, if there is anything."""
    number = hidden(assessment)
    if not number:
        return None
    return Text(
        f"其中 {number} 项因权限不足而未知（U2）：以 root 运行，或加 --become。",
        f"{number} unknown for want of privilege (U2): run as root, or with --become.",
    )


def said_hidden_of_fleet(assessments: Sequence[Assessment]) -> Text | None:
    """The same of several subjects."""
    number = sum(1 for one in assessments if hidden(one))
    if not number:
        return None
    return Text(
        f"其中 {number} 台有检查因权限不足而未知（U2）：以 root 登录，或加 --become。",
        f"On {_count(number, 'host')} checks are unknown for want of privilege (U2): log in as root, or use --become.",
    )


@record
class FleetFinding:
    """One check that fails on some subjects of a fleet."""

    verdict: Verdict
    """The worst of them."""
    subjects: tuple[str, ...]


def across(assessments: Sequence[Assessment]) -> list[FleetFinding]:
    """Failures of a fleet: worst first, then those on most subjects."""
    found: dict[str, list[tuple[Verdict, str]]] = {}
    for name, assessment in zip(told_apart(assessments), assessments, strict=True):
        for verdict in failures(assessment):
            found.setdefault(verdict.check.id, []).append((verdict, name))
    made = [
        FleetFinding(max((verdict for verdict, _ in hits), key=lambda verdict: verdict.severity.rank), tuple(subject for _, subject in hits))
        for hits in found.values()
    ]
    return sorted(made, key=lambda one: (-one.verdict.severity.rank, -len(one.subjects), one.verdict.check.id))
