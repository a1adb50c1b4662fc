"""One self-contained HTML file: no script, no font, nothing fetched; readable on a phone and on paper.

The content security policy allows one thing, this file's own style sheet by its digest.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator, Sequence
from hashlib import sha256
from importlib import resources

import tutela
from tutela.agreement.model import Party
from tutela.assess.assessment import Assessment, ClauseStanding, Standing
from tutela.assess.verdict import Observation, Verdict
from tutela.checks import Outcome, Severity
from tutela.language import Lang, Text
from tutela.report import reachable
from tutela.report.findings import (
    FIRST,
    HEADLINES,
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
from tutela.report.markup import Markup, el, joined
from tutela.report.options import Options
from tutela.report.words import COMMA, PARTIES, RESULTS, SEVERITIES, STANDINGS, TOTAL, value, wanted
from tutela.report.words import joined as enumerated

_CLASS = {Headline.BROKEN: "broken", Headline.NOT_SHOWN: "unshown", Headline.COMPLIANT: "compliant"}
_TITLE = Text("守责检查报告", "Tutela report")
_BRAND = Text("守责 Tutela 服务器安全协议检查报告", "Tutela: server-security agreement report")


def render(assessments: Sequence[Assessment], lang: Lang, options: Options) -> Iterator[str]:
    """The page; behind a fleet's table every subject follows, with its evidence where everything is asked for."""
    page = _Page(lang, options, with_evidence=len(assessments) == 1 or options.details)
    several = sorted(assessments, key=lambda one: sort_key(one.subject))
    title = several[0].subject if len(several) == 1 else _FLEET_TITLE.with_values(number=len(several)).in_(lang)
    style = (resources.files("tutela.report") / "html.css").read_text("utf-8")
    digest = b64encode(sha256(style.encode()).digest()).decode()
    yield "<!DOCTYPE html>\n"
    yield f'<html lang="{"zh-Hans" if lang is Lang.ZH else "en"}">\n<head>\n<meta charset="utf-8">\n'
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    yield el("meta", http_equiv="Content-Security-Policy", content=policy) + "\n"
    yield '<meta name="viewport" content="width=device-width, initial-scale=1">\n<meta name="referrer" content="no-referrer">\n'
    yield el("title", f"{title} - {_TITLE.in_(lang)}") + f"\n<style>{style}</style>\n</head>\n<body>\n<main>\n"
    if len(several) == 1:
        yield from page.subject(several[0], "h1")
    else:
        yield from page.fleet(several, title)
    yield el("footer", f"Tutela {tutela.__version__}") + "\n</main>\n</body>\n</html>\n"


_MORE_EVIDENCE = Text("各主机的证据清单：--all，或单独检查一台。", "The evidence of each host is listed with --all, or in a report of one host.")
_FLEET_TITLE = Text("{number} 台主机", "{number} hosts")
_NOT_SEEN = Text("没看到", "not seen")
_SEEN = Text("所见", "seen")
_EXPECTED = Text("应为", "expected")
_WHY = Text("原因", "why")
_DO = Text("处理", "what to do")
_CLAUSES = Text("条款", "clauses")
_DUTY = Text("责任方", "whose duty")
_NOTE = Text("说明", "note")
_EVIDENCE = Text("证据（{number}）", "evidence ({number})")
_NO_WHY = Text("未说明", "no reason given")


