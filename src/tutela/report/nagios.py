"""One line for Nagios and its heirs: state, sentence, performance data.

Source: Monitoring Plugins development guidelines. The exit status is the caller's; `status` says which.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tutela.assess.assessment import Assessment, Standing
from tutela.checks import Severity
from tutela.language import Lang, Text
from tutela.report.findings import Headline, duties, failures, headline, summary, told_apart, unreachable
from tutela.report.inert import inert
from tutela.report.options import Options

STATES = ("OK", "WARNING", "CRITICAL", "UNKNOWN")
UNKNOWN = 3
_WORST_FIRST = (2, 1, 3, 0)
MAX_NAMES = 3


def render(assessments: Sequence[Assessment], lang: Lang, options: Options) -> Iterator[str]:
    """One line; several subjects share it, the worst named."""
    yield f"TUTELA {STATES[status(assessments, options)]} - {_safe(_sentence(assessments, options).in_(lang))} | {_performance(assessments)}\n"


def failed(why: str) -> str:
    """The line when there is no assessment at all; its status is UNKNOWN."""
    line = " ".join(why.split("\n"))
    return f"TUTELA {STATES[UNKNOWN]} - {_safe(line)}\n"


def status(assessments: Sequence[Assessment], options: Options) -> int:
    """0 to 3 as Nagios counts: the worst of all subjects; nobody to look at is UNKNOWN."""
    return next((code for code in _WORST_FIRST if code in {_status(one, options) for one in assessments}), UNKNOWN)


def _status(one: Assessment, options: Options) -> int:
    word = headline(one)
    if word is Headline.BROKEN:
        broken = [clause.severity for clause in duties(one) if clause.standing is Standing.BROKEN]
        worst = max((severity.rank for severity in broken or [verdict.severity for verdict in failures(one)]), default=0)
        return 2 if options.fail_on != "never" and worst >= Severity(options.fail_on).rank else 1
    return 0 if word is Headline.COMPLIANT else UNKNOWN


def _sentence(assessments: Sequence[Assessment], options: Options) -> Text:
    if len(assessments) == 1:
        one = assessments[0]
        said = summary(one)
        worst = failures(one)[:1]
        first = f" [{worst[0].check.id}]" if worst else ""
        return Text(f"{one.subject}：{said.zh}{first}{_own(one).zh}", f"{one.subject}: {said.en}{first}{_own(one).en}")
    states = [(_status(one, options), name) for name, one in zip(told_apart(assessments), assessments, strict=True)]
    bad = [name for state, name in sorted(states, key=lambda one: (_WORST_FIRST.index(one[0]), one[1])) if state]
    names = ", ".join(bad[:MAX_NAMES]) + (f" +{len(bad) - MAX_NAMES}" if len(bad) > MAX_NAMES else "")
    lost = sum(1 for one in assessments if unreachable(one) is not None)
    zh = f"{len(assessments)} 台主机，{len(bad)} 台未合规，{lost} 台无法连接"
    en = f"{len(assessments)} hosts, {len(bad)} not compliant, {lost} not reached"
    own = next((_own(one) for one in assessments if one.rulebook.overrides), Text("", ""))  # one site file for all
    return Text(f"{zh}：{names}{own.zh}", f"{en}: {names}{own.en}") if names else Text(zh + own.zh, en + own.en)


def _own(one: Assessment) -> Text:
    count = len(one.rulebook.overrides)
    return Text(f"；站点文件更改了 {count} 个判定参数", f"; the site file changes {count} parameter{'' if count == 1 else 's'}") if count else Text("", "")


def _performance(assessments: Sequence[Assessment]) -> str:
    counted = {word: sum(sum(one.summary.results[word].values()) for one in assessments) for word in ("fail", "unknown", "pass", "notapplicable", "waived")}
    undecided = max((one.summary.unknown_percent for one in assessments), default=100)
    return " ".join([*(f"{word}={count};;;0" for word, count in counted.items()), f"undecided={undecided}%;;;0;100"])


def _safe(words: str) -> str:
    """The pipe separates the performance data; nobody else may write one."""
    return inert(words).replace("|", "¦")
