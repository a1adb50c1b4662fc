"""What a host shall be: a role, read from a TOML file in `roles/`.

A role is data. Keys (all but `title` and `suite` may be left out):

    title      one sentence: what this host is for
    suite      bullseye, bookworm or trixie
    init       "systemd", or "bare" for a host without it (then `start` is its PID 1, a sh script)
    packages   Debian packages beyond the set that each host of its kind has
    above      a role whose packages this one has as well: its layers are used, its files are not
    debconf    answers for them, debconf-set-selections(1)
    bake       sh text run once, when the packages' layer is built: for what is slow
    prepare    sh text run before each start, in the host's file system, without network
    live       sh text run in the host after systemd has come up
    ops_sudo   "none", "password" or "nopasswd": what the account `ops` may do
    ssh_port   the port of sshd
    ssh_wait   false if nobody can reach sshd at first (port knocking)
    [[file]]   path, text, mode (octal string, "644"), owner ("root:root")

In `text`, `prepare` and `live` these words stand for addresses: @ADDRESS@ @ADDRESS6@ (the host's),
@CENTRE@ @LOG_SERVER@ @ADMIN@ @ADMIN6@ @CAMPUS@ @CAMPUS6@.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, fields
from pathlib import Path

from tests.lab.errors import RoleError

__all__ = ["Role", "RoleFile", "load_role", "role_names"]

_ROLES = Path(__file__).with_name("roles")
_SUITES = ("bullseye", "bookworm", "trixie")


@dataclass(frozen=True, slots=True, kw_only=True)
class RoleFile:
    """A file that the host has, written over whatever its packages brought."""

    path: str
    text: str
    mode: str = "644"
    owner: str = "root:root"


@dataclass(frozen=True, slots=True, kw_only=True)
class Role:
    """One kind of host; the module's docstring says what each field means."""

    name: str
    title: str
    suite: str
    init: str = "systemd"
    packages: tuple[str, ...] = ()
    above: str = ""
    debconf: str = ""
    bake: str = ""
    prepare: str = ""
    live: str = ""
    start: str = ""
    ops_sudo: str = "nopasswd"
    ssh_port: int = 22
    ssh_wait: bool = True
    files: tuple[RoleFile, ...] = ()


def role_names() -> list[str]:
    """The roles there are, sorted."""
    return sorted(path.stem for path in _ROLES.glob("*.toml"))


def load_role(name: str) -> Role:
    """Read `roles/<name>.toml`. Raises RoleError if it is not there or not understood."""
    path = _ROLES / f"{name}.toml"
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise RoleError(f"{name}: no such role; there are: {', '.join(role_names())}") from None
    except tomllib.TOMLDecodeError as error:
        raise RoleError(f"{path.name}: {error}") from error
    files = tuple(_read_file(path.name, entry) for entry in data.pop("file", []))
    unknown = data.keys() - {field.name for field in fields(Role)} - {"name", "files"}
    if unknown:
        raise RoleError(f"{path.name}: unknown key {min(unknown)!r}")
    data["packages"] = tuple(data.get("packages", ()))
    role = Role(name=name, files=files, **data)
    if role.suite not in _SUITES:
        raise RoleError(f"{path.name}: suite is {role.suite!r}, not one of {', '.join(_SUITES)}")
    if role.ops_sudo not in ("none", "password", "nopasswd"):
        raise RoleError(f"{path.name}: ops_sudo is {role.ops_sudo!r}")
    if (role.init == "bare") != bool(role.start) or role.init not in ("systemd", "bare"):
        raise RoleError(f'{path.name}: init = "bare" and start belong together')
    return role


def _read_file(name: str, entry: dict[str, str]) -> RoleFile:
    try:
        return RoleFile(**entry)
    except TypeError as error:
        raise RoleError(f"{name}: [[file]] {entry.get('path')}: {error}") from error
