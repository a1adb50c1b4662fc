"""A host for one module alone, since its tests change it; each puts it back as it was."""

from __future__ import annotations

from tests.hosts import look
from tests.lab.host import Host
from tutela.evidence import Bundle

SERVING = """
serving() { until ss -Hlntu "sport = :$1" | grep -q .; do sleep 0.1; done; }
"""
BANNING = """
# systemd calls it active before it answers.
! systemctl is-active -q fail2ban || until fail2ban-client ping >/dev/null 2>&1; do systemctl is-active -q fail2ban || break; sleep 0.1; done
"""


class OwnHost:
    """What was seen after one test had restored it is what the next one finds."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self._seen: dict[tuple[str, ...], Bundle] = {}

    def look(self, user: str = "root", *options: str) -> Bundle:
        """Over SSH; anybody but root looks with sudo."""
        words = (user, *options, *(() if user == "root" else ("--become",)))
        if words not in self._seen:
            self._seen[words] = look.collect(self.host, *words)
        return self._seen[words]

    def run(self, script: str) -> None:
        """Sh text, as root inside it; `serving <port>` waits until somebody serves it. What was started does its work afterwards."""
        # systemd refuses a unit that is started more often than anybody would.
        self.host.run(f"systemctl reset-failed\n{SERVING}{script}\n{BANNING}", timeout_s=120)
        self._seen.clear()
