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

MAX_HOSTS = 200_000
_RANGE = re.compile(r"\[([0-9]+|[a-z]|[A-Z]):([0-9]+|[a-z]|[A-Z])(?::([0-9]+))?\]")
_SECTION = re.compile(r"\[([^\]:]+)(?::(children|vars))?\]\s*(?:[#;].*)?")

Variables = dict[str, str]


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
        found = _yaml(raw, file)
    else:
        found = _ini(text, file)
    if not found:
        raise ContentError(Text("清单里没有任何主机", "the inventory names no host"), file=file)
    return list(found.values())


def _target(name: str, variables: Variables, file: str, line: int) -> SshTarget:
    host = variables.get("ansible_host") or variables.get("ansible_ssh_host") or name
    user = variables.get("ansible_user") or variables.get("ansible_ssh_user") or None
    port = variables.get("ansible_port") or variables.get("ansible_ssh_port") or ""
    if port and not (port.isascii() and port.isdigit()):
        raise ContentError(Text(f"{name} 的端口 {port!r} 不是数字", f"the port {port!r} of {name} is no number"), file=file, line=line, column=1)
    try:
        return ssh_target(name, host, user, int(port) if port else None)
    except UsageError as problem:
        raise ContentError(problem.message, file=file, line=line, column=1) from None


def _ini(text: str, file: str) -> dict[str, SshTarget]:
    hosts: dict[str, tuple[Variables, int]] = {}
    members: dict[str, list[str]] = {}
    children: dict[str, list[str]] = {}
    group_variables: dict[str, Variables] = {}
    group, kind = "ungrouped", ""
    for number, line in enumerate(text.split("\n"), 1):
        line = line.strip()
        if not line or line[0] in "#;":
            continue
        section = _SECTION.fullmatch(line)
        if section:
            group, kind = section[1], section[2] or ""
            continue
        if kind == "children":
            children.setdefault(group, []).append(line.split()[0])
        elif kind == "vars":
            key, _, value = line.partition("=")
            group_variables.setdefault(group, {})[key.strip()] = value.strip().strip("\"'")
        else:
            try:
                words = shlex.split(line, comments=True)
            except ValueError as problem:
                raise ContentError(Text(f"引号不成对：{problem}", f"quotes do not match: {problem}"), file=file, line=number, column=1) from None
            if not words:
                continue
            variables = dict(word.split("=", 1) for word in words[1:] if "=" in word)
            for name in _expanded(words[0], file, number):
                known = hosts.setdefault(name, ({}, number))[0]
                known.update(variables)
                members.setdefault(group, []).append(name)
                if len(hosts) > MAX_HOSTS:
                    raise ContentError(Text(f"超过 {MAX_HOSTS} 台主机", f"more than {MAX_HOSTS} hosts"), file=file, line=number, column=1)
    inherited = _inherited(hosts, members, children, group_variables)
    return {name: _target(name, inherited[name] | variables, file, line) for name, (variables, line) in hosts.items()}


def _inherited(
    hosts: dict[str, tuple[Variables, int]], members: dict[str, list[str]], children: dict[str, list[str]], group_variables: dict[str, Variables]
) -> dict[str, Variables]:
    """Variables of a host's groups; a child's win over its parent's, `all` is the parent of every group."""
    made: dict[str, Variables] = {name: dict(group_variables.get("all", {})) for name in hosts}
    for group, variables in group_variables.items():
        if group == "all":
            continue
        below: list[str] = []
        todo = [group]
        while todo:
            one = todo.pop()
            if one not in below:
                below.append(one)
                todo += children.get(one, [])
        for one in below:
            for name in members.get(one, []):
                made[name].update(variables)
    # Direct groups last: the nearest wins.
    for group, names in members.items():
        for name in names:
            made[name].update(group_variables.get(group, {}))
    return made


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


def _yaml(raw: bytes, file: str) -> dict[str, SshTarget]:
    document = read_yaml(raw, file)
    hosts: dict[str, tuple[Variables, Node]] = {}

    def group(node: Node, above: Variables) -> None:
        if node.data is None:
            return
        node.mapping()
        variables = above | _words(node.get("vars", {}))
        if node.has("hosts") and node.get("hosts").data is not None:
            for name, host in node.get("hosts").items():
                for one in _expanded(name, file, document.marks.get(host.path, (0, 0))[0]):
                    known = hosts.setdefault(one, ({}, host))[0]
                    known.update(variables | (_words(host) if host.data is not None else {}))
        if node.has("children") and node.get("children").data is not None:
            for _name, child in node.get("children").items():  # noqa: PERF102 - a Node, not a dict
                group(child, variables)

    for _name, node in document.root.items():  # noqa: PERF102 - a Node, not a dict
        group(node, {})
    return {name: _target(name, variables, file, document.marks.get(node.path, (0, 0))[0]) for name, (variables, node) in hosts.items()}


def _words(node: Node) -> Variables:
    return {key: str(value.data) for key, value in node.items() if isinstance(value.data, (str, int))} if node.data is not None else {}


def _csv(text: str, file: str) -> dict[str, SshTarget]:
    """Columns `host`, and optionally `name`, `user`, `port`; the first line names them."""
    rows = csv.DictReader(io.StringIO(text))
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
    return made
