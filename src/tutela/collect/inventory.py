"""Inventories: Ansible INI, Ansible YAML, CSV.

Only names, addresses, ports and users are read; nothing is executed, no variable is expanded, and unknown variables are passed over as Ansible does.
"""

from __future__ import annotations

import csv
import io
import re
import shlex
from collections.abc import Iterator
from typing import Any

from tutela.collect.target import SshTarget, ssh_target
from tutela.documents import Node, read_yaml
from tutela.errors import ContentError, UsageError
from tutela.language import Text
from tutela.record import field, record

MAX_HOSTS = 200_000
_RANGE = re.compile(r"\[([0-9]{1,9}|[a-z]|[A-Z]):([0-9]{1,9}|[a-z]|[A-Z])(?::([0-9]{1,9}))?\]")
_SECTION = re.compile(r"\[([^\]:]+)(?::(children|vars))?\]\s*(?:[#;].*)?")
_BRACKETS = re.compile(r"\[([0-9A-Fa-f:.]+)\](?::([0-9]+))?")
MAX_DEPTH = 50
"""Of groups within groups."""

Variables = dict[str, str]


@record
class _Groups:
    """What an Ansible inventory says, whichever way it is written."""

    file: str
    hosts: dict[str, tuple[Variables, int]] = field(default_factory=dict)
    """Own variables, and the line."""
    members: dict[str, list[str]] = field(default_factory=dict)
    children: dict[str, list[str]] = field(default_factory=dict)
    variables: dict[str, Variables] = field(default_factory=dict)

    def add(self, group: str, pattern: str, variables: Variables, line: int) -> None:
        """A host, or a range of hosts, in a group."""
        brackets = _BRACKETS.fullmatch(pattern)
        port = None
        if brackets is not None:
            pattern, port = brackets[1], brackets[2]
        elif not pattern.endswith("]"):
            # A single colon outside a range is a port; more of them are an address.
            plain = _RANGE.sub("", pattern)
            if plain.count(":") == 1:
                pattern, _, port = pattern.rpartition(":")
        if port is not None:
            variables = {"ansible_port": port} | variables
        for name in _expanded(pattern, self.file, line):
            self.hosts.setdefault(name, ({}, line))[0].update(variables)
            self.members.setdefault(group, []).append(name)
            if len(self.hosts) > MAX_HOSTS or len(self.members[group]) > 2 * MAX_HOSTS:
                raise ContentError(Text(f"超过 {MAX_HOSTS} 台主机", f"more than {MAX_HOSTS} hosts"), file=self.file, line=line, column=1)

    def targets(self) -> dict[str, SshTarget]:
        """Every host with the variables of its groups; a child's win over its parent's, the host's own over all."""
        inherited: dict[str, Variables] = {name: dict(self.variables.get("all", {})) for name in self.hosts}
        for group in sorted(self.variables, key=self._depths().__getitem__):
            for name in self._below(group):
                inherited[name].update(self.variables[group])
        return {name: _target(name, inherited[name] | variables, self.file, line) for name, (variables, line) in self.hosts.items()}

    def _depths(self) -> dict[str, int]:
        """How deep each group lies; a group within itself ends at MAX_DEPTH."""
        depths = dict.fromkeys([*self.variables, *self.children, *(kid for kids in self.children.values() for kid in kids)], 1)
        depths["all"] = 0
        for _ in range(MAX_DEPTH):
            before = dict(depths)
            for parent, kids in self.children.items():
                for kid in kids:
                    depths[kid] = max(depths[kid], depths[parent] + 1)
            if depths == before:
                break
        return depths

    def _below(self, group: str) -> list[str]:
        if group == "all":
            return []
        seen = {group}
        todo = [group]
        names: list[str] = []
        while todo:
            one = todo.pop()
            names += self.members.get(one, [])
            fresh = [kid for kid in self.children.get(one, []) if kid not in seen]
            seen.update(fresh)
            todo += fresh
        return names


def read_inventory(raw: bytes, file: str) -> list[SshTarget]:
    """The hosts of an inventory, each once, in the order of the file.

    Raises ContentError with file:line for what cannot be read, and for an inventory without hosts.
    """
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ContentError(Text("不是 UTF-8 文本", "not UTF-8 text"), file=file) from None
    lower = file.lower()
    if lower.endswith(".csv"):
        found = _csv(text, file)
    elif lower.endswith((".yml", ".yaml")):
        found = _yaml(text, file)
    else:
        found = _ini(text, file)
    if not found:
        raise ContentError(Text("清单里没有任何主机", "the inventory names no host"), file=file)
    return list(found.values())


def _target(name: str, variables: Variables, file: str, line: int) -> SshTarget:
    host = variables.get("ansible_host") or variables.get("ansible_ssh_host") or name
    user = variables.get("ansible_user") or variables.get("ansible_ssh_user") or None
    port = variables.get("ansible_port") or variables.get("ansible_ssh_port") or ""
    if not name.isprintable():
        raise ContentError(Text(f"主机名 {name!r} 含不可见字符", f"the name {name!r} has characters that cannot be printed"), file=file, line=line, column=1)
    if port and not re.fullmatch(r"[0-9]{1,9}", port):
        raise ContentError(Text(f"{name} 的端口 {port!r} 不是数字", f"the port {port!r} of {name} is no number"), file=file, line=line, column=1)
    try:
        return ssh_target(name, host, user, int(port) if port else None)
    except UsageError as problem:
        raise ContentError(problem.message, file=file, line=line, column=1) from None


