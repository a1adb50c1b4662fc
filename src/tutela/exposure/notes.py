"""What a tally says beside its numbers."""

from __future__ import annotations

from tutela.language import Text

EVERY_PORT = Text(
    "几乎每个端口都有应答：有设备替主机应答，不能说明主机上有服务",
    "nearly every port answers: something answers in the host's place, which says nothing about services of the host",
)
EVERY = "every"
"""The word for it."""
PROHIBITED = Text(
    "路径上的过滤器以 ICMP 声明禁止（administratively prohibited）",
    "a filter on the way says by ICMP that it is prohibited (administratively prohibited)",
)
STOPPED = {
    "prohibited": Text(
        "未继续询问：路径上的过滤器以 ICMP 声明禁止，且没有端口应答（--no-gentle 继续询问）",
        "not asked any further: a filter on the way says by ICMP that it is prohibited, and no port answered (--no-gentle asks on)",
    ),
    "silenced": Text(
        "未继续询问：先前每个端口都有应答，随后多数沉默；可能是过载或被封禁（--no-gentle 继续询问）",
        "not asked any further: every port answered at first, then most fell silent; it may be overloaded, or have banned us (--no-gentle asks on)",
    ),
    "slowed": Text(
        "未继续询问：往返时间增至三倍以上；可能过载（--no-gentle 继续询问）",
        "not asked any further: round trips take more than three times as long; it may be overloaded (--no-gentle asks on)",
    ),
}
"""Why a gentle sweep leaves a host in peace."""
