"""Inventories: Ansible INI, Ansible YAML, CSV.

Only names, addresses, ports and users are read; nothing is executed, decrypted or expanded, and unknown variables are passed over as Ansible does.
"""

from __future__ import annotations

import csv
import io
import re
import shlex
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from tutela.collect.inventory_variables import Beside, Variables
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

_ANSIBLE_TAGS = frozenset({"!vault", "!unsafe"})
"""Tags of Ansible's own; what they mark is read as the text it is."""
_NOT_PLAIN = ("{{", "$ANSIBLE_VAULT")
"""What a template or an encrypted value holds."""
UNUSED = ("ansible_ssh_private_key_file", "ansible_private_key_file", "ansible_ssh_common_args", "ansible_ssh_extra_args", "ansible_ssh_args")
"""Variables without which Ansible would not get in, and which belong into ssh_config(5) here: they may hold any option, commands included."""
_WORKBOOKS = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")
_COLUMNS = {"主机": "host", "名称": "name", "用户": "user", "端口": "port"}


@record
class Inventory:
    """What an inventory names."""

    targets: tuple[SshTarget, ...]
    """Each host once, in the order of the file."""
    unused: dict[str, int]
    """Variables of UNUSED, and of how many hosts."""


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

    def inventory(self, beside: Beside) -> Inventory:
        """Every host with the variables of its groups; a child's win over its parent's, the host's own over all.

        Files beside the inventory win over the inventory itself, for groups and for hosts (Ansible's VARIABLE_PRECEDENCE).
        """
        depths = self._depths()
        groups = sorted(depths, key=lambda group: (depths[group], group))[1:]
        given: dict[str, Variables] = {name: {} for name in self.hosts}
        for members, own in (
            *((group, self.variables.get(group, {})) for group in ("all", *groups)),
            *((group, beside.group(group)) for group in ("all", *groups)),
        ):
            for name in (given if members == "all" else self._below(members)) if own else ():
                given[name].update(own)
        for name, (own, _) in self.hosts.items():
            given[name] |= own | beside.host(name)
        targets = tuple(_target(name, variables, self.file, self.hosts[name][1]) for name, variables in given.items())
        unused = {key: sum(1 for variables in given.values() if variables.get(key)) for key in UNUSED}
        return Inventory(targets, {key: count for key, count in unused.items() if count})

    def _depths(self) -> dict[str, int]:
        """How deep each group lies; a group within itself ends at MAX_DEPTH."""
        depths = {"all": 0} | dict.fromkeys([*self.members, *self.variables, *self.children, *(kid for kids in self.children.values() for kid in kids)], 1)
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


def read_inventory(raw: bytes, file: str, beside: Beside | None = None) -> Inventory:
    """What an inventory names; `beside`: the variables in the folders next to it.

    Raises ContentError with file:line for what cannot be read, and for an inventory without hosts.
    """
    text = _decoded(raw, file)
    lower = file.lower()
    if lower.endswith(".csv"):
        found = _csv(text, file)
    elif lower.endswith((".yml", ".yaml", ".json")) or _looks_like_yaml(text):
        found = _yaml(text, file).inventory(beside or Beside())
    else:
        found = _ini(text, file).inventory(beside or Beside())
    if not found.targets:
        raise ContentError(Text("清单里没有任何主机", "the inventory names no host"), file=file)
    return found


def _decoded(raw: bytes, file: str) -> str:
    if raw.startswith(_WORKBOOKS):
        raise ContentError(Text("这是工作簿，不是文本；请另存为 CSV", "this is a workbook, not text; save it as CSV"), file=file)
    if raw.startswith(b"$ANSIBLE_VAULT"):
        raise ContentError(
            Text("整个文件由 ansible-vault 加密；请先用 ansible-vault view 取出清单", "the file is encrypted; take the inventory out with ansible-vault view"),
            file=file,
        )
    # Windows in Chinese saves text as GBK (a part of GB18030), or with a byte order mark.
    for encoding in ("utf-16",) if raw.startswith((b"\xff\xfe", b"\xfe\xff")) else ("utf-8-sig", "gb18030"):
        with suppress(UnicodeDecodeError):
            return raw.decode(encoding)
    raise ContentError(Text("既不是 UTF-8 也不是 GBK 文本；请另存为 UTF-8", "neither UTF-8 nor GBK text; save it as UTF-8"), file=file)


def _looks_like_yaml(text: str) -> bool:
    """Whether the first line that says something is no host of an INI file: Ansible takes files without an extension for YAML first."""
    first = next((line for line in map(str.strip, text.split("\n")) if line and line[0] not in "#;"), "")
    return first.startswith(("---", "{")) or re.fullmatch(r"[\w.-]+:(\s*#.*)?", first) is not None


