"""Words that several formats print, in both languages side by side."""

from __future__ import annotations

from tutela.agreement.model import Party
from tutela.assess.assessment import Standing
from tutela.checks import Outcome, Severity
from tutela.language import Text

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
