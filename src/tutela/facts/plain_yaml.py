"""The plain part of YAML that daemons' configuration files use: block mappings, lists, scalars, `[a, b]`.

What it does not know (anchors, tags, flow mappings, tabs, block scalars as keys) is not guessed at: the whole text is refused.
Source: YAML 1.2, chapters 7 and 8, restricted; no recursion, one pass over the lines.
"""

from __future__ import annotations

import re

Flat = dict[str, tuple[str, ...]]
"""Dotted path -> scalar values: {'net.bindIp': ('127.0.0.1,::1',), 'inputs.0.type': ('journald',), 'output.hosts': ('a:1', 'b:2')}"""

MAX_LINES = 20_000
MAX_DEPTH = 64
_KEY = re.compile(r"""("(?:[^"\\]|\\.)*"|'[^']*'|[^\s"'#\[\]{}&*!|>%@`,?-][^#\[\]{}\n]*?|-[^\s#:][^#\[\]{}\n]*?)[ ]*:(?:[ ]+|$)""")


def read(text: str) -> Flat | None:
    """The scalars of the first document by path; None when the text uses what this reader does not know."""
    found: dict[str, list[str]] = {}
    stack: list[tuple[int, str, int]] = []
    # (indent, path, next index of a list at that indent; -1: a mapping)
    skip_deeper = -1
    started = False
    for line in text.split("\n")[:MAX_LINES]:
        body = line.rstrip()
        stripped = body.lstrip(" ")
        indent = len(body) - len(stripped)
        if skip_deeper >= 0:
            if not stripped or indent > skip_deeper:
                continue
            skip_deeper = -1
        if not stripped or stripped.startswith(("#", "%")):
            continue
        if stripped == "---" or stripped.startswith("--- "):
            if started:
                break
            started = True
            continue
        if stripped == "...":
            break
        started = True
        if stripped[0] == "\t" or "\t" in body[:indent]:
            return None
        while stripped == "-" or stripped.startswith("- "):
            parent = _parent(stack, indent, in_list=True)
            if parent is None or len(stack) > MAX_DEPTH:
                return None
            path, index = parent
            stack.append((indent, path, index + 1))
            rest = stripped[1:].lstrip(" ")
            inner = indent + len(stripped) - len(rest)
            if not rest:
                stack.append((indent + 1, f"{path}.{index}".lstrip("."), -2))
                stripped = ""
                break
            if rest.startswith("- ") or _KEY.match(rest):
                stack.append((inner - 1, f"{path}.{index}".lstrip("."), -2))
                indent, stripped = inner, rest
                continue
            value, block = _scalar(rest)
            if value is None:
                return None
            found.setdefault(path, []).extend(value)
            skip_deeper = indent if block else -1
            stripped = ""
        if not stripped:
            continue
        key = _KEY.match(stripped)
        if key is None:
            return None
        parent = _parent(stack, indent, in_list=False)
        if parent is None or len(stack) > MAX_DEPTH:
            return None
        path = f"{parent[0]}.{_unquoted(key[1])}".lstrip(".")
        rest = stripped[key.end() :].strip()
        if not rest or rest.startswith("#"):
            stack.append((indent, path, -1))
            continue
        value, block = _scalar(rest)
        if value is None:
            return None
        found.setdefault(path, []).extend(value)
        skip_deeper = indent if block else -1
    return {path: tuple(values) for path, values in found.items()}


def hides(settings: Flat, key: str) -> bool:
    """Whether `security: {authorization: enabled}`, of which the probe leaves only `security`, may hold the key."""
    above = key.split(".")
    return any("***" in settings.get(".".join(above[:depth]), ()) for depth in range(1, len(above) + 1))


def _parent(stack: list[tuple[int, str, int]], indent: int, *, in_list: bool) -> tuple[str, int] | None:
    """Path of what a line at `indent` belongs to, and the index it gets in a list."""
    while stack:
        level, path, index = stack[-1]
        if index >= 0:
            # A list whose items begin at `level`.
            if indent == level and in_list:
                stack.pop()
                return path, index
            if indent > level:
                return None
        elif index == -2:
            # An item of a list: its keys stand deeper than its dash.
            if indent > level:
                return path, 0
        elif indent > level or (in_list and indent == level):
            return path, 0
        stack.pop()
    return "", 0


def _scalar(text: str) -> tuple[list[str] | None, bool]:
    """The values of a scalar or `[a, b]`, and whether a block of text follows; None for what is not known."""
    if text[0] in "|>":
        return ["…"], True
    if text[0] in "&*!{%@`":
        return (["{}"], False) if re.fullmatch(r"\{\s*\}(?:\s+#.*)?", text) else (None, False)
    if text[0] == "[":
        inside = re.fullmatch(r"\[([^\[\]{}]*)\](?:\s+#.*)?", text)
        if inside is None:
            return None, False
        return [_unquoted(one.strip()) for one in inside[1].split(",") if one.strip()], False
    if text[0] in "\"'":
        quoted = re.fullmatch(r"""("(?:[^"\\]|\\.)*"|'(?:[^']|'')*')(?:\s+#.*)?""", text)
        return ([_unquoted(quoted[1])], False) if quoted else (None, False)
    return [re.split(r"\s+#", text, maxsplit=1)[0].strip()], False


def _unquoted(text: str) -> str:
    if len(text) >= 2 and text[0] == text[-1] and text[0] in "\"'":
        inner = text[1:-1]
        return inner.replace("''", "'") if text[0] == "'" else re.sub(r"\\(.)", r"\1", inner)
    return text
