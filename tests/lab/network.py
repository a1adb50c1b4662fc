"""The lab's network: one segment, three places to stand on it, and a network namespace a host.

    centre ─┐
    campus ─┼─ bridge (inside the centre's namespace) ─┬─ host 1
    external┘                                          └─ host 2 …

All of it is in namespaces that the lab made; there is no route out and no link to the machine.
Every address is on the same link (198.18.0.0/15, and 2001:db8::/32), so a host meets its
neighbours directly and a firewall rule sees the real source address.
"""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.lab.command import run

__all__ = ["ADMIN", "ADMIN6", "CAMPUS", "CAMPUS6", "CENTRE", "LOG_SERVER", "Network", "Vantage", "delete_namespace", "list_namespaces"]

ADMIN = "198.18.0.0/24"
"""The administrators' prefix: the centre stands in it."""
ADMIN6 = "2001:db8:0:ad::/64"
CAMPUS = "198.18.0.0/16"
"""The whole campus: administrators, hosts and ordinary desks."""
CAMPUS6 = "2001:db8:0::/48"
CENTRE = "198.18.0.1"
"""The centre's own address."""
LOG_SERVER = "198.18.0.5"
"""A second address of the centre: hosts forward their logs there."""

_PLACES = {
    "centre": (CENTRE, "2001:db8:0:ad::1"),
    "campus": ("198.18.77.7", "2001:db8:0:77::7"),
    "external": ("198.19.7.7", "2001:db8:1900::7"),
}
_BRIDGE = "br0"


@dataclass(frozen=True, slots=True)
class Vantage:
    """A place in the network from which programs can be run."""

    name: str
    """`centre`, `campus` or `external`."""
    namespace: str
    """The name that `ip netns` knows it by."""
    address: str
    address6: str

    def exec_argv(self, argv: Sequence[str]) -> list[str]:
        """`argv` prefixed so that it runs here: same files and user, this network."""
        return ["ip", "netns", "exec", self.namespace, *argv]

    def run(
        self,
        argv: Sequence[str],
        *,
        stdin: str | bytes | None = None,
        check: bool = True,
        timeout_s: float = 60,
    ) -> subprocess.CompletedProcess[str]:
        """Run `argv` here to its end. Raises CommandError on a bad end unless `check` is off."""
        return run(self.exec_argv(argv), stdin=stdin, check=check, timeout_s=timeout_s)


class Network:
    """The namespaces of one lab. `prefix` starts the name of each of them."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self.vantages = {name: Vantage(name, f"{prefix}-{name}", *addresses) for name, addresses in _PLACES.items()}

    def create(self) -> None:
        """Make the bridge and the three places; nothing of that name may exist yet."""
        centre = self.vantages["centre"]
        for vantage in self.vantages.values():
            _add_namespace(vantage.namespace)
        setup = [f"link add {_BRIDGE} type bridge", f"link set {_BRIDGE} up"]
        setup += [f"addr add {centre.address}/15 dev {_BRIDGE}"]
        setup += [f"addr add {LOG_SERVER}/15 dev {_BRIDGE}"]
        setup += [f"addr add {centre.address6}/32 dev {_BRIDGE} nodad"]
        _batch(centre.namespace, setup)
        for name in ("campus", "external"):
            vantage = self.vantages[name]
            self._attach(vantage.namespace, name, vantage.address, vantage.address6)

    def add_host(self, name: str, number: int) -> tuple[str, str, str]:
        """Give host `name` a namespace; returns its name and its two addresses."""
        namespace = f"{self._prefix}-{name}"
        address, address6 = f"198.18.1.{number}", f"2001:db8:0:1::{number:x}"
        _add_namespace(namespace)
        self._attach(namespace, f"host{number}", address, address6)
        return namespace, address, address6

    def _attach(self, namespace: str, port: str, address: str, address6: str) -> None:
        centre = self.vantages["centre"].namespace
        _batch(
            centre,
            [
                f"link add {port} type veth peer name eth0 netns {namespace}",
                f"link set {port} master {_BRIDGE} up",
            ],
        )
        _batch(
            namespace,
            [
                "link set eth0 up",
                f"addr add {address}/15 brd + dev eth0",
                f"addr add {address6}/32 dev eth0 nodad",
            ],
        )


def list_namespaces(prefix: str) -> list[str]:
    """Names of the machine's network namespaces that start with `prefix`."""
    place = Path("/run/netns")
    if not place.is_dir():
        return []
    return sorted(entry.name for entry in place.iterdir() if entry.name.startswith(prefix))


def delete_namespace(name: str) -> None:
    """Remove a network namespace of the lab; one that is already gone is no error."""
    run(["ip", "netns", "delete", name], check=False)


def _add_namespace(name: str) -> None:
    run(["ip", "netns", "add", name])
    _batch(name, ["link set lo up"])


def _batch(namespace: str, lines: Sequence[str]) -> None:
    run(["ip", "-n", namespace, "-batch", "-"], stdin="\n".join(lines) + "\n")
