"""What only the centre's own records can say about a host: reboots against tickets, abuse that its sensors saw.

A bundle of one look holds neither; both stay unobserved until the centre judges.
"""

from __future__ import annotations

from tutela.evidence import Reason, Unobserved
from tutela.facts.look import Look
from tutela.language import Text
from tutela.record import record

BOOT_ID = "/proc/sys/kernel/random/boot_id"
NEEDS = (BOOT_ID, "/proc/uptime")


@record
class Centre:
    """Centre(unexplained_reboots=Unobserved(…), abuse=Unobserved(…))"""

    boot_id: str | Unobserved
    """Of the boot that was seen; the centre compares it with the last one it knows."""
    unexplained_reboots: tuple[str, ...] | Unobserved
    abuse: tuple[str, ...] | Unobserved
    """Open signals of scans, spam, floods, mining or command channels from this host."""


def parse(look: Look) -> Centre:
    """The fact."""
    boot_id = look.text(BOOT_ID)
    return Centre(
        boot_id=boot_id if isinstance(boot_id, Unobserved) else boot_id.strip()[:36],
        unexplained_reboots=Unobserved(Reason.NO_DATA, "centre", Text("没有上一次的启动记录和工单可比", "no earlier boot and no tickets to compare with")),
        abuse=Unobserved(Reason.NO_ANSWER, "centre", Text("没有接入流量或入侵检测传感器", "no flow or intrusion sensor is connected")),
    )
