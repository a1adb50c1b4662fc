"""The checklist form T-06, as data: every box and every blank of CK-0 to CK-8 in their own order.

Source: catalogue, section 5 (CK) and T-06.
A box is empty unless a measurement ticks it (C-56); what people declare, what was measured and the verdict are three fields.
`checklist_txt`, `checklist_docx` and `checklist_pdf` only draw this.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Any

from tutela.assess.assessment import Assessment, ClauseStanding, Standing
from tutela.assess.verdict import Sight, Verdict, shown
from tutela.checks import Outcome
from tutela.evidence import Unobserved
from tutela.facts.registry import MODULES, parser
from tutela.language import Text, same
from tutela.record import record
from tutela.report.findings import age, said_own_parameters, unreachable, when
from tutela.report.inert import inert
from tutela.report.options import Options
from tutela.report.words import RESULTS, STANDINGS, joined, value

MAX_REMARK = 3
"""Observed values that a remark lists."""
EVERYONE = frozenset({"0.0.0.0/0", "::/0"})
SSH = frozenset({"sshd", "dropbear"})
DATA_PORTS = frozenset(
    {1433, 1521, 2379, 2380, 3306, 5236, 5432, 5601, 5984, 6379, 8086, 8123, 9000, 9042, 9200, 9300, 11211, 16379, 26379, 27017, 27018, 27019, 33060}
)
"""Ports of H-060 to H-067."""


class Measured(StrEnum):
    """What the measurement says about a line."""

    YES = "yes"
    NO = "no"
    UNKNOWN = "unknown"
    EXCUSED = "n.a."
    NOT_MEASURED = "-"


_MEASURED = {
    Measured.YES: Text("是", "yes"),
    Measured.NO: Text("否", "no"),
    Measured.UNKNOWN: Text("未知", "unknown"),
    Measured.EXCUSED: Text("不适用", "n.a."),
    Measured.NOT_MEASURED: Text("不可测", "no measure"),
}
EMPTY = same("")
NOTHING = same("—")
_YES, _NO = Text("是", "yes"), Text("否", "no")
_NOT_CHOSEN = Text("未采用", "not chosen")
_NOT_BOUND = Text("不适用本协议", "not agreed")
_CONTRADICTED = Text("声明与测量结果矛盾", "the declaration is contradicted by the measurement")


@record
class Blank:
    """A place to write in; `value` is what was measured, or empty."""

    label: Text
    value: Text = EMPTY


@record
class Row:
    """One line of the form."""

    id: str
    depth: int
    label: Text
    ticked: bool | None
    """None: the line has no box."""
    blanks: tuple[Blank, ...] = ()
    declared: Text = NOTHING
    measured: Text = NOTHING
    verdict: Text = NOTHING
    tone: str = ""
    """good | bad | open | empty: how the verdict is coloured."""
    evidence: tuple[int, ...] = ()
    remarks: tuple[Text, ...] = ()


@record
class Checklist:
    """The whole form about one subject."""

    title: Text
    edition: str
    subject: str
    facts: tuple[tuple[Text, str], ...]
    """What stands above the lines and cannot be filled in: when, by what, from which evidence."""
    rows: tuple[Row, ...]
    notes: tuple[Text, ...]
    evidence: tuple[Sight, ...]
    """E1 is the first."""
    signatures: tuple[Text, ...]


TITLE = Text("Linux 服务器安全检查清单", "Linux server security checklist")
HEADINGS = (Text("检查项", "item"), Text("声明", "declared"), Text("测量", "measured"), Text("结论", "verdict"), Text("证据", "evidence"))
EVIDENCE_TITLE = Text("证据清单", "Evidence")
EVIDENCE_HEADINGS = (Text("编号", "no."), Text("来源", "source"), Text("状态", "state"), same("SHA-256"))
NOTES_TITLE = Text("说明", "Notes")
SIGNATURES_TITLE = Text("签字", "Signatures")
SIGNATURE_BLANKS = (Text("姓名", "name"), Text("签字", "signature"), Text("日期", "date"))
_SIGNATURES = (Text("乙方检查人（填写并签字）", "Inspector of the owner (fills in and signs)"), Text("甲方核验人", "Verifier of the provider"))

_HOW_TO_READ = Text(
    "方框只在测量证实时预先勾选，其余由检查人勾选。“声明”“测量”“结论”各自独立；未知不算通过。",
    "A box is ticked beforehand only where a measurement says so; the inspector ticks the rest. Declared, measured and verdict are three separate things; unknown never counts as kept.",
)
_VALID = Text(
    "清单自签字日起有效；基线换版、相关改动后或到期后须重做（LB-8）。",
    "The form holds from its signature until it expires, the baseline gets a new edition, or something it covers is changed (LB-8).",
)
_NO_PROOF = Text(
    "弱口令测试未命中只说明“用 {rules} 条规则没有发现”，不等于证明没有。", "A clean password test means none was found among {rules} rules; it is no proof."
)


def checklist(one: Assessment, options: Options) -> Checklist:
    """The form about one subject."""
    form = _Form(one)
    rows = tuple(form.rows())
    baseline = next((agreement for agreement in one.rulebook.agreements if any(clause.id == "CK-1" for clause in agreement.clauses)), None)
    why = unreachable(one)
    facts = [
        (Text("采集时间", "collected"), when(one.bundle.collected_at, options.zone)),
        (Text("判定时间", "judged"), when(one.judged_at, options.zone)),
        (Text("证据包", "bundle"), one.bundle.digest),
        (Text("内容版本", "content"), one.rulebook.content_digest),
    ]
    if one.site.name:
        facts.insert(0, (Text("站点", "site"), inert(one.site.name)))
    notes = [_HOW_TO_READ, _VALID, *form.notes]
    how_old = age(one)
    notes.append(Text(f"最旧的数据距判定 {how_old.zh}。", f"The oldest datum was {how_old.en} old when it was judged."))
    if why is not None:
        notes.insert(0, Text(f"无法连接主机，没有任何测量：{inert(why.zh)}", f"The host could not be reached; nothing was measured: {inert(why.en)}"))
    own = said_own_parameters(one)
    if own is not None:
        notes.append(own)
    if form.derived:
        listed = ", ".join(form.derived)
        notes.append(Text(f"所用推定默认值（原文没有的数字）：{listed}", f"Derived defaults in force (numbers the sources do not give): {listed}"))
    return Checklist(
        title=TITLE,
        edition=baseline.edition if baseline is not None else "-",
        subject=inert(one.subject),
        facts=tuple(facts),
        rows=rows,
        notes=tuple(notes),
        evidence=tuple(form.numbered),
        signatures=_SIGNATURES,
    )


class _Form:
    """Lines of the form, from standings, verdicts and facts."""

    def __init__(self, one: Assessment) -> None:
        self.one = one
        self.standings = {clause.clause.id: clause for clause in one.clauses}
        self.verdicts = {verdict.check.id: verdict for verdict in one.verdicts}
        self.numbers: dict[Sight, int] = {}
        self.notes: list[Text] = []

    @property
    def numbered(self) -> list[Sight]:
        return list(self.numbers)

    @property
    def derived(self) -> list[str]:
        """Derived defaults behind the lines of this form alone."""
        mine = [standing for id_, standing in self.standings.items() if id_.startswith("CK-")]
        keys = {key for standing in mine for key in standing.clause.derived}
        checks = [self.verdicts[name].check for standing in mine for name in standing.verdicts]
        return sorted(keys | {param.derived for check in checks for param in check.params.values() if param.derived})

    def rows(self) -> list[Row]:
        """CK-0.1 to CK-8.2; lines that repeat have as many rows as they need."""
        os = self.fact("os", "name")
        made = [
            self.row("CK-0.1", 0, Text("检查人", "Inspector"), box=False, blanks=(self.blank("", ""),)),
            self.row(
                "CK-0.2",
                0,
                Text("检查时间", "Date of inspection"),
                box=False,
                blanks=(Blank(Text("年", "year")), Blank(Text("月", "month")), Blank(Text("日", "day"))),
            ),
            self.row(
                "CK-1",
                0,
                Text("操作系统为广泛支持的系统", "The operating system is a widely supported one"),
                blanks=(self.blank("版本", "version", self.plain(os)),),
            ),
            self.row("CK-2", 0, Text("没有弱口令，没有厂商默认口令", "No weak passwords, no vendor default passwords")),
        ]
        rules = self.fact("weak_passwords", "rules")
        if isinstance(rules, int):
            self.notes.append(_NO_PROOF.with_values(rules=rules))
        made.append(self.row("CK-3", 0, Text("经端口自查，下列 TCP 端口开放且均为必要", "The port scan shows these open TCP ports, and all are necessary")))
        made += self.ports()
        made += self.ssh()
        made.append(self.row("CK-5", 0, Text("已设置日志转发，转发到下列地址", "Log forwarding is set, to the following address")))
        made.append(self.log_server())
        made += self.databases()
        made += self.nfs()
        made += self.backups()
        return made

    def row(
        self,
        id_: str,
        depth: int,
        label: Text,
        *,
        box: bool = True,
        blanks: tuple[Blank, ...] = (),
        measured: Measured | None = None,
        ticked: bool | None = None,
        declared: Text | None = None,
        option: bool = False,
        enough: bool = False,
        remarks: tuple[Text, ...] = (),
        words: Text | None = None,
    ) -> Row:
        """A line; without `measured` its clause's checks decide. `enough`: what was measured suffices, though other checks of the clause may fail."""
        standing = self.standings.get(id_)
        result = self.measured(id_) if measured is None else measured
        says = self.declared(standing, declared)
        more = [*remarks]
        if standing is not None and standing.contradicted:
            more.append(_CONTRADICTED)
        verdict, tone = self.verdict(standing, result, option=option and says == NOTHING)
        if enough and standing is not None and standing.standing in (Standing.BROKEN, Standing.UNPROVEN) and not standing.contradicted:
            verdict, tone = RESULTS["pass"], "good"
        if tone in ("bad", "open"):
            more += self.remarks(id_, result)
        return Row(
            id=id_,
            depth=depth,
            label=label,
            ticked=(result is Measured.YES if ticked is None else ticked) if box else None,
            blanks=blanks,
            declared=says,
            measured=_MEASURED[result] if words is None else words,
            verdict=verdict,
            tone=tone,
            evidence=self.evidence(id_),
            remarks=tuple(dict.fromkeys(more)),
        )

    def checks(self, id_: str) -> list[Verdict]:
        standing = self.standings.get(id_)
        return [] if standing is None else [self.verdicts[name] for name in standing.verdicts]

    def measured(self, id_: str) -> Measured:
        """All checks of the clause together."""
        results = {verdict.result for verdict in self.checks(id_)}
        if not results:
            return Measured.NOT_MEASURED
        for outcome, word in ((Outcome.FAIL, Measured.NO), (Outcome.UNKNOWN, Measured.UNKNOWN), (Outcome.PASS, Measured.YES)):
            if outcome in results:
                return word
        return Measured.EXCUSED

    def declared(self, standing: ClauseStanding | None, otherwise: Text | None) -> Text:
        if standing is not None and standing.declared is not None:
            return _YES if standing.declared == "yes" else _NO
        return NOTHING if otherwise is None else otherwise

    def verdict(self, standing: ClauseStanding | None, measured: Measured, *, option: bool) -> tuple[Text, str]:
        """The verdict of a line; an alternative that nobody chose has none."""
        if standing is None:
            return _NOT_BOUND, "empty"
        if option and measured is not Measured.YES and standing.standing is not Standing.WAIVED:
            return _NOT_CHOSEN, "empty"
        if measured is Measured.YES and standing.standing is Standing.NOTAPPLICABLE:
            # "None of these": the checks had nothing to look at, which is what the line says.
            return RESULTS["pass"], "good"
        return {
            Standing.KEPT: (RESULTS["pass"], "good"),
            Standing.BROKEN: (RESULTS["fail"], "bad"),
            Standing.UNPROVEN: (RESULTS["unknown"], "open"),
            Standing.WAIVED: (STANDINGS[Standing.WAIVED], "open"),
            Standing.NOTAPPLICABLE: (RESULTS["notapplicable"], "empty"),
        }[standing.standing]

    def remarks(self, id_: str, measured: Measured) -> list[Text]:
        """Why a line is not kept: what was seen, or what was not."""
        made: list[Text] = []
        for verdict in self.checks(id_):
            if verdict.result is Outcome.UNKNOWN and measured is Measured.UNKNOWN and verdict.reason is not None:
                code = f" {verdict.code.value}" if verdict.code is not None else ""
                made.append(Text(f"{_number(verdict)}{code}：{inert(verdict.reason.zh)}", f"{_number(verdict)}{code}: {inert(verdict.reason.en)}"))
            if verdict.result is not Outcome.FAIL:
                continue
            for seen in verdict.observations:
                if seen.met is False:
                    values = [value(one) for one in seen.observed[:MAX_REMARK]]
                    more = f"; +{len(seen.observed) - MAX_REMARK}" if len(seen.observed) > MAX_REMARK else ""
                    zh, en = "; ".join(inert(one.zh) for one in values) + more, "; ".join(inert(one.en) for one in values) + more
                    made.append(Text(f"{_number(verdict)} {seen.label.zh}：{zh or '没有'}", f"{_number(verdict)} {seen.label.en}: {en or 'none'}"))
        return list(dict.fromkeys(made))

    def evidence(self, id_: str) -> tuple[int, ...]:
        refs = [self.one.sight(name) for verdict in self.checks(id_) for name in verdict.evidence]
        return tuple(sorted({self.numbers.setdefault(ref, len(self.numbers) + 1) for ref in refs}))

    def fact(self, name: str, attribute: str) -> Any:
        """An attribute of a fact; None where it does not exist or was not seen."""
        if name not in MODULES or unreachable(self.one) is not None:
            return None
        value = self.one.look.fact(parser(name))
        found = None if isinstance(value, Unobserved) else getattr(value, attribute, None)
        return None if isinstance(found, Unobserved) else found

    def plain(self, value: Any) -> str:
        return "" if value is None or isinstance(value, Unobserved) else inert(shown(value))

    def blank(self, zh: str, en: str, *values: str) -> Blank:
        """A blank filled with what was seen; each value once."""
        return Blank(Text(zh, en), same(inert("; ".join(dict.fromkeys(value for value in values if value)))))

    # Lines that need more than the verdicts of their clause.

    def ports(self) -> list[Row]:
        """A row for each TCP port that others may reach, with its application."""
        label = Text("端口与应用", "Port and application")
        found = self.fact("exposure", "ports")
        rows: dict[int, Row] = {}
        for port in found or ():
            if port.protocol != "tcp" or port.local is True or port.classes == ("loopback",) or port.classes == ():
                continue
            approved = port.approved is True
            application = port.application or port.unit or self.plain(port.process)
            reach = _MEASURED[Measured.UNKNOWN] if isinstance(port.classes, Unobserved) else Text("可达", "reachable")
            if port.port not in rows or not approved:
                rows[port.port] = Row(
                    id="CK-3.1",
                    depth=1,
                    label=label,
                    ticked=True,
                    blanks=(self.blank("端口", "port", str(port.port)), self.blank("应用", "application", application or "")),
                    declared=same(inert(port.application)) if port.application else NOTHING,
                    measured=reach,
                    verdict=RESULTS["pass"] if approved else RESULTS["unknown"] if isinstance(port.classes, Unobserved) else RESULTS["fail"],
                    tone="good" if approved else "open" if isinstance(port.classes, Unobserved) else "bad",
                    evidence=self.evidence("CK-3.1"),
                    remarks=() if approved else (Text("未登记批准，须写明理由", "not approved: the owner has to give a reason"),),
                )
        if rows:
            return [rows[port] for port in sorted(rows)]
        blanks = (Blank(Text("端口", "port")), Blank(Text("应用", "application")))
        nothing = found is not None and not rows
        words = Text("没有开放端口", "none open") if nothing else None
        return [self.row("CK-3.1", 1, label, blanks=blanks, ticked=False, words=words)]

    def ssh(self) -> list[Row]:
        """The SSH group: measures, or nobody concerned."""
        site = self.one.site.ssh_measures
        declared = {name: _YES if name in site else None for name in ("source", "knock", "ban", "keys", "two-factor")}
        other = [verdict for verdict in self.checks("CK-4.4") if verdict.result is Outcome.PASS]
        kinds = {"H-028": Text("只用密钥", "keys only"), "H-034": Text("双因素认证", "two factors"), "H-037": Text("其他封禁软件", "other banning software")}
        named = [kinds.get(_number(verdict), verdict.check.title) for verdict in other]
        rest = self.measured("CK-4.4")
        others = Measured.YES if other else rest
        unconcerned = self.measured("CK-4.5")
        # The clause's checks excuse themselves exactly when no ordinary user logs in from outside.
        none = (
            Measured.YES
            if unconcerned is Measured.EXCUSED
            else Measured.UNKNOWN
            if unconcerned is Measured.UNKNOWN
            else self.not_measured("CK-4.5", Measured.NO)
        )
        options = [
            self.row("CK-4.1", 1, Text("限制下列 IP 登录", "Login restricted to these addresses"), option=True, declared=declared["source"]),
            *self.addresses(),
            self.row(
                "CK-4.2",
                1,
                Text("普通用户 SSH 登录设置了敲门服务", "Knocking is set up for ordinary users' ssh login"),
                option=True,
                declared=declared["knock"],
            ),
            self.row("CK-4.3", 1, Text("启用 fail2ban", "fail2ban is on"), option=True, declared=declared["ban"]),
            self.row(
                "CK-4.4",
                1,
                Text("其他措施", "Other measures"),
                blanks=(Blank(Text("措施", "measures"), joined(named)),),
                measured=others,
                option=True,
                enough=bool(other),
                declared=declared["keys"] or declared["two-factor"],
            ),
        ]
        last = self.row("CK-4.5", 1, Text("不涉及普通用户 SSH 登录", "Ordinary users' ssh login is not concerned"), measured=none, option=True)
        chosen = any(row.ticked or row.declared == _YES for row in options if row.id in ("CK-4.1", "CK-4.2", "CK-4.3", "CK-4.4"))
        group = self.group("CK-4", Text("SSH 防护措施", "SSH protection measures"), chosen, last)
        return [group, *options, last]

    def not_measured(self, id_: str, otherwise: Measured) -> Measured:
        return otherwise if self.checks(id_) else Measured.NOT_MEASURED

    def addresses(self) -> list[Row]:
        """CK-4.1a, b, c and as many more as there are sources that get to SSH."""
        ports = [
            port for port in self.fact("exposure", "ports") or () if self.plain(getattr(port, "process", None)) in SSH or (port.unit or "").startswith("ssh")
        ]
        sources: dict[str, None] = {}
        for port in ports:
            if not isinstance(port.sources, Unobserved):
                sources |= dict.fromkeys(port.sources)
        admin = [str(network) for network in self.one.site.networks.admin or ()]
        listed = list(sources)[:64]
        rows = []
        for at in range(max(3, len(listed))):
            source = listed[at] if at < len(listed) else ""
            everyone = source in EVERYONE
            rows.append(
                Row(
                    id=f"CK-4.1{chr(97 + at)}" if at < 3 else "CK-4.1",
                    depth=2,
                    label=Text("允许的地址", "Allowed address"),
                    ticked=bool(source) and not everyone,
                    blanks=(self.blank("IP", "IP", source),),
                    declared=same(inert(admin[at])) if at < len(admin) else NOTHING,
                    measured=Text("生效", "in effect") if source else NOTHING,
                    tone="bad" if everyone else "",
                    evidence=self.evidence("CK-4.1a") if source else (),
                    remarks=(Text("对所有地址开放，没有限制", "open to everyone: no restriction"),) if everyone else (),
                )
            )
        return rows

    def log_server(self) -> Row:
        """Where logs go, beside where the site wants them."""
        targets = self.fact("log_forwarding", "targets") or ()
        hosts = [f"{target.host}:{target.port}" if target.port else target.host for target in targets if not isinstance(target, Unobserved) and target.remote]
        servers = self.one.site.log_servers
        declared = None if servers is None else same(inert(", ".join(servers)))
        blank = self.blank("IP", "IP", *hosts)
        return self.row("CK-5.1", 1, Text("远程日志服务器", "Remote log server"), blanks=(blank,), declared=declared)

    def databases(self) -> list[Row]:
        listening = [
            f"{self.plain(port.process) or '?'} {port.address}:{port.port}"
            for port in self.fact("exposure", "ports") or ()
            if port.port in DATA_PORTS and port.via == "socket"
        ]
        blank = self.blank("限制措施", "measures", *listening)
        return self.alternatives(
            "CK-6",
            Text("数据库/redis 等服务端口检查", "Ports of databases, redis and the like"),
            ("CK-6.1", Text("已限制访问", "Access is restricted"), blank),
            ("CK-6.2", Text("没有这些应用", "None of these applications")),
        )

    def nfs(self) -> list[Row]:
        exports = self.fact("nfs", "exports") or ()
        blank = self.blank("限制措施", "measures", *map(shown, exports))
        return self.alternatives(
            "CK-7", Text("NFS 检查", "NFS"), ("CK-7.1", Text("已限制访问", "Access is restricted"), blank), ("CK-7.2", Text("没有 NFS 服务", "No NFS service"))
        )

    def backups(self) -> list[Row]:
        jobs = [
            f"{job.tool} {job.job} → {job.target or '?'}"
            for job in self.fact("backups", "jobs") or ()
            if not isinstance(job, Unobserved) and job.enabled is True
        ]
        sets = self.one.site.data_sets
        important = None if sets is None else [inert(one.path) for one in sets if one.important]
        blank = self.blank("备份措施", "measures", *jobs)
        measures = self.row(
            "CK-8.1",
            1,
            Text("有备份措施", "Backups are made"),
            blanks=(blank,),
            option=True,
            declared=same(", ".join(important)) if important else None,
        )
        unimportant = sets is not None and not important
        classified = self.one.site.data_class
        conflict = unimportant and classified not in (None, "public")
        remarks = (
            (Text(f"登记的数据分级为 {classified}，不能免除备份", f"the registered data class is {classified}: backups cannot be waived"),) if conflict else ()
        )
        none = self.row(
            "CK-8.2",
            1,
            Text("数据不重要，无需备份", "The data is unimportant, no backup is needed"),
            measured=Measured.NOT_MEASURED,
            option=True,
            declared=_YES if unimportant else None,
            remarks=remarks,
        )
        chosen = measures.ticked is True or measures.declared != NOTHING
        return [self.group("CK-8", Text("数据备份检查", "Backups"), chosen, none), measures, none]

    def alternatives(self, id_: str, label: Text, one: tuple[str, Text, Blank], other: tuple[str, Text]) -> list[Row]:
        """`restricted` or `none of these`, from the same checks: all excuse themselves, or none may fail."""
        first = self.row(one[0], 1, one[1], blanks=(one[2],), option=True)
        result = self.measured(other[0])
        none = {Measured.EXCUSED: Measured.YES, Measured.UNKNOWN: Measured.UNKNOWN, Measured.NOT_MEASURED: Measured.NOT_MEASURED}.get(result, Measured.NO)
        second = self.row(other[0], 1, other[1], measured=none, option=True)
        return [self.group(id_, label, first.ticked is True or first.declared == _YES, second), first, second]

    def group(self, id_: str, label: Text, chosen: bool, none: Row) -> Row:
        """The line above alternatives that exclude each other."""
        neither = bool(none.ticked) or none.declared == _YES
        measured = self.measured(id_)
        remarks: tuple[Text, ...] = ()
        if chosen and neither:
            remarks = (Text("互斥的两项同时成立：表格无效，须更正", "both of two alternatives hold that exclude each other: the form is invalid"),)
        elif not chosen and not neither and measured in (Measured.UNKNOWN, Measured.NOT_MEASURED):
            remarks = (Text("二选一尚未确定，由检查人勾选其一", "the alternative is undecided: the inspector ticks exactly one"),)
        elif not chosen and not neither:
            remarks = (Text("两项都不成立：表格无效，须整改或更正", "neither of the alternatives holds: the form is invalid"),)
        return self.row(id_, 0, label, ticked=measured in (Measured.YES, Measured.EXCUSED), remarks=remarks)


def _number(verdict: Verdict) -> str:
    return verdict.check.catalogue or verdict.check.id


def ranges(numbers: Sequence[int]) -> str:
    """`E1–E3, E7`"""
    parts: list[list[int]] = []
    for number in numbers:
        if parts and number == parts[-1][-1] + 1:
            parts[-1].append(number)
        else:
            parts.append([number])
    return ", ".join(f"E{part[0]}" if len(part) == 1 else f"E{part[0]}–E{part[-1]}" for part in parts)
