"""Agents that watch the host for intrusions: whether they are installed, run, and reach their manager.

Sources: the units that run; wazuh-agentd.state of Wazuh; programs on the disk.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from tutela.evidence import Reason, Unobserved
from tutela.facts import units
from tutela.facts.look import Look
from tutela.facts.protection_files import NEEDS as FILES
from tutela.facts.protection_files import files
from tutela.facts.schedules import Left
from tutela.language import Text
from tutela.record import record

WAZUH = "/var/ossec/var/run/wazuh-agentd.state"
NEEDS = (*units.NEEDS, *FILES, WAZUH)
STALE = timedelta(minutes=10)
"""The agent writes its state every few seconds; what it wrote before it hung or was stopped stays on the disk."""
AGENTS = {
    "wazuh": (("wazuh-agent", "wazuh-manager"), ("/var/ossec/bin/wazuh-agentd",)),
    "ossec": (("ossec", "ossec-hids", "ossec-agent"), ("/var/ossec/bin/ossec-agentd",)),
    "falco": (("falco", "falco-modern-bpf", "falco-bpf", "falco-kmod"), ("/usr/bin/falco",)),
    "osquery": (("osqueryd",), ("/usr/bin/osqueryd", "/opt/osquery/bin/osqueryd")),
    "suricata": (("suricata",), ("/usr/bin/suricata", "/usr/sbin/suricata")),
}
"""Units and programs."""


@record
class Agent:
    """Agent(name='wazuh', running=True, connected=True)"""

    name: str
    running: bool | Unobserved
    connected: bool | Unobserved | None
    """Whether it reaches its manager; None: it has none."""


@record
class Intrusion:
    """Intrusion(agents=(Agent(…),))"""

    agents: tuple[Agent, ...]
    """Those that are installed."""


def parse(look: Look) -> Intrusion | Unobserved:
    """The fact."""
    up = look.fact(units.up)
    if isinstance(up, Unobserved):
        return up
    seen = files(look)
    if isinstance(seen, Unobserved):
        return seen
    agents = []
    for name, (stems, programs) in AGENTS.items():
        running: bool | Unobserved = bool(up.running(*stems))
        if not up.systemd:
            running = Unobserved(Reason.NO_ANSWER, name, Text("不是 systemd，不知道是否在运行", "without systemd it is not known whether it runs"))
        if running is True or any(path in seen for path in programs):
            agents.append(Agent(name, running, _connected(look, seen) if name == "wazuh" else None))
    return Intrusion(tuple(agents))


def _connected(look: Look, seen: dict[str, Left]) -> bool | Unobserved:
    text = look.text(WAZUH)
    if isinstance(text, Unobserved):
        return text
    found = re.search(r"(?m)^status='(\w{1,20})'", text)
    if found is None:
        return Unobserved(Reason.FORMAT, WAZUH, Text("没有连接状态", "it does not tell its state"))
    if found[1] != "connected":
        return False
    written = seen[WAZUH].changed if WAZUH in seen else _last_keepalive(text)
    if written is not None and look.collected_at - written > STALE:
        return Unobserved(
            Reason.NO_DATA, WAZUH, Text(f"状态写于 {written:%Y-%m-%d %H:%M}，说明不了现在", f"written {written:%Y-%m-%d %H:%M}, which says nothing of now")
        )
    return True


def _last_keepalive(text: str) -> datetime | None:
    """In the host's own time; taken as if its clock were the furthest behind, so that only what is surely old is old."""
    found = re.search(r"(?m)^last_keepalive='(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)'", text)
    try:
        return datetime.fromisoformat(found[1]).replace(tzinfo=UTC) + timedelta(hours=12) if found else None
    except (ValueError, OverflowError):
        return None
