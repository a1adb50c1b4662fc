"""What a lab leaves on the machine while it lives, and how to remove all of it.

Each lab takes a free number and holds a lock on it; everything it makes outside the layers' cache
bears the prefix `tutela-lab-<number>`. A number whose lock is free, but whose things are still
there, belonged to a lab that was killed (or was kept on purpose: its state file says so).
"""

from __future__ import annotations

import fcntl
import json
import shutil
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any, TextIO

from tests.lab.errors import LabError
from tests.lab.host import Host
from tests.lab.network import Vantage, delete_namespace, list_namespaces
from tests.lab.processes import (
    Process,
    cgroup_root,
    end_cgroup,
    end_namespace_users,
    end_processes,
)
from tests.lab.role import load_role
from tests.lab.rootfs import cache_directory

__all__ = [
    "PREFIX",
    "clean_up_stale",
    "disk_directory",
    "kept_numbers",
    "living_numbers",
    "prefix_of",
    "read_hosts",
    "remove_lab",
    "run_directory",
    "take_number",
    "write_state",
]

PREFIX = "tutela-lab"
_RUN = Path("/run") / PREFIX
_MOST = 1000


def prefix_of(number: int) -> str:
    """How the names of everything of lab `number` begin."""
    return f"{PREFIX}-{number}"


def run_directory(number: int) -> Path:
    """Its state, its key and its ssh configurations."""
    return _RUN / str(number)


def disk_directory(number: int) -> Path:
    """The overlays of its hosts."""
    return cache_directory() / "hosts" / str(number)


def take_number() -> tuple[int, TextIO]:
    """Lock the first free number. The lock lasts until the returned file is closed."""
    for number in range(_MOST):
        lock = _try_lock(number)
        if lock is None:
            continue
        if _is_kept(number):
            lock.close()
            continue
        run_directory(number).mkdir(mode=0o700, exist_ok=True)
        return number, lock
    raise LabError(f"more than {_MOST} labs at once: see {_RUN}")


def clean_up_stale() -> list[int]:
    """Remove what killed labs left; returns their numbers. Living and kept labs stay."""
    cleaned = []
    for number in sorted(_numbers_with_traces()):
        lock = _try_lock(number)
        if lock is None:
            continue
        with lock:
            if not _is_kept(number):
                remove_lab(number)
                cleaned.append(number)
    return cleaned


def living_numbers() -> list[int]:
    """The labs that run now: in some process, or kept."""
    living = []
    for number in sorted(_numbers_with_traces()):
        lock = _try_lock(number)
        if lock is not None:
            lock.close()
        if lock is None or _is_kept(number):
            living.append(number)
    return living


def kept_numbers() -> list[int]:
    """The labs that were started to outlive their process."""
    return [number for number in sorted(_numbers_with_traces()) if _is_kept(number)]


def remove_lab(number: int) -> None:
    """End and remove everything of lab `number`; the caller holds its lock."""
    recorded = []
    for entry in _read_state(number).get("hosts", []):
        recorded += [Process(**entry["keeper"]), Process(**entry["init"])]
    end_processes(recorded)
    try:
        end_cgroup(cgroup_root() / prefix_of(number))
    finally:
        for namespace in list_namespaces(f"{prefix_of(number)}-"):
            end_namespace_users(namespace)
            delete_namespace(namespace)
        shutil.rmtree(disk_directory(number), ignore_errors=True)
        shutil.rmtree(run_directory(number), ignore_errors=True)


def write_state(number: int, hosts: Iterable[Host], *, kept: bool) -> None:
    """Record which processes belong to the lab, before anything can go wrong with them."""
    entries = [
        {
            "name": host.name,
            "role": host.role.name,
            "ops_sudo": host.role.ops_sudo,
            "address": host.address,
            "address6": host.address6,
            "namespace": host.namespace,
            "init": asdict(host.init),
            "keeper": asdict(host.keeper),
            "directory": str(host.directory),
            "group": str(host.group),
            "ssh_config_file": str(host.ssh_config_file),
            "ops_password": host.ops_password,
        }
        for host in hosts
    ]
    state = run_directory(number) / "state.json"
    fresh = state.with_suffix(".new")
    fresh.touch(mode=0o600)
    fresh.write_text(json.dumps({"kept": kept, "hosts": entries}, indent=1))
    fresh.replace(state)


def read_hosts(number: int, centre: Vantage) -> dict[str, Host]:
    """The hosts of a lab that another process started, by name."""
    hosts = {}
    for entry in _read_state(number).get("hosts", []):
        values = dict(entry)
        values.pop("ops_sudo")
        values["role"] = load_role(entry["role"])
        for key in ("init", "keeper"):
            values[key] = Process(**entry[key])
        for key in ("directory", "group", "ssh_config_file"):
            values[key] = Path(entry[key])
        hosts[entry["name"]] = Host(**values, centre=centre)
    return hosts


def _try_lock(number: int) -> TextIO | None:
    # The file stays for ever: a lock on a file that somebody removes is no lock.
    _RUN.mkdir(mode=0o700, exist_ok=True)
    lock = (_RUN / f"{number}.lock").open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        return None
    return lock


def _numbers_with_traces() -> set[int]:
    names = list_namespaces(f"{PREFIX}-")
    names += [path.name for path in cgroup_root().glob(f"{PREFIX}-*")]
    numbers = {name.removeprefix(f"{PREFIX}-").partition("-")[0] for name in names}
    for place in (_RUN, cache_directory() / "hosts"):
        if place.is_dir():
            numbers |= {path.name for path in place.iterdir() if path.is_dir()}
    return {int(number) for number in numbers if number.isdigit()}


def _is_kept(number: int) -> bool:
    state = _read_state(number)
    living = [Process(**entry["init"]).is_alive for entry in state.get("hosts", [])]
    return bool(state.get("kept")) and any(living)


def _read_state(number: int) -> dict[str, Any]:
    try:
        state = json.loads((run_directory(number) / "state.json").read_text())
    except (OSError, ValueError):
        return {}
    return state if isinstance(state, dict) else {}
