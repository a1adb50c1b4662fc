"""A running host: what one can ask of it and do to it."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.lab.command import run
from tests.lab.network import Vantage
from tests.lab.processes import Process
from tests.lab.role import Role

__all__ = ["DROPPED_CAPABILITIES", "Host"]

DROPPED_CAPABILITIES = ",".join(f"-{name}" for name in ("sys_time", "sys_module", "sys_rawio", "sys_boot", "mknod", "wake_alarm", "syslog"))
"""What even root in a host cannot do: the clock, the kernel and the devices are the machine's."""

_ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": "/root",
    "LC_ALL": "C.UTF-8",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """One host of a lab, from `Lab.start`. It is stopped by the lab."""

    name: str
    """Its host name, and its name in `ssh_config_file`."""
    role: Role
    address: str
    address6: str
    namespace: str
    """The name that `ip netns` knows its network by."""
    init: Process
    """Its PID 1, as the machine sees it."""
    keeper: Process
    """The `unshare` that holds its namespaces."""
    directory: Path
    """Its overlay and its console, on the machine."""
    group: Path
    """Its cgroup, on the machine."""
    ssh_config_file: Path
    """For `ssh -F`, in the centre's namespace: host NAME is root, NAME-ops is ops."""
    ops_password: str
    """The password of the account `ops`; what sudo gives it is `role.ops_sudo`."""
    centre: Vantage
    """Where `ssh` starts from."""

    @property
    def ssh_port(self) -> int:
        """The port of its sshd."""
        return self.role.ssh_port

    def exec_argv(self, argv: Sequence[str]) -> list[str]:
        """`argv` prefixed so that it runs as root inside the host."""
        group = self.group / "lab-run"
        group.mkdir(exist_ok=True)
        join = ["sh", "-c", 'echo $$ >"$0" && exec "$@"', str(group / "cgroup.procs")]
        enter = ["nsenter", "--target", str(self.init.pid), "--mount", "--uts", "--ipc", "--net"]
        enter += ["--pid", "--cgroup", "setpriv", "--bounding-set", DROPPED_CAPABILITIES]
        enter += ["--inh-caps", DROPPED_CAPABILITIES]
        return [*join, *enter, *argv]

    def run(
        self,
        command: Sequence[str] | str,
        *,
        stdin: str | bytes | None = None,
        check: bool = True,
        timeout_s: float = 60,
    ) -> subprocess.CompletedProcess[str]:
        """Run an argv, or sh text, as root inside the host; not over the network.

        Raises CommandError on a status other than 0 unless `check` is off.
        """
        argv = ["sh", "-euc", command] if isinstance(command, str) else command
        words = self.exec_argv(argv)
        return run(words, stdin=stdin, check=check, timeout_s=timeout_s, env=_ENVIRONMENT)

    def write(self, path: str, text: str | bytes, *, mode: str = "644") -> None:
        """Write a file inside the host, with the directories above it."""
        script = 'mkdir -p "$(dirname "$1")" && cat >"$1" && chmod "$2" "$1"'
        self.run(["sh", "-euc", script, "sh", path, mode], stdin=text)

    def read(self, path: str) -> str:
        """The text of a file inside the host. Raises CommandError if there is none."""
        return self.run(["cat", path]).stdout

    def ssh_argv(self, command: str, *, user: str = "root") -> list[str]:
        """An argv, run on the machine, that runs `command` over ssh from the centre."""
        target = f"{user}@{self.name}"
        return self.centre.exec_argv(["ssh", "-F", str(self.ssh_config_file), target, command])

    def ssh(
        self,
        command: str,
        *,
        user: str = "root",
        stdin: str | bytes | None = None,
        check: bool = True,
        timeout_s: float = 60,
    ) -> subprocess.CompletedProcess[str]:
        """Run `command` over ssh from the centre, as root or ops."""
        argv = self.ssh_argv(command, user=user)
        return run(argv, stdin=stdin, check=check, timeout_s=timeout_s)

    def state(self) -> str:
        """What `systemctl is-system-running` says: `running`, `degraded`, …; "" without systemd."""
        if self.role.init == "bare":
            return ""
        asked = self.run(["systemctl", "is-system-running"], check=False, timeout_s=20)
        return asked.stdout.strip() or "offline"

    def failed_units(self) -> list[str]:
        """Units that did not come up; a host that is `running` has none."""
        words = ["systemctl", "list-units", "--failed", "--plain", "--no-legend"]
        return [line.split()[0] for line in self.run(words).stdout.splitlines() if line.strip()]

    def console(self) -> str:
        """What PID 1 has written to /dev/console so far."""
        return (self.directory / "console").read_text(encoding="utf-8", errors="replace")
