"""What has changed since the previous scan, as a line for people."""

from __future__ import annotations

from tutela.exposure.model import Change
from tutela.language import Lang, Text
from tutela.report.inert import inert

_WHAT = {
    "opened": Text("新开放", "newly open"),
    "closed": Text("已关闭", "newly closed"),
    "filtered": Text("不再开放（被路径上的过滤器拒绝）", "no longer open (refused on the way)"),
    "silent": Text("不再应答（不等于关闭）", "no longer answers (which is not closed)"),
    "service": Text("服务变化", "another service"),
}


def line(change: Change, lang: Lang) -> str:
    """`± 192.0.2.10      22/tcp  newly closed: ssh`, without the end of the line."""
    sign = {"opened": "+", "closed": "-", "filtered": "-"}.get(change.what, "~")
    port = f"{change.port}/{change.protocol}"
    detail = " → ".join(inert(part) for part in (change.before, change.now) if part)
    words = _WHAT[change.what].in_(lang)
    colon = Text("：", ": ").in_(lang)
    return f"{sign} {change.address:<15} {port:>9}  {words}{colon + detail if detail else ''}"