def _ini(text: str, file: str) -> dict[str, SshTarget]:
    groups = _Groups(file)
    group, kind = "ungrouped", ""
    for number, line in enumerate(text.split("\n"), 1):
        line = line.strip()
        if not line or line[0] in "#;":
            continue
        section = _SECTION.fullmatch(line)
        if section:
            group, kind = section[1], section[2] or ""
        elif kind == "children":
            groups.children.setdefault(group, []).append(line.split()[0])
        elif kind == "vars":
            key, _, value = line.partition("=")
            groups.variables.setdefault(group, {})[key.strip()] = value.strip().strip("\"'")
        else:
            try:
                words = shlex.split(line, comments=True)
            except ValueError as problem:
                raise ContentError(Text(f"引号不成对：{problem}", f"quotes do not match: {problem}"), file=file, line=number, column=1) from None
            if words:
                groups.add(group, words[0], dict(word.split("=", 1) for word in words[1:] if "=" in word), number)
    return groups.targets()


def _expanded(pattern: str, file: str, line: int) -> Iterator[str]:
    """`web[01:03].example` -> web01.example, web02.example, web03.example."""
    found = _RANGE.search(pattern)
    if found is None:
        yield pattern
        return
    first, last, step = found[1], found[2], int(found[3] or 1)
    if first.isdigit() is not last.isdigit() or step < 1:
        raise ContentError(Text(f"看不懂的范围 {found[0]}", f"the range {found[0]} makes no sense"), file=file, line=line, column=1)
    if first.isdigit():
        low, high = int(first), int(last)
        if high - low > MAX_HOSTS:
            raise ContentError(Text(f"范围 {found[0]} 过大", f"the range {found[0]} is too large"), file=file, line=line, column=1)
        words = [str(value).zfill(len(first)) for value in range(low, high + 1, step)]
    else:
        words = [chr(value) for value in range(ord(first), ord(last) + 1, step)]
    for word in words:
        yield from _expanded(pattern[: found.start()] + word + pattern[found.end() :], file, line)


def _yaml(text: str, file: str) -> dict[str, SshTarget]:
    document = read_yaml(text.encode(), file)
    groups = _Groups(file)

    def read(name: str, node: Node) -> None:
        if node.data is None:
            return
        node.mapping()
        groups.variables.setdefault(name, {}).update(_words(node.get("vars", {})))
        if node.has("hosts") and node.get("hosts").data is not None:
            for pattern, host in node.get("hosts").items():
                groups.add(name, pattern, _words(host) if host.data is not None else {}, document.marks.get(host.path, (0, 0))[0])
        if node.has("children") and node.get("children").data is not None:
            for child, below in node.get("children").items():
                groups.children.setdefault(name, []).append(child)
                read(child, below)

    if document.root.data is not None:
        for name, node in document.root.items():
            read(name, node)
    return groups.targets()


def _words(node: Node) -> Variables:
    return {key: str(value.data) for key, value in node.items() if isinstance(value.data, (str, int))} if node.data is not None else {}


def _csv(text: str, file: str) -> dict[str, SshTarget]:
    """Columns `host`, and optionally `name`, `user`, `port`; the first line names them."""
    # newline=None reads the line ends of every system alike.
    rows = csv.DictReader(io.StringIO(text, newline=None))
    try:
        return _rows(rows, file)
    except csv.Error as problem:
        raise ContentError(Text(f"CSV 写法有误：{problem}", f"not valid CSV: {problem}"), file=file, line=rows.line_num or 1, column=1) from None


def _rows(rows: csv.DictReader[str], file: str) -> dict[str, SshTarget]:
    columns = [name.strip().lower() for name in rows.fieldnames or ()]
    if "host" not in columns:
        raise ContentError(
            Text("第一行应有 host 列（可另有 name、user、port）", "the first line must name a column host (and may name name, user, port)"),
            file=file,
            line=1,
            column=1,
        )
    rows.fieldnames = columns
    made: dict[str, SshTarget] = {}
    row: dict[str, Any]
    for row in rows:
        host = (row.get("host") or "").strip()
        if not host:
            continue
        name = (row.get("name") or "").strip() or host
        variables = {"ansible_host": host, "ansible_user": (row.get("user") or "").strip(), "ansible_port": (row.get("port") or "").strip()}
        if name in made:
            raise ContentError(Text(f"名称 {name!r} 重复", f"the name {name!r} occurs twice"), file=file, line=rows.line_num, column=1)
        made[name] = _target(name, variables, file, rows.line_num)
        if len(made) > MAX_HOSTS:
            raise ContentError(Text(f"超过 {MAX_HOSTS} 台主机", f"more than {MAX_HOSTS} hosts"), file=file, line=rows.line_num, column=1)
    return made
