"""`tutela explain`: any clause, check or catalogue id, in plain words."""

from __future__ import annotations

import argparse
import difflib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from tutela.cli.options import add_judging, declared, read_rulebook, read_site_file
from tutela.cli.terminal import columns
from tutela.errors import UsageError
from tutela.evidence import Reason
from tutela.language import Lang, Text
from tutela.report.columns import wrapped
from tutela.report.words import COLON, NEVER_COLLECTED, NEXT, PARTIES, REASONS, RESULTS, SEVERITIES, STANDINGS, value, wanted

if TYPE_CHECKING:
    from tutela.agreement.model import Agreement, Clause, Profile, Row
    from tutela.agreement.rulebook import Content
    from tutela.assess import Assessment
    from tutela.checks import Check

MAX_NEAR = 8
"""Ids offered instead of one that does not exist."""
MAX_EVIDENCE = 4
"""Sources of a check before the rest is a number."""
IMPLEMENTATIONS = {
    "automatic": Text("由主机检查判定", "decided by host checks"),
    "measured": Text("由中心测量的数据判定", "decided by data that the centre measures"),
    "attested": Text("由责任方提交证据", "people lodge evidence"),
    "reference": Text("参考事实，不作要求", "a reference fact; demands nothing"),
    "not yet": Text("程序尚不能判定", "not decided by the program yet"),
}


def configure(parser: argparse.ArgumentParser, lang: Lang) -> None:
    """Arguments of the command."""
    parser.add_argument(
        "id",
        metavar="ID",
        help=Text(
            "如 LB-4.6、H-028、ssh-password-login、campus-L1、KPI-01、CLK-09、C-51、T-06、U4",
            "such as LB-4.6, H-028, ssh-password-login, campus-L1, KPI-01, CLK-09, C-51, T-06, U4",
        ).in_(lang),
    )
    parser.add_argument(
        "bundle",
        nargs="?",
        type=Path,
        metavar=Text("证据包", "BUNDLE").in_(lang),
        help=Text("用此证据包显示结果（默认为最近一次本机检查）", "show the result on this bundle (default: this host's last check)").in_(lang),
    )
    add_judging(parser, lang)


def run(arguments: argparse.Namespace, lang: Lang) -> int:
    """Explain one id."""
    from tutela.library import load_content

    content = load_content(tuple(arguments.content))
    assessment = _last(arguments, content)
    for line in explain(arguments.id, content, assessment, lang):
        indent = line[: len(line) - len(line.lstrip())]
        for piece in wrapped(line.strip(), columns(100), first=indent, rest=indent):
            print(piece)
    return 0


def _last(arguments: argparse.Namespace, content: Content) -> Assessment | None:
    from tutela.assess import assess
    from tutela.cli.last import last_bundle
    from tutela.collect.archive import read_bundle

    bundle = read_bundle(arguments.bundle) if arguments.bundle is not None else last_bundle()
    if bundle is None:
        return None
    site = declared(read_site_file(arguments.site))
    return assess(bundle, read_rulebook(arguments.profile, site, content), site)


def explain(name: str, content: Content, assessment: Assessment | None, lang: Lang) -> Iterator[str]:
    """Lines about an id.

    Raises UsageError with near ids when there is none.
    """
    clauses = {clause.id: (agreement, clause) for agreement in content.agreements.values() for clause in agreement.clauses}
    rows = {row.id: (table, row) for table in content.tables.values() for row in table.rows}
    agreements = [agreement.id for agreement in content.agreements.values()]
    known = [*content.profiles, *agreements, *clauses, *rows, *REASONS, *NEVER_COLLECTED, *content.checks, *content.by_catalogue()]
    # People write h-028 and lb-4.6; no two ids differ in their case alone.
    name = next((one for one in known if one == name), None) or next((one for one in known if one.lower() == name.lower()), name)
    check = content.check(name)
    if check is not None:
        yield from _check(check, content, assessment, lang)
    elif name in clauses:
        agreement, clause = clauses[name]
        yield f"{clause.id}  {clause.title.in_(lang)}"
        yield f"{agreement.title.in_(lang)} {agreement.edition} · {clause.section.in_(lang)}"
        yield from _clause(clause, content, assessment, lang)
    elif name in rows:
        table, row = rows[name]
        yield f"{row.id}  {row.title.in_(lang)}"
        yield table.title.in_(lang)
        yield from _row(row, lang)
    elif name in NEVER_COLLECTED:
        yield f"{name}  {NEVER_COLLECTED[name].in_(lang)}"
        yield Text("绝不带走，也不写进报告：在源头就已遮住。", "It is never carried off, nor written into a report: it is masked where it arises.").in_(lang)
        names = [check.catalogue or check.id for check in content.checks.values() if name in check.never_collect]
        yield _field(Text("用到这类来源的检查", "checks that read such sources"), ", ".join(names) or "-", lang)
    elif name in REASONS:
        yield from _reason(Reason(name), assessment, lang)
    elif name in content.profiles:
        yield from _profile(content.profiles[name], content, lang)
    elif name in agreements:
        for agreement in content.agreements.values():
            if name == agreement.id:
                yield from _agreement(agreement, lang)
    else:
        near = [one for one in known if name.lower() in one.lower()][:MAX_NEAR] or difflib.get_close_matches(name.upper(), known, MAX_NEAR, 0.5)
        near = near or difflib.get_close_matches(name, known, MAX_NEAR, 0.5)
        listed = ", ".join(near) or "-"
        raise UsageError(Text(f"没有编号 {name!r}；相近的有：{listed}", f"there is no id {name!r}; near ones: {listed}"))


