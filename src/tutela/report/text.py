"""Reports for a terminal: 80 columns, plain text, colour only when asked.

The first screen says how it stands and what to do first.
Below it long lists are folded, with a word about what was left out; `details` unfolds everything.
What the counting rule asks for (counts, every unknown with its reason, derived defaults, age) is never folded.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from tutela.agreement.model import Party
from tutela.assess.assessment import Assessment, ClauseStanding, Standing
from tutela.assess.verdict import Observation, Verdict
from tutela.checks import Outcome, Severity
from tutela.language import Lang, Text
from tutela.report import reachable
from tutela.report.beginning import beginning
from tutela.report.columns import padded, shortened, table, width, wrapped
from tutela.report.findings import (
    FIRST,
    HEADLINES,
    Derived,
    Headline,
    across,
    age,
    clauses_of,
    counts,
    derived,
    duty_of,
    failures,
    headline,
    name_of,
    of_advice,
    of_result,
    said_hidden,
    said_hidden_of_fleet,
    said_own_parameters,
    said_twice,
    sort_key,
    summary,
    told_apart,
    unknowns,
    unreachable,
    waivers,
    when,
)
from tutela.report.inert import inert, inert_lines
from tutela.report.options import Options
from tutela.report.words import COLON, COMMA, PARTIES, PAUSE, RESULTS, SEVERITIES, STANDINGS, TOTAL, joined, value, wanted

MAX_NAMES = 4
"""Names in a line before the rest is a number."""
MAX_DETAILED = 8
"""Failures with their details, and broken clauses with their titles, before the rest is named in short."""
MAX_SEEN = 3
"""Values of one observation before the rest is a number."""
MAX_REMEDY = 3
"""Lines of a remedy on the first screen."""

_RED, _YELLOW, _GREEN, _BOLD, _PLAIN = "\x1b[31m", "\x1b[33m", "\x1b[32m", "\x1b[1m", "\x1b[0m"
_HEADLINE_COLOUR = {Headline.BROKEN: _RED, Headline.NOT_SHOWN: _YELLOW, Headline.COMPLIANT: _GREEN}
_SEVERITY_COLOUR = {Severity.CRITICAL: _RED, Severity.HIGH: _RED, Severity.MEDIUM: _YELLOW}

_FIRST = Text("先做什么", "Do first")
_FAILURES = Text("不符合", "Failures")
_UNKNOWN = Text("未知（看不到，不算通过）", "Unknown (not seen, never counted as kept)")
_WAIVED = Text("已豁免的不符合", "Waived failures")
_PASSED = Text("通过", "Passed")
_EXCUSED = Text("不适用", "Not applicable")
_COUNTS = Text("计数", "Counts")
_CLAUSES = Text("条款：谁的责任", "Clauses: whose duty")
_WAIVERS = Text("豁免", "Waivers")
_DERIVED = Text("所用推定默认值（原文没有的数字）", "Derived defaults in force (numbers the sources do not give)")
_STRICTER = Text("多份协议同时适用，取更严的", "Where agreements differ, the stricter applies")
_BASIS = Text("依据", "Basis")
_FLEET = Text("主机", "Hosts")
_ACROSS = Text("全部主机中最重的问题", "Worst findings across the hosts")
_ON = Text("主机", "hosts")
_UNREACHED = Text("没能查看（未证实）", "Not seen (unproven)")

_SEEN = Text("所见", "seen")
_EXPECTED = Text("应为", "expected")
_WHY = Text("原因", "why")
_DO = Text("处理", "do")
_OF = Text("条款", "clauses")
_SEEN_AT = Text("证据", "evidence")
_NOTE = Text("说明", "note")
_NOT_SEEN = Text("没看到", "not seen")
_SHARE = Text("适用的检查中有 {percent}% 未能判定。", "Undecided: {percent} % of the applicable checks.")
_AS_ABOVE = Text("见上文第 {number} 项", "as in {number} above")
_NOTHING = Text("无", "none")
_DATA_OF = Text("数据采集于 {at}，最旧的一项距判定 {age}。", "Data of {at}; the oldest was {age} old when judged.")
_MORE_VALUES = Text("…… 另有 {number} 个（--all）", "… and {number} more (--all)")
_MORE_FAILURES = Text("…… 另有 {number} 项（--all 列出详情）：", "… and {number} more (details: --all):")
_MORE_CLAUSES = Text("…… 另有 {number} 条：", "… and {number} more: ")
_MORE_DEFAULTS = Text("…… 另有 {number} 个只写在条款里，没有检查用到（--all）", "… and {number} more in clauses that no check decides (--all)")
_EVERYTHING = Text("全部内容", "everything")
_ONE_ITEM = Text("单项详情", "one item")
_PAGE = Text("网页", "as a page")
_USED = Text("生效", "used")
_UNUSED = Text("未生效", "not used")
_TERMS = Text("{approver} 批准，{granted} 至 {expires}：{reason}", "approved by {approver}, {granted} to {expires}: {reason}")
_EXCUSES = Text("豁免 {what}", "excuses {what}")
_CONTRADICTED = Text("声明已履行，与测量结果矛盾", "declared kept, contradicted by measurement")
_ADVICE = Text("建议", "advice")


def render(assessments: Sequence[Assessment], lang: Lang, options: Options) -> Iterator[str]:
    """The whole report of one subject, or a fleet's table and its worst findings."""
    page = _Page(lang, options)
    several = sorted(assessments, key=lambda one: sort_key(one.subject))
    for line in page.subject(several[0]) if len(several) == 1 else page.fleet(several):
        yield line.rstrip() + "\n"


