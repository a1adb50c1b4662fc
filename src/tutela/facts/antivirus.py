"""Antivirus: ClamAV as a daemon or on a schedule, its signatures, and a declared endpoint product.

Sources: the units that run, the schedules, the age of ClamAV's databases in /var/lib/clamav.
"""

from __future__ import annotations

import re
from datetime import datetime

from tutela.evidence import Reason, Unobserved
from tutela.facts import schedules, units
from tutela.facts.look import Look
from tutela.facts.protection_files import NEEDS as FILES
from tutela.facts.protection_files import files
from tutela.facts.schedules import Job
from tutela.language import Text
from tutela.record import record

NEEDS = (*units.NEEDS, *schedules.NEEDS, *FILES)
DAEMONS = ("clamav-daemon", "clamd", "clamd@", "clamav-clamonacc", "clamonacc")
SCANS = re.compile(r"(^|[ /])(clamscan|clamdscan)( |$)")
AGENTS = {
    "falcon-sensor": "CrowdStrike Falcon",
    "mdatp": "Microsoft Defender",
    "sentinelone": "SentinelOne",
    "ds_agent": "Trend Micro Deep Security",
    "aegis": "Alibaba Cloud Security Center",
    "AliYunDun": "Alibaba Cloud Security Center",
    "YDService": "Tencent Cloud CWP",
    "hostguard": "Huawei Cloud HSS",
    "cbagentd": "Carbon Black",
    "sophos-spl": "Sophos",
    "esets": "ESET",
    "eea": "ESET",
    "kesl": "Kaspersky",
    "qaxsafe": "QiAnXin",
    "ElasticEndpoint": "Elastic Defend",
    "elastic-endpoint": "Elastic Defend",
}
"""Units of endpoint products. Alibaba's aliyun.service is none: it runs commands that the console sends."""


@record
class Antivirus:
    """Antivirus(daemon=True, scan_days=None, signature_days=0.3, product=None, product_alive=False)"""

    daemon: bool | Unobserved
    scan_days: float | Unobserved | None
    """Age of the last scheduled scan; None: no scan is scheduled."""
    signature_days: float | Unobserved | None
    """Age of the newest signatures; None: there are none."""
    product: str | None
    """The declared endpoint product, or one whose agent runs."""
    product_alive: bool | Unobserved
    """Whether it reported to its console within a day; False where there is none."""


def parse(look: Look) -> Antivirus | Unobserved:
    """The fact."""
    up = look.fact(units.up)
    if isinstance(up, Unobserved):
        return up
    daemon: bool | Unobserved = bool(up.running(*DAEMONS))
    if not up.systemd:
        daemon = Unobserved(Reason.NO_ANSWER, "systemctl", Text("不是 systemd，不知道 clamd 是否在运行", "without systemd it is not known whether clamd runs"))
    running = next((product for stem, product in AGENTS.items() if up.running(stem)), None)
    declared = look.site.edr if look.site.edr not in (None, "", "none") else None
    product = declared or running
    alive: bool | Unobserved = False
    if running is not None:
        alive = Unobserved(Reason.NO_ANSWER, running, Text("客户端在运行，心跳只有它的控制台知道", "its agent runs; only its console knows the heartbeat"))
    elif declared is not None:
        alive = Unobserved(
            Reason.NO_ANSWER, declared, Text("登记了终端防护，但主机上认不出它的客户端", "it is declared, but its agent is not recognised on the host")
        )
    return Antivirus(daemon, _scan(look), _signatures(look), product, alive)


def _scan(look: Look) -> float | Unobserved | None:
    jobs = schedules.running(look, SCANS)
    if isinstance(jobs, Unobserved):
        return jobs
    ages: list[float] = []
    doubt: Unobserved | None = None
    for job in jobs:
        if isinstance(job, Unobserved):
            doubt = doubt or job
        else:
            when = _ran(job)
            if isinstance(when, Unobserved):
                doubt = doubt or when
            else:
                ages.append((look.now - when).total_seconds() / 86400)
    if ages:
        return round(max(min(ages), 0.0), 1)
    return doubt


def _ran(job: Job) -> datetime | Unobserved:
    """A scan that found something ended with 1: it ran all the same."""
    if job.ran is not None and job.status in (0, 1):
        return job.ran
    return job.succeeded


def _signatures(look: Look) -> float | Unobserved | None:
    seen = files(look)
    if isinstance(seen, Unobserved):
        return seen
    times = [one.changed for path, one in seen.items() if path.startswith("/var/lib/clamav/") and "daily" in path and one.size]
    return round(max((look.now - max(times)).total_seconds() / 86400, 0.0), 1) if times else None
