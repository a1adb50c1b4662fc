"""A lab: hosts that run, the places around them, and nothing left of them afterwards."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.lab.access import make_access
from tests.lab.host import Host
from tests.lab.network import Network, delete_namespace
from tests.lab.power import switch_off, switch_on, wait_until_ready
from tests.lab.prepare import fill_in, prepare_host, words_for
from tests.lab.processes import Process, cgroup_root, end_namespace_users
from tests.lab.role import Role, load_role
from tests.lab.rootfs import RootCache, Stack
from tests.lab.tools import require_tools
from tests.lab.traces import (
    clean_up_stale,
    disk_directory,
    prefix_of,
    remove_lab,
    run_directory,
    take_number,
    write_state,
)

__all__ = ["Lab", "build_layers"]

_BASE_PACKAGES = {
    "systemd": (
        "dbus",
        "iproute2",
        "iputils-ping",
        "kmod",
        "libpam-modules",
        "libpam-systemd",
        "nftables",
        "openssh-server",
        "procps",
        "sudo",
        "systemd",
        "systemd-sysv",
    ),
    "bare": (
        "busybox",
        "openssh-server",
        "systemd-standalone-sysusers",
        "systemd-standalone-tmpfiles",
    ),
}
"""What every host of a kind has; python3 is in neither."""


class Lab:
    """A set of hosts. Use it in a `with` statement: leaving it stops and removes everything.

    with Lab() as lab:
        host = lab.start("keeps-all")
        host.run("nft list ruleset").stdout
        host.ssh("id", user="ops")
        lab.external.run(["nc", "-z", host.address, "22"], check=False)
    """

    def __init__(self) -> None:
        """Take a number and make the network; hosts come with `start`."""
        require_tools()
        clean_up_stale()
        self.number, self._lock = take_number()
        self.hosts: dict[str, Host] = {}
        self._keepers: dict[str, subprocess.Popen[bytes]] = {}
        self._helpers: list[subprocess.Popen[bytes]] = []
        self._names: list[str] = []
        self._guard = threading.Lock()
        self._is_kept = False
        self._is_open = True
        try:
            self._cache = RootCache()
            self._access = make_access(run_directory(self.number) / "access")
            self._network = Network(prefix_of(self.number))
            self._network.create()
            self._helpers.append(self._start_clock())
        except BaseException:
            self.close()
            raise
        places = self._network.vantages
        self.centre = places["centre"]
        """Where Tutela's centre stands: inside the administrators' prefix."""
        self.campus = places["campus"]
        """An ordinary desk of the same campus."""
        self.external = places["external"]
        """Somewhere else in the world."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def start(self, role: str | Role, *, name: str | None = None, ops_sudo: str = "") -> Host:
        """Start a host and wait until it is up and its sshd lets the lab in from the centre.

        `name` defaults to the role's; a second host of that name gets a number. `ops_sudo`
        overrides the role's. Layers that are not in the cache are built first (minutes).
        Raises RoleError, NotReadyError, or CommandError when building or preparing fails.
        """
        chosen = load_role(role) if isinstance(role, str) else role
        if ops_sudo:
            chosen = replace(chosen, ops_sudo=ops_sudo)
        known, number = self._take_name(name or chosen.name)
        stack = build_layers(self._cache, chosen)
        host = self._switch_on(self._make(known, number, chosen, stack), stack)
        wait_until_ready(host)
        if chosen.live:
            host.run(fill_in(chosen.live, words_for(host.address, host.address6)), timeout_s=180)
            wait_until_ready(host)
        return host

    def start_all(self, roles: Sequence[str | Role]) -> list[Host]:
        """Start several hosts at the same time; layers are built one after the other before."""
        loaded = [load_role(role) if isinstance(role, str) else role for role in roles]
        for role in loaded:
            build_layers(self._cache, role)
        with ThreadPoolExecutor(max_workers=2 * (os.cpu_count() or 1)) as pool:
            return list(pool.map(self.start, loaded))

    def reboot(self, host: Host) -> Host:
        """Cut the power of a host and start it again from its disk; use the returned one then.

        The role's `live` text does not run again: this shows what survives.
        """
        self._switch_off(host)
        started = self._switch_on(host, build_layers(self._cache, host.role))
        wait_until_ready(started)
        return started

    def stop(self, host: Host) -> None:
        """Stop a host and remove all that belonged to it."""
        self._switch_off(host)
        end_namespace_users(host.namespace)
        delete_namespace(host.namespace)
        shutil.rmtree(host.directory, ignore_errors=True)
        with self._guard:
            self.hosts.pop(host.name, None)
            write_state(self.number, self.hosts.values(), kept=self._is_kept)

    def keep(self) -> None:
        """Let the lab outlive this process; `python -m tests.lab down` removes it."""
        with self._guard:
            self._is_kept = True
            write_state(self.number, self.hosts.values(), kept=True)

    def close(self) -> None:
        """Stop and remove everything; does nothing the second time, or for a lab that is kept."""
        if not self._is_open:
            return
        self._is_open = False
        try:
            if not self._is_kept:
                remove_lab(self.number)
                for process in [*self._keepers.values(), *self._helpers]:
                    process.wait(timeout=20)
                self.hosts.clear()
        finally:
            self._lock.close()

    def _start_clock(self) -> subprocess.Popen[bytes]:
        """A time server at the centre's address; it ends with the centre's namespace."""
        centre = self._network.vantages["centre"]
        server = str(Path(__file__).with_name("time_server.py"))
        argv = centre.exec_argv([sys.executable, "-I", server, centre.address])
        return subprocess.Popen(argv, stdin=subprocess.DEVNULL, start_new_session=True)

    def _take_name(self, wanted: str) -> tuple[str, int]:
        with self._guard:
            name, count = wanted, 2
            while name in self._names:
                name = f"{wanted}-{count}"
                count += 1
            self._names.append(name)
            return name, 9 + len(self._names)

    def _make(self, name: str, number: int, role: Role, stack: Stack) -> Host:
        place = disk_directory(self.number) / name
        namespace, address, address6 = self._network.add_host(name, number)
        words = words_for(address, address6)
        keys = prepare_host(self._cache, stack, place, name=name, role=role, words=words, access=self._access)
        nobody = Process(pid=0, started=0)
        return Host(
            name=name,
            role=role,
            address=address,
            address6=address6,
            namespace=namespace,
            init=nobody,
            keeper=nobody,
            directory=place,
            group=cgroup_root() / prefix_of(self.number) / name,
            ssh_config_file=self._access.write_config(name, address, role.ssh_port, keys),
            ops_password=self._access.ops_password,
            centre=self.centre,
        )

    def _switch_on(self, host: Host, stack: Stack) -> Host:
        started, keeper = switch_on(host, stack)
        with self._guard:
            self._keepers[host.name] = keeper
            self.hosts[host.name] = started
            write_state(self.number, self.hosts.values(), kept=self._is_kept)
        return started

    def _switch_off(self, host: Host) -> None:
        switch_off(host)
        keeper = self._keepers.pop(host.name, None)
        if keeper is not None:
            keeper.wait(timeout=20)


def build_layers(cache: RootCache, role: Role) -> Stack:
    """The layers under a host of `role`: taken from the cache, or built into it."""
    base = _BASE_PACKAGES[role.init]
    below = build_layers(cache, load_role(role.above)) if role.above else cache.with_packages(cache.base(role.suite), base)
    return cache.with_packages(below, role.packages, debconf=role.debconf, bake=role.bake)