def _field(label: Text, value: str, lang: Lang) -> str:
    return f"{label.in_(lang)}{COLON.in_(lang)}{value}"


def _profile(profile: Profile, content: Content, lang: Lang) -> Iterator[str]:
    yield f"{profile.id}  {profile.title.in_(lang)}"
    yield ""
    yield Text("其中的协议：", "agreements in it:").in_(lang)
    for key in profile.agreements:
        agreement = content.agreements[key]
        yield f"  {agreement.id} {agreement.edition}  {agreement.title.in_(lang)}"
    if profile.params:
        yield Text("改动的参数：", "parameters of its own:").in_(lang)
    for name, values in profile.params.items():
        changed = ", ".join(f"{key} = {_listed(given)}" for key, given in values.items())
        yield f"  {name}  {_title(name, content, lang)}{COLON.in_(lang)}{changed}"
    if profile.severities:
        yield Text("改动的级别：", "severities of its own:").in_(lang)
    for name, severity in profile.severities.items():
        yield f"  {name}  {_title(name, content, lang)}{COLON.in_(lang)}{SEVERITIES[severity].in_(lang)}"


def _title(name: str, content: Content, lang: Lang) -> str:
    check = content.check(name)
    return "" if check is None else check.title.in_(lang)


def _agreement(agreement: Agreement, lang: Lang) -> Iterator[str]:
    yield f"{agreement.id} {agreement.edition}  {agreement.title.in_(lang)}"
    yield ""
    names = {party.value: said.in_(lang) for party, said in PARTIES.items()}
    for party, words in agreement.parties.items():
        yield f"  {names.get(party, party)}  {words.in_(lang)}"
    sections: dict[Text, int] = {}
    for clause in agreement.clauses:
        sections[clause.section] = sections.get(clause.section, 0) + 1
    yield Text(f"{len(agreement.clauses)} 条：", f"{len(agreement.clauses)} clauses:").in_(lang)
    for section, count in sections.items():
        yield f"  {count:>3}  {section.in_(lang)}"


def _clause(clause: Clause, content: Content, assessment: Assessment | None, lang: Lang) -> Iterator[str]:
    yield ""
    yield clause.demand.in_(lang)
    yield ""
    yield _field(Text("责任方", "duty of"), PARTIES[clause.party].in_(lang), lang)
    yield _field(Text("判定方式", "decided"), IMPLEMENTATIONS[clause.implementation].in_(lang), lang)
    yield _field(Text("级别", "severity"), SEVERITIES[clause.severity].in_(lang), lang)
    if clause.recommended:
        yield Text("本条为建议：不履行会报告，但不算违约。", "This clause is advice: a failure is reported, but breaks nothing.").in_(lang)
    tables = {row.id: row for table in content.tables.values() for row in table.rows}
    for label, names in (
        (Text("时限", "clocks"), clause.clocks),
        (Text("指标", "key figures"), clause.kpis),
        (Text("来源冲突与处理", "conflicts in the sources"), clause.conflicts),
        (Text("推定默认值", "derived defaults"), clause.derived),
    ):
        if names:
            yield _field(label, "", lang).rstrip()
            for name in names:
                yield f"  {name}  {tables[name].title.in_(lang)}" if name in tables else f"  {name}"
    if clause.attestation is not None:
        form = str(clause.attestation.get("form", "-"))
        title = tables[form].title.in_(lang) if form in tables else ""
        yield _field(Text("证据表单", "form"), f"{form} {title}".strip(), lang)
    if clause.controls:
        yield _field(Text("外部控制项", "external controls"), "; ".join(f"{frame} {', '.join(ids)}" for frame, ids in clause.controls.items()), lang)
    if assessment is not None:
        mine = next((one for one in assessment.clauses if one.clause.id == clause.id), None)
        if mine is not None:
            words = STANDINGS[mine.standing].in_(lang) + (f" ({mine.reason.in_(lang)})" if mine.reason else "")
            yield _field(Text("最近结果", "last result"), f"{assessment.subject}, {assessment.judged_at:%Y-%m-%d %H:%M}Z: {words}", lang)
    for name in clause.checks:
        check = content.check(name)
        yield ""
        if check is None:
            yield f"  {name}"
        else:
            yield from ("  " + line if line else "" for line in _check(check, content, assessment, lang, short=True))