def _valued(default: Derived) -> str:
    return f"{default.key} = {inert(default.value)}" if default.value else default.key


class _Page:
    """Lines in one language and width."""

    def __init__(self, lang: Lang, options: Options) -> None:
        self.lang = lang
        self.options = options
        self.width = options.width
        self.all = options.details

    def say(self, text: Text) -> str:
        return inert(text.in_(self.lang))

    def paint(self, words: str, colour: str | None) -> str:
        return f"{colour}{words}{_PLAIN}" if self.options.colour and colour else words

    def heading(self, text: Text, number: int | None = None) -> Iterator[str]:
        words = self.say(text)
        yield ""
        yield self.paint(words if number is None else f"{words} ({number})", _BOLD)

    def field(self, label: Text, words: str | Iterable[str], *, indent: int, whole: bool = False) -> Iterator[str]:
        """`label  words`, the words flush and wrapped."""
        first = " " * indent + padded(self.say(label), 10)
        rest = " " * width(first)
        for line in [words] if isinstance(words, str) else words:
            yield from wrapped(line, self.width, first=first, rest=rest, whole=whole)
            first = rest

    def subject(self, one: Assessment) -> Iterator[str]:
        """Everything about one subject."""
        word = headline(one)
        yield f"{self.paint(self.name(one), _BOLD)}  {self.paint(self.say(HEADLINES[word]).upper(), _HEADLINE_COLOUR[word])}"
        yield ""
        yield from wrapped(self.say(summary(one)), self.width)
        if unreachable(one) is None:
            at, old = when(one.bundle.collected_at, self.options.zone), self.say(age(one))
            yield from wrapped(self.say(_DATA_OF.with_values(at=at, age=old)), self.width)
        for note in (said_twice(one), said_own_parameters(one)):
            if note is not None:
                yield from wrapped(self.say(note), self.width)
        yield from self.counts(one)
        failed = failures(one)
        yield from self.first(failed)
        yield from self.failures(failed, one)
        yield from self.unknowns(unknowns(one), one)
        yield from self.reachable(one)
        yield from self.quiet(one)
        yield from self.clauses(one)
        yield from self.waivers(one)
        yield from self.derived(one)
        if one.rulebook.stricter and self.all:
            yield from self.heading(_STRICTER)
            for text in one.rulebook.stricter:
                yield from wrapped(self.say(text), self.width, first="  ", rest="    ")
        yield from self.basis(one)
        yield from self.last(one, failed)

    def last(self, one: Assessment, failed: Sequence[Verdict]) -> Iterator[str]:
        """The headline once more, since a terminal shows the end of a long text, and where the rest is."""
        if self.all:
            return
        word = headline(one)
        yield ""
        yield f"{self.paint(self.name(one), _BOLD)}  {self.paint(self.say(HEADLINES[word]).upper(), _HEADLINE_COLOUR[word])}"
        known = failed[0].check if failed else next((verdict.check for verdict in one.verdicts), None)
        yield from self.basic(_EVERYTHING, "--all")
        if known is not None:
            yield from self.basic(_ONE_ITEM, f"tutela explain {known.catalogue or known.id}")
        yield from self.basic(_PAGE, "--format html --output report.html")

    def name(self, one: Assessment) -> str:
        return shortened(inert(one.subject), self.width - 24)

    def first(self, failed: Sequence[Verdict]) -> Iterator[str]:
        if not failed:
            return
        yield from self.heading(_FIRST)
        for number, verdict in enumerate(failed[:FIRST], 1):
            yield from self.titled(f"{number}.", verdict)
            yield from self.remedy(verdict, indent=3, short=not self.all)

    def remedy(self, verdict: Verdict, *, indent: int, short: bool) -> Iterator[str]:
        """What to do; in short, whole sentences of it, so that no command is cut."""
        lines = inert_lines(verdict.check.remedy.in_(self.lang))
        if short:
            room = self.width - indent - 10
            lines = beginning(lines, lambda said: sum(1 for line in said for _ in wrapped(line, room, whole=True)), MAX_REMEDY)
        yield from self.field(_DO, lines, indent=indent, whole=True)

    def titled(self, mark: str, verdict: Verdict) -> Iterator[str]:
        """`mark severity title (H-028 ssh-password-login)`, with the severity coloured."""
        severity = self.say(SEVERITIES[verdict.severity])
        words = f"{self.say(verdict.check.title)} ({name_of(verdict)})"
        mark = padded(f"{mark} ", 3) if mark else ""
        lines = wrapped(words, self.width, first=f"{mark}{severity}  ", rest=" " * (width(mark) or 2))
        head = next(lines)
        yield mark + self.paint(severity, _SEVERITY_COLOUR.get(verdict.severity)) + head[len(mark) + len(severity) :]
        yield from lines

    def failures(self, failed: Sequence[Verdict], one: Assessment) -> Iterator[str]:
        if not failed:
            return
        yield from self.heading(_FAILURES, len(failed))
        shown = len(failed) if self.all or len(failed) <= MAX_DETAILED + 2 else MAX_DETAILED
        for number, verdict in enumerate(failed[:shown], 1):
            yield from self.titled("", verdict)
            yield from self.observations(verdict)
            if self.all:
                yield from self.field(_WHY, self.say(verdict.check.why), indent=2)
            if number <= FIRST and self.all:
                yield from self.field(_DO, self.say(_AS_ABOVE.with_values(number=number)), indent=2)
            elif number > FIRST:
                yield from self.remedy(verdict, indent=2, short=not self.all)
            yield from self.behind(verdict, one)
        if failed[shown:]:
            yield self.say(_MORE_FAILURES.with_values(number=len(failed) - shown))
            for verdict in failed[shown:]:
                yield from self.titled("", verdict)

    def behind(self, verdict: Verdict, one: Assessment) -> Iterator[str]:
        """Clauses, whose duty, evidence, notes."""
        clauses = [standing.clause.id for standing in clauses_of(verdict, one)]
        if clauses:
            duty = self.say(joined(list(duty_of(verdict, one))))
            yield from self.field(_OF, f"{self.names(clauses)} ({duty})", indent=2)
        for note in verdict.notes if self.all else ():
            yield from self.field(_NOTE, self.say(note), indent=2)
        if verdict.evidence and self.all:
            yield from self.field(_SEEN_AT, self.names([inert(name) for name in verdict.evidence]), indent=2)

    def names(self, names: Sequence[str]) -> str:
        more = 0 if self.all else len(names) - MAX_NAMES
        return ", ".join(names if more <= 0 else names[:MAX_NAMES]) + (f" +{more}" if more > 0 else "")

    def observations(self, verdict: Verdict) -> Iterator[str]:
        for seen in verdict.observations:
            if seen.met is not True:
                yield from self.observation(seen)

    def observation(self, seen: Observation) -> Iterator[str]:
        label, values = self.say(seen.label), [self.say(value(one)) for one in seen.observed] or [self.say(_NOTHING)]
        words = f"{label}{COLON.in_(self.lang)}{values[0]}" if len(values) == 1 else label
        yield from self.field(_SEEN if seen.met is False else _NOT_SEEN, words, indent=2)
        shown = len(values) if self.all or len(values) <= MAX_SEEN + 1 else MAX_SEEN
        for line in values[:shown] if len(values) > 1 else ():
            yield from wrapped(line, self.width, first=" " * 14, rest=" " * 16)
        if values[shown:]:
            yield " " * 14 + self.say(_MORE_VALUES.with_values(number=len(values) - shown))
        yield from self.field(_EXPECTED, self.say(wanted(seen.expected)), indent=2)

    def unknowns(self, unknown: Sequence[Verdict], one: Assessment) -> Iterator[str]:
        if not unknown:
            return
        yield from self.heading(_UNKNOWN, len(unknown))
        for verdict in unknown:
            yield from self.titled("", verdict)
            code = f"{verdict.code.value} " if verdict.code is not None else ""
            yield from self.field(_WHY, code + (self.say(verdict.reason) if verdict.reason is not None else "-"), indent=2)
            clauses = [standing.clause.id for standing in clauses_of(verdict, one)]
            if clauses and self.all:
                yield from self.field(_OF, self.names(clauses), indent=2)

    def reachable(self, one: Assessment) -> Iterator[str]:
        found = reachable.joined(one)
        if found is None:
            return
        yield from self.heading(reachable.TITLE)
        rows = reachable.rows(found, self.lang, self.width)
        if rows:
            yield from table(rows)
        yield from wrapped(reachable.footnote(found, self.lang), self.width, first="  ", rest="  ")

    def quiet(self, one: Assessment) -> Iterator[str]:
        """Waived, passed and excused: a line each at most."""
        waived = [verdict for verdict in one.verdicts if verdict.waived_by is not None]
        if waived:
            yield from self.heading(_WAIVED, len(waived))
            for verdict in waived:
                yield from self.titled("", verdict)
                yield from self.observations(verdict)
        passed = of_result(one, Outcome.PASS)
        if passed:
            yield from self.heading(_PASSED, len(passed))
            if self.all:
                for verdict in passed:
                    yield from wrapped(f"{name_of(verdict)}{COLON.in_(self.lang)}{self.say(verdict.check.title)}", self.width, first="  ", rest="    ")
                    for note in verdict.notes:
                        yield from self.field(_NOTE, self.say(note), indent=4)
            else:
                yield from self.numbers(passed)
        excused = of_result(one, Outcome.NOTAPPLICABLE)
        if excused:
            yield from self.heading(_EXCUSED, len(excused))
            if self.all:
                for verdict in excused:
                    why = self.say(verdict.reason) if verdict.reason is not None else "-"
                    yield from wrapped(f"{name_of(verdict)}{COLON.in_(self.lang)}{why}", self.width, first="  ", rest="    ")
            else:
                yield from self.numbers(excused)

    def numbers(self, verdicts: Sequence[Verdict]) -> Iterator[str]:
        """Checks as short as they can be named, in the order of their numbers."""
        yield from wrapped(", ".join(sorted(verdict.check.catalogue or verdict.check.id for verdict in verdicts)), self.width, first="  ", rest="  ")

    def counts(self, one: Assessment) -> Iterator[str]:
        yield from self.heading(_COUNTS)
        rows = [["", *(self.say(SEVERITIES[severity]) for severity in Severity), self.say(TOTAL)]]
        rows += [[self.say(word), *map(str, row)] for word, row in counts(one)]
        yield from table(rows, right=range(1, len(rows[0])))
        yield from wrapped(self.say(_SHARE.with_values(percent=one.summary.unknown_percent)), self.width, first="  ", rest="  ")
        hidden = said_hidden(one)
        if hidden is not None:
            yield from wrapped(self.say(hidden), self.width, first="  ", rest="  ")

    def clauses(self, one: Assessment) -> Iterator[str]:
        if not one.clauses:
            return
        yield from self.heading(_CLAUSES, len(one.clauses))
        rows = [["", *(self.say(STANDINGS[standing]) for standing in Standing)]]
        for party in Party:
            mine = [clause for clause in one.clauses if clause.clause.party is party]
            if mine:
                rows.append([self.say(PARTIES[party]), *(str(sum(1 for c in mine if c.standing is standing)) for standing in Standing)])
        yield from table(rows, right=range(1, len(rows[0])))
        advice = of_advice(one)
        if advice is not None:
            yield from wrapped(self.say(advice), self.width, first="  ", rest="  ")
        broken = [clause for clause in one.clauses if clause.standing is Standing.BROKEN]
        # Duties before advice: advice breaks nothing.
        broken.sort(key=lambda clause: clause.clause.recommended)
        shown = len(broken) if self.all or len(broken) <= MAX_DETAILED + 2 else MAX_DETAILED
        for clause in [*broken[:shown], *(clause for clause in one.clauses if clause.standing is Standing.WAIVED)]:
            yield from self.clause(clause)
        if broken[shown:]:
            more = self.say(_MORE_CLAUSES.with_values(number=len(broken) - shown))
            yield from wrapped(more + ", ".join(clause.clause.id for clause in broken[shown:]), self.width, first="  ", rest="    ")
        for standing in (Standing.KEPT, Standing.NOTAPPLICABLE) if self.all else (Standing.KEPT,):
            ids = [clause.clause.id for clause in one.clauses if clause.standing is standing]
            if ids:
                yield from wrapped(", ".join(ids), self.width, first=f"  {self.say(STANDINGS[standing])}  ", rest="    ")
        yield from self.unproven(one)

    def clause(self, one: ClauseStanding) -> Iterator[str]:
        word = self.say(STANDINGS[one.standing])
        colour = _RED if one.standing is Standing.BROKEN else None
        extra = [self.say(PARTIES[one.clause.party])]
        if one.clause.recommended:
            extra.append(self.say(_ADVICE))
        if one.contradicted:
            extra.append(self.say(_CONTRADICTED))
        if one.reason is not None:
            extra.append(self.say(one.reason))
        lines = wrapped(f"{one.clause.id} {self.say(one.clause.title)} ({PAUSE.in_(self.lang).join(extra)})", self.width, first=f"  {word}  ", rest="    ")
        head = next(lines)
        yield "  " + self.paint(word, colour) + head[2 + len(word) :]
        yield from lines

    def unproven(self, one: Assessment) -> Iterator[str]:
        """Unproven clauses under their reasons; there may be dozens."""
        reasons: dict[tuple[str, Party], list[str]] = {}
        for standing in one.clauses:
            if standing.standing is Standing.UNPROVEN:
                reason = self.say(standing.reason) if standing.reason is not None else "-"
                reasons.setdefault((reason, standing.clause.party), []).append(standing.clause.id)
        for (reason, party), ids in reasons.items():
            head = f"{self.say(STANDINGS[Standing.UNPROVEN])}  {self.say(PARTIES[party])}{PAUSE.in_(self.lang)}{reason}{COLON.in_(self.lang)}"
            yield from wrapped(head + ", ".join(ids), self.width, first="  ", rest="    ")

    def waivers(self, one: Assessment) -> Iterator[str]:
        uses = waivers(one)
        if not uses:
            return
        yield from self.heading(_WAIVERS, len(uses))
        for use in uses:
            why = _EXCUSES.with_values(what=use.why.in_(self.lang)) if use.used else use.why
            word = self.say(_USED if use.used else _UNUSED)
            head = f"{word}  {inert(use.waiver.target)} ({self.say(PARTIES[Party(use.waiver.party)])}){COLON.in_(self.lang)}{self.say(why)}"
            yield from wrapped(head, self.width, first="  ", rest="    ")
            terms = _TERMS.with_values(approver=use.waiver.approver, granted=use.waiver.granted, expires=use.waiver.expires, reason=use.waiver.reason)
            yield from wrapped(self.say(terms), self.width, first="    ", rest="    ")

    def derived(self, one: Assessment) -> Iterator[str]:
        found = derived(one, self.options.tables)
        yield from self.heading(_DERIVED, len(found))
        if not found:
            yield f"  {self.say(_NOTHING)}"
        for default in found if self.all else ():
            title = f"  {self.say(default.title)}" if default.title is not None else ""
            used = f" ({self.names(default.used_by)})" if default.used_by else ""
            yield from wrapped(f"{_valued(default)}{title}{used}", self.width, first="  ", rest="    ")
        if self.all:
            return
        by_check = [_valued(default) for default in found if default.by_check]
        if by_check:
            yield from wrapped("; ".join(by_check), self.width, first="  ", rest="  ")
        if found[len(by_check) :]:
            yield from wrapped(self.say(_MORE_DEFAULTS.with_values(number=len(found) - len(by_check))), self.width, first="  ", rest="    ")

    def basis(self, one: Assessment) -> Iterator[str]:
        """Which words were judged, on which evidence, how old."""
        zone = self.options.zone
        yield from self.heading(_BASIS)
        for agreement in one.rulebook.agreements:
            yield from self.basic(Text("协议", "agreement"), f"{agreement.id} {agreement.edition}{f' {agreement.digest}' if self.all else ''}")
        yield from self.basic(Text("配置档案", "profile"), ", ".join(profile.id for profile in one.rulebook.profiles))
        if self.all:
            yield from self.basic(Text("内容", "content"), one.rulebook.content_digest)
        if one.site.digest and self.all:
            yield from self.basic(Text("站点设置", "site"), one.site.digest)
        yield from self.basic(Text("证据包", "bundle"), one.bundle.digest)
        probe = self.say(Text("探针 {version}", "probe {version}").with_values(version=one.bundle.probe))
        yield from self.basic(Text("采集", "collected"), f"{when(one.bundle.collected_at, zone)}, {probe}")
        yield from self.basic(Text("判定", "judged"), when(one.judged_at, zone))
        oldest = Text("{at}，距判定 {age}", "{at}, {age} old when judged")
        words = oldest.with_values(at=when(one.summary.oldest_datum, zone), age=self.say(age(one)))
        yield from self.basic(Text("最旧数据", "oldest datum"), self.say(words))

    def basic(self, label: Text, words: str) -> Iterator[str]:
        first = "  " + padded(self.say(label), 14)
        yield from wrapped(inert(words), self.width, first=first, rest=" " * width(first), whole=True)

    def fleet(self, assessments: Sequence[Assessment]) -> Iterator[str]:
        """A compact table, and what is worst."""
        words = {word: sum(1 for one in assessments if headline(one) is word) for word in Headline}
        listed = COMMA.in_(self.lang).join(f"{number} {self.say(HEADLINES[word])}" for word, number in words.items())
        total = self.say(Text("{number} 台主机：{listed}", "{number} hosts: {listed}").with_values(number=len(assessments), listed=listed))
        yield from wrapped(self.paint(total, None), self.width)
        if not assessments:
            return
        own = said_own_parameters(assessments[0])  # one site file for all
        if own is not None:
            yield from wrapped(self.say(own), self.width)
        yield from self.heading(_FLEET)
        yield from self.fleet_table(assessments)
        hidden = said_hidden_of_fleet(assessments)
        if hidden is not None:
            yield from wrapped(self.say(hidden), self.width, first="  ", rest="  ")
        lost = [(name, why) for name, one in zip(told_apart(assessments), assessments, strict=True) if (why := unreachable(one)) is not None]
        if lost:
            yield from self.heading(_UNREACHED, len(lost))
            for subject, why in lost:
                yield from wrapped(f"{inert(subject)}{COLON.in_(self.lang)}{self.say(why)}", self.width, first="  ", rest="    ")
        found = across(assessments)
        if found:
            yield from self.heading(_ACROSS)
            for number, one in enumerate(found[: 2 * FIRST], 1):
                yield from self.titled(f"{number}.", one.verdict)
                yield from self.field(_ON, f"{len(one.subjects)}: {self.names([inert(subject) for subject in one.subjects])}", indent=3)
                yield from self.remedy(one.verdict, indent=3, short=not self.all)
        yield from self.fleet_basis(assessments)
        if self.all:
            for assessment in assessments:
                yield ""
                yield "=" * self.width
                yield from self.subject(assessment)

    def fleet_table(self, assessments: Sequence[Assessment]) -> Iterator[str]:
        """Failures of the two worst severities, then all results: what one scans a fleet for."""
        severities = (Severity.CRITICAL, Severity.HIGH)
        results = ("fail", "unknown", "pass")
        head = [self.say(Text("主机", "host")), self.say(Text("总评", "headline"))]
        head += [self.say(SEVERITIES[severity]) for severity in severities]
        rows = [[*head, *(self.say(RESULTS[word]) for word in results), self.say(Text("未知率", "undecided"))]]
        marks = [name[len(one.subject) :] for name, one in zip(told_apart(assessments), assessments, strict=True)]
        for one in assessments:
            failed = [str(one.summary.results["fail"][severity.value]) for severity in severities]
            total = [str(sum(one.summary.results[word].values())) for word in results]
            rows.append([inert(one.subject), self.say(HEADLINES[headline(one)]), *failed, *total, f"{one.summary.unknown_percent} %"])
        taken = sum(max(width(row[at]) for row in rows) + 2 for at in range(1, len(rows[0])))
        room = max(8, self.width - taken - 2)
        # A long name is cut, what tells it from another is not.
        names = [shortened(row[0], room - len(mark)) + mark for mark, row in zip(["", *marks], rows, strict=True)]
        yield from table([[name, *row[1:]] for name, row in zip(names, rows, strict=True)], right=range(2, len(rows[0])))

    def fleet_basis(self, assessments: Sequence[Assessment]) -> Iterator[str]:
        yield from self.heading(_BASIS)
        agreements = {f"{one.id} {one.edition} {one.digest}": None for assessment in assessments for one in assessment.rulebook.agreements}
        for words in agreements:
            yield from self.basic(Text("协议", "agreement"), words)
        keys = sorted({key for assessment in assessments for key in assessment.rulebook.derived})
        yield from self.basic(Text("推定默认值", "derived"), ", ".join(keys) or self.say(_NOTHING))
        seen = [one for one in assessments if unreachable(one) is None]
        if not seen:
            return
        oldest = min(seen, key=lambda one: one.summary.oldest_datum)
        yield from self.basic(
            Text("最旧数据", "oldest datum"), f"{when(oldest.summary.oldest_datum, self.options.zone)} ({self.say(age(oldest))}), {oldest.subject}"
        )
