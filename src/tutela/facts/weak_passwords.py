"""What the opt-in test for weak passwords found: rules and names of accounts, never a password (NC10).

Source: `tutela weak-passwords`, which the bundle holds only when the owner asked for the test.

    rules 7
    candidates 1812
    cpu 59.8
    account ops none
    account web digits
    account nobody locked
    account old unsupported:$5$
    account slow incomplete
    stopped budget
"""

from __future__ import annotations

import re

from tutela.evidence import Reason, Status, Unobserved
from tutela.evidence.bundle import AGAIN
from tutela.facts.look import Look
from tutela.language import Text
from tutela.record import record

SOURCE = "tutela weak-passwords"
NEEDS = (SOURCE, SOURCE + AGAIN)
_ACCOUNT = re.compile(r"account (\S{1,256}) (\S{1,256})")


@record
class Tried:
    """Tried(name='web', rule='digits-sequence')"""

    name: str
    rule: str | Unobserved | None
    """The rule that matched; None when none did; unknown when this kind of hash could not be tried."""


@record
class WeakPasswords:
    """WeakPasswords(rules=41, accounts=(Tried('ops', None),), whole=True)"""

    rules: int
    """How many rules were tried."""
    accounts: tuple[Tried, ...]
    whole: bool | Unobserved
    """Every account was tried with every rule."""


def parse(look: Look) -> WeakPasswords | Unobserved:
    """The fact; unknown unless the test was asked for."""
    if look.source(SOURCE + AGAIN).status is not Status.MISSING:
        why = Text("主机自己也给出了一份结果，两者不同", "the host itself sent a result, too, and they differ")
        return Unobserved(Reason.FORMAT, SOURCE, why)
    status = look.source(SOURCE).status
    if status is Status.ABSENT:
        why = Text("主机上没有 python3 或 perl 可用于测试", "the host has neither a python3 nor a perl to test with")
        return Unobserved(Reason.NO_ANSWER, SOURCE, why)
    if status in (Status.MISSING, Status.SKIPPED):
        why = Text("未启用弱口令测试（加 --passwords 启用）", "the test for weak passwords was not asked for (--passwords)")
        return Unobserved(Reason.NO_DATA, SOURCE, why)
    lines = look.lines(SOURCE)
    if isinstance(lines, Unobserved):
        return lines
    rules: int | None = None
    whole: bool | Unobserved = True
    tried: list[Tried] = []
    for line in lines:
        key, _, value = line.partition(" ")
        account = _ACCOUNT.fullmatch(line)
        if key == "rules" and re.fullmatch(r"\d{1,6}", value):
            rules = int(value)
        elif account is not None:
            tried.append(Tried(account[1], _rule(account[1], account[2])))
        elif key == "stopped":
            whole = Unobserved(Reason.NO_DATA, SOURCE, Text("测试提前停止，未全部试完", "the test stopped before everything was tried"))
        elif line.strip() and key not in ("candidates", "cpu"):
            return Unobserved(Reason.FORMAT, SOURCE, Text("有无法理解的行", "it has a line that is not understood"))
    if rules is None or not (rules or any(isinstance(one.rule, str) for one in tried)):
        return Unobserved(Reason.NO_DATA, SOURCE, Text("没有试任何规则", "no rule was tried"))
    return WeakPasswords(rules, tuple(tried), whole)


def _rule(name: str, word: str) -> str | Unobserved | None:
    if word in ("none", "locked"):
        return None
    if word == "incomplete":
        return Unobserved(Reason.NO_DATA, f"{SOURCE} {name}", Text("时间用尽，未试完", "time ran out before every candidate was tried"))
    if word.startswith("unsupported:"):
        kind = word.partition(":")[2]
        return Unobserved(
            Reason.NO_ANSWER, f"{SOURCE} {name}", Text(f"本机无法计算此类哈希（{kind}）", f"hashes of this kind cannot be computed here ({kind})")
        )
    return word
