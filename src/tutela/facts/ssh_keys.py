"""Whose keys open this host, how strong they are, and whether somebody else could plant or read one.

Sources: sshd(8) AUTHORIZED_KEYS FILE FORMAT and FILES; the probe keeps type, length and names of options of each key, never the key.
"""

from __future__ import annotations

import re

from tutela.evidence import Reason, Status, Unobserved
from tutela.facts import accounts, ssh_servers
from tutela.facts.accounts import Account, Group
from tutela.facts.look import Look
from tutela.facts.ssh_servers import FileMode
from tutela.facts.unseen import unseen
from tutela.language import Text
from tutela.record import record

NEEDS = (*accounts.NEEDS, *ssh_servers.NEEDS)
WRITABLE = 0o022
MIN_RSA = 2048
GOOD_RSA = 3072


@record
class Key:
    """Key(user='ops', file='/home/ops/.ssh/authorized_keys', line=1, type='ssh-rsa', bits=3072, options=('from="192.0.2.0/24"',), weak=False)"""

    user: str
    file: str
    line: int
    type: str
    bits: int | None
    """Of RSA from the length of the key; of other types as the type says; None when neither tells."""
    options: tuple[str, ...]
    weak: bool
    """DSA, or RSA below 2048 bits."""
    advised: bool
    """RSA below 3072 bits: replace when convenient."""


@record
class Problem:
    """Problem(path='/home/ops/.ssh', kind='writable', mode='775', owner=1000, user='ops')"""

    path: str
    kind: str
    """writable (by group or others) | owner (neither root nor the account) | readable (a private key)"""
    mode: str
    owner: int
    user: str
    keys_file: bool
    """A file with public keys, and not a directory above it."""


@record
class SshKeys:
    """SshKeys(keys=(Key(…),), problems=(), users=('ops',), host_keys=('/etc/ssh/ssh_host_ed25519_key',))"""

    keys: tuple[Key | Unobserved, ...]
    problems: tuple[Problem | Unobserved, ...]
    """Of homes, ~/.ssh, files with keys, and host keys; a home that was not looked into (on the network) is a hole."""
    users: tuple[str, ...]
    """Accounts with keys."""
    host_keys: tuple[str, ...]

    def of(self, user: str) -> tuple[Key | Unobserved, ...]:
        """The keys of one account; what could not be read stays a hole."""
        return tuple(one for one in self.keys if isinstance(one, Unobserved) or one.user == user)


def parse(look: Look) -> SshKeys | Unobserved:
    """The fact; without accounts there is none."""
    people = look.fact(accounts.ageless)
    if isinstance(people, Unobserved):
        return people
    modes = look.fact(ssh_servers.files)
    keys: list[Key | Unobserved] = []
    problems: list[Problem | Unobserved] = [modes] if isinstance(modes, Unobserved) else []
    places = look.fact(accounts.key_places).patterns
    for account in people.accounts:
        if not account.login_shell or not account.home.startswith("/"):
            continue
        for file in accounts.places_of(account.name, account.uid, account.home, places):
            status = look.source(file).status
            # Where there is no sshd, nobody asks for these files.
            if status is Status.ABSENT or (status is Status.MISSING and look.source(ssh_servers.EFFECTIVE).status is Status.ABSENT):
                continue
            lines = look.lines(file)
            if isinstance(lines, Unobserved):
                keys.append(lines)
                problems.append(lines)
                continue
            keys += _keys(account.name, file, lines)
            if isinstance(modes, dict):
                problems += _planted(account, file, modes)
    hosts = _host_keys(look)
    if (doubt := unseen(look, ssh_servers.EFFECTIVE)) is not None:
        problems.append(doubt)  # which keys the server shows, and where it looks for those of people
    if isinstance(modes, dict):
        problems += [problem for path in hosts if path in modes for problem in _readable(modes[path], people.groups)]
    with_keys = tuple(dict.fromkeys(one.user for one in keys if isinstance(one, Key)))
    return SshKeys(tuple(keys), tuple(dict.fromkeys(problems)), with_keys, hosts)


_KEY = re.compile(r"(?:(\S+) )?((?:ssh-|ecdsa-|sk-)[A-Za-z0-9@.-]+) length=([0-9]{1,6})")


def _keys(user: str, file: str, lines: list[str]) -> list[Key | Unobserved]:
    found: list[Key | Unobserved] = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        match = _KEY.fullmatch(line)
        if match is None:
            if line == "unreadable line":
                continue  # sshd ignores it as well
            found.append(Unobserved(Reason.FORMAT, file, Text(f"第 {number} 行无法理解", f"line {number} is not understood")))
            continue
        kind = match[2]
        bits = _bits(kind, int(match[3]))
        options = tuple(re.findall(r'[A-Za-z][A-Za-z0-9-]*(?:="[^"]*"|=\*\*\*)?', match[1] or ""))
        rsa = kind.startswith("ssh-rsa")
        weak = kind.startswith("ssh-dss") or (rsa and bits is not None and bits < MIN_RSA)
        found.append(Key(user, file, number, kind, bits, options, weak, not weak and rsa and bits is not None and bits < GOOD_RSA))
    return found


def _bits(kind: str, length: int) -> int | None:
    """Bits from the number of base64 characters: type, exponent and modulus, each behind four bytes of length."""
    if kind.startswith("ssh-rsa") and "cert" not in kind:
        modulus = length * 3 // 4 - (4 + 7) - (4 + 3) - 4
        return max(0, round(modulus * 8 / 128) * 128)
    for word, bits in (("ed25519", 256), ("nistp256", 256), ("nistp384", 384), ("nistp521", 521), ("ssh-dss", 1024)):
        if word in kind:
            return bits
    return None


def _planted(account: Account, file: str, modes: dict[str, FileMode]) -> list[Problem]:
    """StrictModes: home, ~/.ssh and the file belong to root or the account, and nobody else may write to them."""
    home = account.home.rstrip("/")
    paths = [file]
    if file.startswith(f"{home}/"):
        paths += [file.rpartition("/")[0], home]
    found = []
    for path in dict.fromkeys(paths):
        one = modes.get(path)
        if one is None:
            continue
        if one.mode & WRITABLE:
            found.append(Problem(path, "writable", f"{one.mode:o}", one.uid, account.name, path == file))
        if one.uid not in (0, account.uid):
            found.append(Problem(path, "owner", f"{one.mode:o}", one.uid, account.name, path == file))
    return found


def _host_keys(look: Look) -> tuple[str, ...]:
    said = look.fact(ssh_servers.Effective(ssh_servers.EFFECTIVE))
    if isinstance(said, Unobserved):
        return ()
    return tuple(said.get("hostkey", "").split())


def _readable(one: FileMode, groups: tuple[Group, ...] | Unobserved) -> list[Problem | Unobserved]:
    """A private host key is its owner's alone; the Red Hat family lets the group ssh_keys, which has no members, read it (mode 640)."""
    others = bool(one.mode & 0o037)
    if not others and one.uid == 0 and one.mode & 0o040 and one.gid != 0:
        if isinstance(groups, Unobserved):
            return [groups]
        others = not any(group.gid == one.gid and group.name == "ssh_keys" and not group.members for group in groups)
    if others or one.uid != 0:
        return [Problem(one.path, "readable" if others else "owner", f"{one.mode:o}", one.uid, "root", False)]
    return []
