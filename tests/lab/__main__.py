"""`python -m tests.lab`: hosts to look at by hand.

up ROLE…             start hosts that stay until `down`
list                 the roles, and the hosts that stay
run HOST COMMAND…    run a program as root inside a host
shell HOST           a root shell inside a host
ssh HOST [COMMAND…]  log in over the lab's network from the centre; ops@HOST for the other account
at PLACE COMMAND…    run a program of this machine at centre, campus or external
build [ROLE…]        build the layers of these roles (all by default) and start nothing
down                 stop and remove all hosts that stay
clean                remove what killed labs left, and the cache with all layers
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from typing import NoReturn

from tests.lab.errors import LabError
from tests.lab.host import Host
from tests.lab.lab import Lab, build_layers
from tests.lab.network import Network
from tests.lab.role import load_role, role_names
from tests.lab.rootfs import RootCache
from tests.lab.tools import require_tools
from tests.lab.traces import clean_up_stale, kept_numbers, living_numbers, prefix_of, read_hosts, remove_lab


def main(argv: Sequence[str]) -> int:
    """Do what the first word says; returns the exit status."""
    match list(argv):
        case ["up", *roles] if roles:
            return _up(roles)
        case ["list"]:
            return _list()
        case ["run", name, *command] if command:
            return _become(_find_host(name).exec_argv(command))
        case ["shell", name]:
            return _become(_find_host(name).exec_argv(["/bin/bash", "-l"]))
        case ["ssh", name, *command]:
            return _ssh(name, command)
        case ["at", place, *command] if command:
            return _at(place, command)
        case ["build", *roles]:
            return _build(roles or role_names())
        case ["down"]:
            return _down()
        case ["prune"]:
            return _prune()
        case _:
            print(__doc__, file=sys.stderr)
            return 2


def _up(roles: Sequence[str]) -> int:
    with Lab() as lab:
        for host in lab.start_all(roles):
            print(f"{host.name}  {host.address}  ssh -F {host.ssh_config_file} {host.name}")
        lab.keep()
    return 0


def _list() -> int:
    for name in role_names():
        role = load_role(name)
        print(f"{name:24} {role.suite:9} {role.title}")
    for number in kept_numbers():
        for host in _hosts_of(number).values():
            print(f"running: {host.name}  {host.address}")
    return 0


def _build(roles: Sequence[str]) -> int:
    require_tools()
    cache = RootCache()
    for name in roles:
        begun = time.monotonic()
        build_layers(cache, load_role(name))
        print(f"{name}: {time.monotonic() - begun:.1f} s")
    return 0


def _prune() -> int:
    if living_numbers():
        raise LabError("a lab is running, and its hosts stand on these layers: try again after it")
    cache = RootCache()
    for name in cache.prune([build_layers(cache, load_role(role)) for role in role_names()]):
        print(f"removed {name}")
    return 0


def _down() -> int:
    for number in kept_numbers():
        remove_lab(number)
    clean_up_stale()
    return 0


def _ssh(name: str, command: Sequence[str]) -> int:
    user, _, host_name = name.rpartition("@")
    host = _find_host(host_name)
    target = f"{user or 'root'}@{host.name}"
    words = ["ssh", "-F", str(host.ssh_config_file), target, *command]
    return _become(host.centre.exec_argv(words))


def _at(place: str, command: Sequence[str]) -> int:
    for number in kept_numbers():
        vantages = Network(prefix_of(number)).vantages
        if place not in vantages:
            raise LabError(f"{place}: not one of {', '.join(vantages)}")
        return _become(vantages[place].exec_argv(command))
    raise LabError("no lab is up: start one with `python -m tests.lab up ROLE`")


def _find_host(name: str) -> Host:
    for number in kept_numbers():
        host = _hosts_of(number).get(name)
        if host is not None:
            return host
    raise LabError(f"{name}: no such host is up; see `python -m tests.lab list`")


def _hosts_of(number: int) -> dict[str, Host]:
    return read_hosts(number, Network(prefix_of(number)).vantages["centre"])


def _become(argv: Sequence[str]) -> NoReturn:
    os.execvp(argv[0], list(argv))


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except LabError as error:
        sys.exit(f"lab: {error}")