def _target(name: str, variables: Variables, file: str, line: int) -> SshTarget:
    host = variables.get("ansible_host") or variables.get("ansible_ssh_host") or name
    user = variables.get("ansible_user") or variables.get("ansible_ssh_user") or None
    port = variables.get("ansible_port") or variables.get("ansible_ssh_port") or ""
    for key, given in (("ansible_host", host), ("ansible_user", user or ""), ("ansible_port", port)):
        if any(mark in given for mark in _NOT_PLAIN):
            raise ContentError(
                Text(
                    f"{name} 的 {key} 是模板或加密的值，这里不会展开或解密；请直接写明，或从清单删去并写进 ssh_config",
                    f"{key} of {name} is a template or encrypted, and nothing is expanded or decrypted here; write it out, or move it into ssh_config",
                ),
                file=file,
                line=line,
                column=1,
            )
    if not name.isprintable():
        raise ContentError(Text(f"主机名 {name!r} 含不可见字符", f"the name {name!r} has characters that cannot be printed"), file=file, line=line, column=1)
    if port and not re.fullmatch(r"[0-9]{1,9}", port):
        raise ContentError(Text(f"{name} 的端口 {port!r} 不是数字", f"the port {port!r} of {name} is no number"), file=file, line=line, column=1)
    try:
        return ssh_target(name, host, user, int(port) if port else None)
    except UsageError as problem:
        more = Text("；用户名应写在 ansible_user（CSV：user 列）", "; the user goes into ansible_user (CSV: the column user)") if "@" in host else Text("", "")
        raise ContentError(Text(problem.message.zh + more.zh, problem.message.en + more.en), file=file, line=line, column=1) from None


def _ini(text: str, file: str) -> _Groups:
    groups = _Groups(file)
    group, kind = "ungrouped", ""
    for number, line in enumerate(text.split("\n"), 1):
        line = line.strip()
        if not line or line[0] in "#;":
            continue
        section = _SECTION.fullmatch(line)
        if section:
            group, kind = section[1], section[2] or ""
        elif line[0] == "[" and not _RANGE.match(line) and not _BRACKETS.match(line):
            raise ContentError(
                Text(
                    f"看不懂的段 {line!r}；应为 [组]、[组:children] 或 [组:vars]",
                    f"the section {line!r} makes no sense; write [group], [group:children] or [group:vars]",
                ),
                file=file,
                line=number,
                column=1,
            )
        elif kind == "children":
            groups.children.setdefault(group, []).append(line.split()[0])
        elif kind == "vars":
            key, _, value = line.partition("=")
            groups.variables.setdefault(group, {})[key.strip()] = re.sub(r"\s+#.*", "", value).strip().strip("\"'")
        else:
            try:
                words = shlex.split(line, comments=True)
            except ValueError as problem:
                raise ContentError(Text(f"引号不成对：{problem}", f"quotes do not match: {problem}"), file=file, line=number, column=1) from None
            if words:
                groups.add(group, words[0], dict(word.split("=", 1) for word in words[1:] if "=" in word), number)
    return groups


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


def _yaml(text: str, file: str) -> _Groups:
    document = read_yaml(text.encode(), file, as_text=_ANSIBLE_TAGS)
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
        if document.root.has("_meta"):
            words = Text(
                "这是给程序用的格式；请用 ansible-inventory --list --yaml 导出", "this is the form for programs; write it with ansible-inventory --list --yaml"
            )
            raise ContentError(words, file=file)
        for name, node in document.root.items():
            read(name, node)
    return groups


def _words(node: Node) -> Variables:
    return {key: str(value.data) for key, value in node.items() if isinstance(value.data, (str, int))} if node.data is not None else {}


def _csv(text: str, file: str) -> Inventory:
    """Columns `host`, and optionally `name`, `user`, `port`; the first line names them.

    Programs write commas, semicolons or tabs between them, by the country they are set to; a line `sep=;` says which.
    """
    lines = text.split("\n")
    before = next((number for number, line in enumerate(lines) if line.strip(" \t\r,;") and not line.startswith("sep=")), 0)
    delimiter = max(",;\t", key=lines[before].count)
    # newline=None reads the line ends of every system alike.
    rows = csv.DictReader(io.StringIO("\n".join(lines[before:]), newline=None), delimiter=delimiter)
    try:
        return _rows(rows, file, before)
    except csv.Error as problem:
        raise ContentError(Text(f"CSV 写法有误：{problem}", f"not valid CSV: {problem}"), file=file, line=before + (rows.line_num or 1), column=1) from None


def _rows(rows: csv.DictReader[str], file: str, before: int) -> Inventory:
    columns = [_COLUMNS.get(name.strip(), name.strip().lower()) for name in rows.fieldnames or ()]
    if "host" not in columns:
        raise ContentError(
            Text(
                "第一行应有 host（主机）列，可另有 name（名称）、user（用户）、port（端口）",
                "the first line must name a column host (and may name name, user, port)",
            ),
            file=file,
            line=before + 1,
            column=1,
        )
    rows.fieldnames = columns
    made: dict[str, SshTarget] = {}
    row: dict[str, Any]
    for row in rows:
        line = before + rows.line_num
        host = (row.get("host") or "").strip()
        if not host:
            continue
        name = (row.get("name") or "").strip() or host
        variables = {"ansible_host": host, "ansible_user": (row.get("user") or "").strip(), "ansible_port": (row.get("port") or "").strip()}
        if name in made:
            raise ContentError(Text(f"名称 {name!r} 重复", f"the name {name!r} occurs twice"), file=file, line=line, column=1)
        made[name] = _target(name, variables, file, line)
        if len(made) > MAX_HOSTS:
            raise ContentError(Text(f"超过 {MAX_HOSTS} 台主机", f"more than {MAX_HOSTS} hosts"), file=file, line=line, column=1)
    return Inventory(tuple(made.values()), {})