class _Page:
    """Parts of the page in one language."""

    def __init__(self, lang: Lang, options: Options, *, with_evidence: bool) -> None:
        """`with_evidence`: two thirds of a page are digests, and three hundred hosts would be more than a browser opens."""
        self.lang, self.options, self.with_evidence = lang, options, with_evidence

    def say(self, text: Text) -> str:
        return text.in_(self.lang)

    def h2(self, text: Text, number: int | None = None) -> Markup:
        count = None if number is None else [" ", el("span", number, class_="n")]
        return Markup(el("h2", self.say(text), count) + "\n")

    def severity(self, severity: Severity) -> Markup:
        return el("span", self.say(SEVERITIES[severity]), class_=f"chip {severity.value}")

    def table(self, head: Sequence[Text | str], rows: Sequence[Sequence[object]], numbers: int | None = None) -> Markup:
        """A table; columns from `numbers` on are numbers."""

        def cell(name: str, at: int, content: object) -> Markup:
            if isinstance(content, Markup) and content.startswith("<td"):
                return content
            return el(name, content, class_="num" if numbers is not None and at >= numbers else None)

        top = el("tr", [cell("th", at, self.say(one) if isinstance(one, Text) else one) for at, one in enumerate(head)])
        body = [Markup(el("tr", [cell("td", at, one) for at, one in enumerate(row)]) + "\n") for row in rows]
        kind = "counts" if numbers is not None else None
        return Markup(el("div", el("table", el("thead", top), el("tbody", body), class_=kind), class_="scroll") + "\n")

    def terms(self, pairs: Sequence[tuple[Text | str, object]]) -> Markup:
        return el("dl", [[el("dt", self.say(key) if isinstance(key, Text) else key), el("dd", value)] for key, value in pairs if value])

    def subject(self, one: Assessment, heading: str, anchor: str | None = None) -> Iterator[str]:
        """Everything about one subject."""
        word = headline(one)
        brand = el("div", el("span", self.say(_BRAND)), el("span", when(one.judged_at, self.options.zone)), class_="brand")
        yield brand + "\n" + el(heading, one.subject, id=anchor) + "\n"
        yield (
            el("div", el("strong", self.say(HEADLINES[word]), class_=_CLASS[word]), el("span", self.say(summary(one))), class_=f"headline {_CLASS[word]}")
            + "\n"
        )
        for note in (said_twice(one), said_own_parameters(one)):
            if note is not None:
                yield el("p", self.say(note)) + "\n"
        failed, unknown = failures(one), unknowns(one)
        if failed:
            yield self.h2(Text("先做什么", "Do first"))
            items = [
                el("li", el("h3", self.say(verdict.check.title), " ", self.severity(verdict.severity)), self.remedy(verdict)) for verdict in failed[:FIRST]
            ]
            yield el("ol", items, class_="first") + "\n"
        yield self.counts(one)
        if failed:
            yield self.h2(Text("不符合", "Failures"), len(failed))
            for number, verdict in enumerate(failed):
                yield self.card(verdict, one, remedy=number >= FIRST) + "\n"
        if unknown:
            yield self.h2(Text("未知：看不到，不算通过", "Unknown: not seen, never counted as kept"), len(unknown))
            for verdict in unknown:
                yield self.card(verdict, one, remedy=False) + "\n"
        found = reachable.joined(one)
        if found is not None:
            yield self.h2(reachable.TITLE)
            rows = reachable.rows(found, self.lang)
            if rows:
                yield self.table(rows[0], rows[1:])
            yield el("p", reachable.footnote(found, self.lang)) + "\n"
        yield from self.quiet(one)
        yield from self.clauses(one)
        yield from self.terms_in_force(one)
        yield self.basis(one)

    def remedy(self, verdict: Verdict) -> Markup:
        lines = verdict.check.remedy.in_(self.lang).split("\n")
        return el("pre", [[Markup("\n") if at else None, line] for at, line in enumerate(lines)])

    def card(self, verdict: Verdict, one: Assessment, *, remedy: bool) -> Markup:
        head = el("header", self.severity(verdict.severity), el("h3", self.say(verdict.check.title), " ", el("span", name_of(verdict), class_="id")))
        clauses = ", ".join(standing.clause.id for standing in clauses_of(verdict, one))
        pairs: list[tuple[Text | str, object]] = []
        for seen in verdict.observations:
            if seen.met is not True:
                pairs += [(_SEEN if seen.met is False else _NOT_SEEN, self.seen(seen)), (_EXPECTED, el("code", self.say(wanted(seen.expected))))]
        if verdict.result is Outcome.UNKNOWN:
            code = f"{verdict.code.value} " if verdict.code is not None else ""
            pairs.append((_WHY, code + self.say(verdict.reason or _NO_WHY)))
        else:
            pairs.append((_WHY, self.say(verdict.check.why)))
        pairs += [(_CLAUSES, clauses), (_DUTY, self.say(enumerated(list(duty_of(verdict, one)))))]
        pairs += [(_NOTE, self.say(note)) for note in verdict.notes]
        if remedy:
            pairs.append((_DO, self.remedy(verdict)))
        return el("article", head, self.terms(pairs), self.evidence(verdict, one), class_=f"card {verdict.severity.value}")

    def seen(self, seen: Observation) -> Markup:
        values = [el("code", self.say(value(one))) for one in seen.observed] or [Markup(self.say(Text("无", "none")))]
        if len(values) > 1:
            return joined([self.say(seen.label), el("ul", [el("li", one) for one in values])])
        return joined([self.say(seen.label), Text("：", ": ").in_(self.lang), values])

    def evidence(self, verdict: Verdict, one: Assessment) -> Markup | None:
        if not verdict.evidence or not self.with_evidence:
            return None
        items = [el("li", el("code", ref.source), f" ({ref.status}) ", el("span", ref.digest, class_="digest")) for ref in map(one.sight, verdict.evidence)]
        return el("details", el("summary", self.say(_EVIDENCE.with_values(number=len(items)))), el("ul", items), class_="evidence")

    def counts(self, one: Assessment) -> Markup:
        rows: list[list[object]] = []
        for word, numbers in counts(one):
            alarm = word is RESULTS["fail"] or word is RESULTS["unknown"]
            rows.append([self.say(word), *(el("td", n, class_="num" + (" alarm" if n and alarm else "" if n else " zero")) for n in numbers)])
        share = Text("适用的检查中有 {percent}% 未能判定。", "{percent} % of the applicable checks are undecided.")
        hidden = said_hidden(one)
        head: list[Text | str] = ["", *(SEVERITIES[severity] for severity in Severity), TOTAL]
        return joined(
            [
                self.h2(Text("计数", "Counts")),
                self.table(head, rows, 1),
                el("p", self.say(share.with_values(percent=one.summary.unknown_percent)), class_="dim"),
                el("p", self.say(hidden), class_="dim") if hidden is not None else None,
            ]
        )

    def quiet(self, one: Assessment) -> Iterator[str]:
        waived = [verdict for verdict in one.verdicts if verdict.waived_by is not None]
        if waived:
            yield self.h2(Text("已豁免的不符合", "Waived failures"), len(waived))
            for verdict in waived:
                yield self.card(verdict, one, remedy=False) + "\n"
        for heading, outcome in ((Text("通过", "Passed"), Outcome.PASS), (Text("不适用", "Not applicable"), Outcome.NOTAPPLICABLE)):
            verdicts = of_result(one, outcome)
            if verdicts:
                items = [el("li", self.say(verdict.check.title), " ", el("span", name_of(verdict), class_="id"), self.aside(verdict)) for verdict in verdicts]
                yield self.h2(heading, len(verdicts)) + el("details", el("summary", self.say(Text("逐项列出", "list them"))), el("ul", items)) + "\n"

    def aside(self, verdict: Verdict) -> Markup | None:
        words = [self.say(text) for text in (*([verdict.reason] if verdict.reason is not None else []), *verdict.notes)]
        return el("div", COMMA.in_(self.lang).join(words), class_="dim") if words else None

    def clauses(self, one: Assessment) -> Iterator[str]:
        if not one.clauses:
            return
        yield self.h2(Text("条款：谁的责任", "Clauses: whose duty"), len(one.clauses))
        rows: list[list[object]] = []
        for party in Party:
            mine = [clause for clause in one.clauses if clause.clause.party is party]
            if mine:
                numbers = [sum(1 for clause in mine if clause.standing is standing) for standing in Standing]
                rows.append([self.say(PARTIES[party]), *(el("td", n, class_="num" if n else "num zero") for n in numbers)])
        standings: list[Text | str] = ["", *(STANDINGS[standing] for standing in Standing)]
        yield self.table(standings, rows, 1)
        advice = of_advice(one)
        if advice is not None:
            yield el("p", self.say(advice), class_="dim") + "\n"
        loud = [clause for clause in one.clauses if clause.standing in (Standing.BROKEN, Standing.WAIVED)]
        if loud:
            yield self.clause_table(loud)
        quiet = [clause for clause in one.clauses if clause not in loud]
        if quiet:
            words = Text("其余 {number} 条", "the other {number} clauses").with_values(number=len(quiet))
            yield el("details", el("summary", self.say(words)), self.clause_table(quiet)) + "\n"

    def clause_table(self, clauses: Sequence[ClauseStanding]) -> Markup:
        head: list[Text | str] = [_CLAUSES, "", _DUTY, Text("状态", "standing"), Text("声明", "declared"), Text("说明", "remark")]
        return self.table(head, [self.clause(clause) for clause in clauses])

    def clause(self, one: ClauseStanding) -> list[object]:
        declared = {"yes": Text("是", "yes"), "no": Text("否", "no")}.get(one.declared or "")
        remarks: list[object] = []
        if one.contradicted:
            remarks.append(el("div", self.say(Text("声明已履行，与测量结果矛盾", "declared kept, contradicted by measurement")), class_="alarm"))
        if one.clause.recommended:
            remarks.append(el("div", self.say(Text("建议，不是义务", "advice, no duty")), class_="dim"))
        if one.reason is not None:
            remarks.append(el("div", self.say(one.reason), class_="dim"))
        if one.clause.clocks:
            remarks.append(el("div", self.say(Text("时限 ", "deadline ")) + ", ".join(one.clause.clocks), class_="dim"))
        return [
            el("td", one.clause.id, class_="short"),
            el("td", self.say(one.clause.title), class_="name"),
            el("td", self.say(PARTIES[one.clause.party]), class_="short"),
            el("span", self.say(STANDINGS[one.standing]), class_=f"chip {one.standing.value}"),
            self.say(declared) if declared is not None else "",
            joined(remarks),
        ]

    def terms_in_force(self, one: Assessment) -> Iterator[str]:
        """Waivers, derived defaults, stricter values."""
        uses = waivers(one)
        if uses:
            yield self.h2(Text("豁免", "Waivers"), len(uses))
            head = [Text("对象", "target"), Text("状态", "state"), Text("批准", "approved by"), Text("期限", "term"), Text("理由", "reason")]
            rows: list[list[object]] = []
            for use in uses:
                state = el("span", self.say(Text("生效", "used") if use.used else Text("未生效", "not used")), class_="chip used" if use.used else "chip")
                why = None if use.used else el("div", self.say(use.why), class_="dim")
                by = [use.waiver.approver, el("div", self.say(PARTIES[Party(use.waiver.party)]), class_="dim")]
                rows.append(
                    [
                        use.waiver.target,
                        joined([state, why]),
                        joined(by),
                        f"{use.waiver.granted} – {use.waiver.expires}",
                        el("td", use.waiver.reason, class_="name"),
                    ]
                )
            yield self.table(head, rows)
        found = derived(one, self.options.tables)
        yield self.h2(Text("所用推定默认值（原文没有的数字）", "Derived defaults in force (numbers the sources do not give)"), len(found))
        if found:
            rows = [[el("code", d.key), self.say(d.title) if d.title is not None else "", d.value or "-", ", ".join(d.used_by)] for d in found]
            yield self.table([Text("键", "key"), "", Text("取值", "value"), Text("用于", "used by")], rows)
        else:
            yield el("p", self.say(Text("没有使用。", "None.")), class_="dim") + "\n"
        if one.rulebook.stricter:
            yield self.h2(Text("多份协议同时适用，取更严的", "Where agreements differ, the stricter applies"))
            yield el("ul", [el("li", self.say(text)) for text in one.rulebook.stricter]) + "\n"

    def basis(self, one: Assessment) -> Markup:
        zone = self.options.zone

        def digest(words: str) -> Markup:
            return el("span", words, class_="digest")

        pairs: list[tuple[Text | str, object]] = [
            (Text("协议", "agreement"), joined([f"{agreement.id} {agreement.edition} ", digest(agreement.digest)])) for agreement in one.rulebook.agreements
        ]
        pairs += [
            (Text("配置档案", "profile"), ", ".join(profile.id for profile in one.rulebook.profiles)),
            (Text("内容", "content"), digest(one.rulebook.content_digest)),
            (Text("站点设置", "site"), digest(one.site.digest) if one.site.digest else None),
            (Text("证据包", "bundle"), digest(one.bundle.digest)),
            (Text("采集", "collected"), f"{when(one.bundle.collected_at, zone)}, {self.say(Text('探针', 'probe'))} {one.bundle.probe}"),
            (Text("判定", "judged"), when(one.judged_at, zone)),
            (
                Text("最旧数据", "oldest datum"),
                self.say(
                    Text("{at}，距判定 {age}", "{at}, {age} old when judged").with_values(at=when(one.summary.oldest_datum, zone), age=self.say(age(one)))
                ),
            ),
        ]
        return joined([self.h2(Text("依据", "Basis")), self.terms(pairs), Markup("\n")])

    def fleet(self, assessments: Sequence[Assessment], title: str) -> Iterator[str]:
        """The table, the worst findings, then every subject."""
        yield el("div", el("span", self.say(_BRAND)), class_="brand") + "\n" + el("h1", title) + "\n"
        words = {word: sum(1 for one in assessments if headline(one) is word) for word in Headline}
        worst = next((word for word in (Headline.BROKEN, Headline.NOT_SHOWN, Headline.COMPLIANT) if words[word]), Headline.NOT_SHOWN)
        chips = [el("strong", f"{self.say(HEADLINES[word])} {number}", class_=_CLASS[word]) for word, number in words.items() if number]
        yield el("div", chips, class_=f"headline {_CLASS[worst]}") + "\n"
        if not assessments:
            return
        yield self.h2(Text("主机", "Hosts"), len(assessments)) + self.fleet_table(assessments)
        if not self.with_evidence:
            yield el("p", self.say(_MORE_EVIDENCE), class_="dim") + "\n"
        hidden = said_hidden_of_fleet(assessments)
        if hidden is not None:
            yield el("p", self.say(hidden), class_="dim") + "\n"
        found = across(assessments)
        if found:
            yield self.h2(Text("全部主机中最重的问题", "Worst findings across the hosts"))
            items = []
            for one in found[: 2 * FIRST]:
                where = el("p", ", ".join(one.subjects[:FIRST]) + (f" +{len(one.subjects) - FIRST}" if len(one.subjects) > FIRST else ""), class_="dim")
                head = el("h3", self.say(one.verdict.check.title), " ", self.severity(one.verdict.severity), " ", el("span", name_of(one.verdict), class_="id"))
                items.append(el("li", head, where, self.remedy(one.verdict)))
            yield el("ol", items, class_="first") + "\n"
        for number, assessment in enumerate(assessments, 1):
            yield '<article class="subject">\n'
            yield from self.subject(assessment, "h1", f"s{number}")
            yield "</article>\n"

    def fleet_table(self, assessments: Sequence[Assessment]) -> Markup:
        shown = ("fail", "unknown", "pass")
        head: list[Text | str] = [Text("主机", "host"), Text("总评", "headline"), SEVERITIES[Severity.CRITICAL], SEVERITIES[Severity.HIGH]]
        head += [*(RESULTS[word] for word in shown), Text("未知率", "undecided")]
        rows: list[list[object]] = []
        for number, (called, one) in enumerate(zip(told_apart(assessments), assessments, strict=True), 1):
            word, why = headline(one), unreachable(one)
            name = joined([el("a", called, href=f"#s{number}"), el("div", self.say(why), class_="dim") if why is not None else None])
            failed = [one.summary.results["fail"][severity.value] for severity in (Severity.CRITICAL, Severity.HIGH)]
            numbers = [el("td", n, class_="num alarm" if n else "num zero") for n in failed]
            numbers += [el("td", n, class_="num" if n else "num zero") for n in (sum(one.summary.results[result].values()) for result in shown)]
            chip = el("span", self.say(HEADLINES[word]), class_=f"chip {_CLASS[word]}")
            rows.append([el("td", name, class_="name"), chip, *numbers, f"{one.summary.unknown_percent} %"])
        return self.table(head, rows, 2)
