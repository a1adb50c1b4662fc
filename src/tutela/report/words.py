"""Words that several formats print, in both languages side by side."""

from __future__ import annotations

import re

from tutela.agreement.model import Party
from tutela.assess.assessment import Standing
from tutela.checks import Outcome, Severity
from tutela.language import Text, same

RESULTS = {
    Outcome.PASS.value: Text("通过", "pass"),
    Outcome.FAIL.value: Text("不符合", "fail"),
    Outcome.NOTAPPLICABLE.value: Text("不适用", "n.a."),
    Outcome.UNKNOWN.value: Text("未知", "unknown"),
    "waived": Text("已豁免", "waived"),
}
SEVERITIES = {
    Severity.CRITICAL: Text("严重", "critical"),
    Severity.HIGH: Text("高", "high"),
    Severity.MEDIUM: Text("中", "medium"),
    Severity.LOW: Text("低", "low"),
    Severity.INFO: Text("提示", "info"),
}
STANDINGS = {
    Standing.KEPT: Text("已履行", "kept"),
    Standing.BROKEN: Text("未履行", "broken"),
    Standing.UNPROVEN: Text("未证实", "unproven"),
    Standing.WAIVED: Text("已豁免", "waived"),
    Standing.NOTAPPLICABLE: Text("不适用", "n.a."),
}
PARTIES = {
    Party.PROVIDER: Text("甲方", "provider"),
    Party.OWNER: Text("乙方", "owner"),
    Party.THIRD_PARTY: Text("第三方", "third party"),
    Party.BOTH: Text("双方", "both parties"),
    Party.ALL: Text("各方", "all parties"),
}
TOTAL = Text("合计", "total")
COMMA = Text("、", ", ")
COLON = Text("：", ": ")
STOP = Text("。", ".")


def joined(parts: list[Text]) -> Text:
    """The parts as one enumeration."""
    return Text(COMMA.zh.join(part.zh for part in parts), COMMA.en.join(part.en for part in parts))


_PLAIN = {
    "yes": Text("是", "yes"),
    "no": Text("否", "no"),
    "true": Text("是", "yes"),
    "false": Text("否", "no"),
    "empty": Text("没有", "none"),
    "not-empty": Text("至少一项", "at least one"),
    "0": Text("没有", "none"),
    ">= 1": Text("至少一项", "at least one"),
    "present": Text("有", "present"),
    "absent": Text("没有", "absent"),
}


_JOINTS = {"and": Text("且", "and"), "or": Text("或", "or"), "not": Text("不是", "not")}


def wanted(expected: str) -> Text:
    """What a check expects, for people; comparisons stay as they are, what joins them is said in words."""
    if expected in _PLAIN:
        return _PLAIN[expected]
    # A joint expectation, such as `true or not (<= 7 and present)`.
    words = re.split(r"(\W+)", expected)
    if not any(word in _JOINTS for word in words):
        return same(expected)
    said = [_JOINTS.get(word) or (_PLAIN[word] if word in ("true", "false", "yes", "no") else same(word)) for word in words]
    return Text("".join(one.zh for one in said), "".join(one.en for one in said))


def value(observed: str) -> Text:
    """What was seen, for people: only yes and no have a translation."""
    return _PLAIN[observed] if observed in ("yes", "no") else same(observed)
