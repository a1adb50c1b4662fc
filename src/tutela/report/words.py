"""Words that several formats print, in both languages side by side."""

from __future__ import annotations

import re

from tutela.agreement.model import Party
from tutela.assess.assessment import Standing
from tutela.checks import Outcome, Severity
from tutela.evidence import Reason
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
REASONS = {
    Reason.STALE: Text("数据过期：有效期内没有收到主机数据", "stale: no data from the host within the freshness window"),
    Reason.PRIVILEGE: Text("权限不足：无权读取来源", "not permitted: not enough privilege to read the source"),
    Reason.NO_ANSWER: Text("无应答：产品、设置或接口未配置或没有应答", "no answer: a product, setting or interface is not configured, or did not answer"),
    Reason.NO_DATA: Text("没有数据：期间内无数据、样本不足，或按要求未采集", "no data: nothing in the period, too few samples, or left out on request"),
    Reason.NOT_LODGED: Text("未提交：人工证据尚未提交", "not lodged: people have not lodged the evidence"),
    Reason.NO_VANTAGE: Text("没有观察点：从这里看不到", "no vantage: it cannot be seen from here"),
    Reason.FORMAT: Text("格式不识：解析器不认识的格式或版本", "format: a format or version that the parser does not know"),
    Reason.CLOCK: Text("时钟不可信", "the clock is not trustworthy"),
}
NEXT = {
    Reason.STALE: Text("重新检查，或先让主机可以连接。", "Check again, or make the host reachable first."),
    Reason.PRIVILEGE: Text("以 root 运行，或加 --become。", "Run as root, or with --become."),
    Reason.NO_ANSWER: Text("看原因中写的来源：启用它，或在站点文件中登记。", "Look at the source in the reason: switch it on, or declare it in the site file."),
    Reason.NO_DATA: Text("去掉 --quick，或按原因补上数据后再检查。", "Leave --quick out, or supply what the reason names, and check again."),
    Reason.NOT_LODGED: Text("在站点文件的 attestations 等处提交证据。", "Lodge the evidence in the site file, under attestations and its like."),
    Reason.NO_VANTAGE: Text(
        "看原因：要从外部看的，加 --scan 或 --scan-from；要由托管中心或在容器里看的，本程序尚不能做到。",
        "Read the reason: what shows from outside, --scan or --scan-from look at; what shows to a hosting centre or inside a container, this program does not see yet.",
    ),
    Reason.FORMAT: Text("用 --all 看来源，把其格式告诉我们。", "See the source with --all, and tell us its format."),
    Reason.CLOCK: Text("先让主机的时钟同步。", "Synchronise the clock of the host first."),
}
"""What helps against an unknown."""
NEVER_COLLECTED = {
    "NC1": Text("密码哈希：/etc/shadow 的第二个字段", "password hashes, the second field of /etc/shadow"),
    "NC2": Text("任何私钥、令牌、接口密钥、一次性口令种子", "private keys of any kind, tokens, API keys, one-time-password seeds"),
    "NC3": Text("配置和连接串里的口令、SNMP 团体名、预共享密钥", "passwords in configuration and connection strings, SNMP communities, pre-shared keys"),
    "NC4": Text("数据库内容、业务数据", "contents of databases, business data"),
    "NC5": Text("日志消息的正文", "bodies of log messages"),
    "NC6": Text("命令历史、邮件、个人目录里的内容", "shell histories, mail, contents of home directories"),
    "NC7": Text("端口敲门序列", "port-knocking sequences"),
    "NC8": Text("报告中联系人的个人信息", "personal data of contacts, in reports"),
    "NC9": Text("进程的完整命令行和环境变量", "full command lines and environments of processes"),
    "NC10": Text("弱口令测试猜中的密码", "passwords that a test guessed"),
}
"""What never leaves a host; docs/threat-model.md says what stays in its place."""
TOTAL = Text("合计", "total")
COMMA = Text("、", ", ")
PAUSE = Text("，", ", ")
COLON = Text("：", ": ")


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


_RESULTS = {outcome.value for outcome in Outcome}
_WORDS = {word: _PLAIN[word] for word in ("true", "false", "yes", "no", "empty")} | {word: RESULTS[word] for word in _RESULTS}
_JOINTS = {"and": Text("且", "and"), "or": Text("或", "or"), "not": Text("不是", "not")}


def wanted(expected: str) -> Text:
    """What a check expects, for people; comparisons stay as they are, what joins them is said in words."""
    if expected in _PLAIN:
        return _PLAIN[expected]
    # A joint expectation, such as `true or not (<= 7 and present)`.
    words = re.split(r"(\W+)", expected)
    if not any(word in _JOINTS for word in words) and not _RESULTS.issuperset(words[::2]):
        return same(expected)
    said = [_JOINTS.get(word) or _WORDS.get(word) or same(word) for word in words]
    return Text("".join(one.zh for one in said), "".join(one.en for one in said))


def value(observed: str) -> Text:
    """What was seen, for people: yes and no have a translation, and what another check said (`H-036: fail`)."""
    check, colon, result = observed.rpartition(": ")
    if result in _RESULTS and check and " " not in check:
        return Text(f"{check}：{RESULTS[result].zh}", f"{check}{colon}{RESULTS[result].en}")
    return _PLAIN[observed] if observed in ("yes", "no") else same(observed)