def _check(check: Check, content: Content, assessment: Assessment | None, lang: Lang, *, short: bool = False) -> Iterator[str]:
    yield f"{check.catalogue or '-'}  {check.id}  {check.title.in_(lang)}"
    yield check.why.in_(lang)
    if not short:
        yield _field(Text("级别", "severity"), SEVERITIES[check.severity].in_(lang), lang)
        yield _field(Text("条款", "clauses"), ", ".join(check.clauses) or "-", lang)
        for label in check.expect:
            yield "  · " + label.label.in_(lang)
        for name, param in check.params.items():
            derived = f" ({Text('推定默认值', 'derived default').in_(lang)} {param.derived})" if param.derived else ""
            yield f"  {name} = {_listed(param.default)}{derived}"
        if check.never_collect:
            yield _field(Text("绝不采集", "never collected"), ", ".join(check.never_collect), lang)
        controls = {
            f"{frame} {one}"
            for agreement in content.agreements.values()
            for clause in agreement.clauses
            if clause.id in check.clauses
            for frame, ids in clause.controls.items()
            for one in ids
        }
        if controls:
            yield _field(Text("外部控制项", "external controls"), ", ".join(sorted(controls)), lang)
    mine = None
    if assessment is not None:
        mine = next((one for one in assessment.verdicts if one.check.id == check.id), None)
        if mine is not None:
            words = RESULTS[mine.result].in_(lang) + (f" ({mine.reason.in_(lang)})" if mine.reason else "")
            yield _field(Text("最近结果", "last result"), f"{assessment.subject}, {assessment.judged_at:%Y-%m-%d %H:%M}Z: {words}", lang)
            for seen in mine.observations:
                if seen.met is not True:
                    values = "; ".join(value(one).in_(lang) for one in seen.observed) or Text("无", "none").in_(lang)
                    yield f"  · {_field(seen.label, values, lang)} ({_field(Text('应为', 'expected'), wanted(seen.expected).in_(lang), lang)})"
    first, *others = check.remedy.in_(lang).split("\n")
    yield _field(Text("怎么做", "what to do"), first, lang)
    yield from (f"  {line}" for line in others)
    if assessment is not None and mine is not None and mine.evidence:
        yield _field(Text("证据", "evidence"), "", lang).rstrip()
        for reference in [assessment.sight(source) for source in mine.evidence[:MAX_EVIDENCE]]:
            yield f"    {reference.source}  {reference.status}  {reference.digest[:23]}"
        more = len(mine.evidence) - MAX_EVIDENCE
        if more > 0:
            yield f"    {Text(f'…… 另有 {more} 个（tutela check --all）', f'… and {more} more (tutela check --all)').in_(lang)}"


def _reason(code: Reason, assessment: Assessment | None, lang: Lang) -> Iterator[str]:
    yield f"{code.value}  {REASONS[code].in_(lang)}"
    yield Text("为什么未知；未知从不算通过", "why something is unknown; never counted as kept").in_(lang)
    yield _field(Text("怎么做", "what to do"), NEXT[code].in_(lang), lang)
    unknown = [verdict for verdict in assessment.verdicts if verdict.code is code] if assessment is not None else []
    if assessment is not None and unknown:
        yield _field(Text("最近结果", "last result"), f"{assessment.subject}, {assessment.judged_at:%Y-%m-%d %H:%M}Z", lang)
        for verdict in unknown:
            yield f"  {verdict.check.catalogue or '-'}  {verdict.check.title.in_(lang)}"


def _row(row: Row, lang: Lang) -> Iterator[str]:
    yield ""
    yield row.text.in_(lang)
    if row.clauses:
        yield _field(Text("条款", "clauses"), ", ".join(row.clauses), lang)
    for key, one in row.values.items():
        if one not in (None, "", []):
            yield f"  {key}: {_listed(one)}"


def _listed(given: object) -> str:
    if isinstance(given, bool):
        return "yes" if given else "no"
    return ", ".join(map(str, given)) if isinstance(given, (list, tuple)) else str(given)
