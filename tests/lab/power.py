"""Switch a host on and off: namespaces, cgroup and PID 1 from a prepared disk, and their end."""

from __future__ import annotations

import subprocess
import time
from dataclasses import replace
from pathlib import Path

from tests.lab.errors import NotReadyError
from tests.lab.host import DROPPED_CAPABILITIES, Host
from tests.lab.processes import Process, end_cgroup, end_processes
from tests.lab.rootfs import Stack

__all__ = ["switch_off", "switch_on", "wait_until_ready"]

_ENTER = Path(__file__).with_name("enter.sh")
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_INIT = {"systemd": ["/sbin/init"], "bare": ["/bin/sh", "/sbin/lab-init"]}
_READY_S = 90.0
_POLL_S = 0.1


def switch_on(host: Host, stack: Stack) -> tuple[Host, subprocess.Popen[bytes]]:
    """Start PID 1 of `host`; returns the host with its processes, and the one to wait for.

    Raises NotReadyError if there is no PID 1 after all.
    """
    side = _keeper_group(host)
    for path in (host.group, side):
        path.mkdir(parents=True, exist_ok=True)
    place = host.directory
    where = [str(place / "root"), stack.lowerdir, str(place / "upper"), str(place / "work")]
    spaces = ["--mount", "--pid", "--uts", "--ipc", "--cgroup", "--fork", "--kill-child"]
    argv = ["sh", "-c", 'echo $$ >"$0" && exec "$@"', str(host.group / "cgroup.procs")]
    argv += ["nsenter", f"--net=/run/netns/{host.namespace}", "unshare", *spaces]
    argv += ["sh", str(_ENTER), "boot", *where, *_INIT[host.role.init]]
    env = {"PATH": _PATH, "container": "lab", "LAB_DROP": DROPPED_CAPABILITIES}
    env["LAB_CONSOLE"] = str(place / "console")
    with (place / "console").open("ab") as console:
        keeper = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=console,
            stderr=console,
            env=env,
            start_new_session=True,
        )
    holder = Process.of(keeper.pid)
    init = _wait_for_child(keeper)
    if holder is None or init is None:
        keeper.kill()
        keeper.wait()
        raise NotReadyError(f"{host.name}: did not start\n{host.console()[-3000:]}")
    # The keeper holds the namespaces but is no part of the host: systemd wants its root group.
    (side / "cgroup.procs").write_text(str(keeper.pid))
    return replace(host, init=init, keeper=holder), keeper


def switch_off(host: Host) -> None:
    """End all processes of `host`, at once as a power cut would; its disk stays."""
    end_processes([host.keeper, host.init])
    end_cgroup(host.group)
    end_cgroup(_keeper_group(host))


def wait_until_ready(host: Host) -> None:
    """Poll until systemd has come up and sshd lets the lab in. Raises NotReadyError."""
    deadline = time.monotonic() + _READY_S
    said = "never asked"
    is_up = host.role.init == "bare"
    while time.monotonic() < deadline and host.init.is_alive:
        if not is_up:
            said = host.state()
            is_up = said in ("running", "degraded")
            if is_up:
                continue
        elif not host.role.ssh_wait:
            return
        else:
            tried = host.ssh("true", user="ops", check=False, timeout_s=20)
            if tried.returncode == 0:
                return
            said = f"ssh: {tried.stderr.strip()}"
        time.sleep(_POLL_S)
    raise NotReadyError(f"{host.name}: not ready, last: {said}\n{host.console()[-3000:]}")


def _keeper_group(host: Host) -> Path:
    return host.group.with_name(f"{host.name}.keeper")


def _wait_for_child(keeper: subprocess.Popen[bytes]) -> Process | None:
    # sh, nsenter and unshare exec one another; only the last one forks.
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and keeper.poll() is None:
        found = Process.of(keeper.pid)
        child = found.child() if found is not None else None
        if child is not None:
            return child
        time.sleep(0.005)
    return None
