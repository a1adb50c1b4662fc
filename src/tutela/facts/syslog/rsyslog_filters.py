"""What a filter of rsyslog lets through: property filters and RainerScript expressions.

Sources: rsyslog's documentation of filters and properties; grammar/grammar.y (`and` and `or` have the same precedence, from the left).
"""

from __future__ import annotations

import re

from tutela.facts.syslog import coverage
from tutela.facts.syslog.coverage import FACILITY_NAMES, SEVERITY_NAMES, Mask

CONTENT = frozenset(["msg", "rawmsg", "rawmsg-after-pri", "programname", "app-name", "syslogtag", "procid", "msgid", "structured-data", "parsesuccess"])
"""Properties that differ from message to message of one kind."""
REMOTE_INPUTS = ("imudp", "imtcp", "imptcp", "imrelp", "imgssapi", "imhttp", "imdtls")
LOOPBACK = ("127.0.0.1", "::1", "localhost")
MAX_DEPTH = 30

_TOKEN = re.compile(
    r"[ \t\n]+|#[^\n]*|/\*.*?(?:\*/|\Z)"
    r'|(?P<string>"(?:[^"\\]|\\.)*"|\'(?:[^\'\\]|\\.)*\')'
    r"|(?P<number>\d+)|(?P<var>\$[$!./]?[A-Za-z0-9_@!.-]*)|(?P<word>[A-Za-z_][A-Za-z0-9_]*)"
    r"|(?P<sign>==|!=|<>|<=|>=|[=<>()\[\],&+*/%-])",
    re.DOTALL,
)
_COMPARISONS = ("==", "!=", "<>", "<=", ">=", "<", ">", "contains", "contains_i", "startswith", "startswith_i", "endswith")


def property_filter(name: str, without: bool, how: str, value: str) -> Mask:
    """`:msg, contains, "x"`"""
    sign = {"isequal": "==", "contains": "contains", "contains_i": "contains", "startswith": "startswith"}.get(how.lower(), "matches")
    mask = _compared(name.lower(), sign, [value])
    return coverage.negated(mask) if without else mask


def expression(text: str, at: int) -> tuple[Mask, int]:
    """The mask of an expression up to `then`, and where it ends; a negative end: not understood."""
    tokens: list[tuple[str, str]] = []
    while True:
        found = _TOKEN.match(text, at)
        if found is None or len(tokens) > 2000:
            return coverage.UNDECIDED, -1
        at = found.end()
        kind = found.lastgroup
        if kind is None:
            continue
        if kind == "word" and found[0].lower() == "then":
            break
        tokens.append((kind, found[0] if kind == "string" else found[0].lower()))
    reader = _Expression(tokens)
    mask = reader.logic(0)
    if reader.at != len(tokens) or reader.lost:
        mask = coverage.UNDECIDED
    return mask, at


class _Expression:
    """Tokens to a mask; `lost` when it is more than comparisons of properties with constants."""

    def __init__(self, tokens: list[tuple[str, str]]) -> None:
        self.tokens = tokens
        self.at = 0
        self.lost = False

    def peek(self) -> tuple[str, str]:
        return self.tokens[self.at] if self.at < len(self.tokens) else ("", "")

    def take(self) -> tuple[str, str]:
        token = self.peek()
        self.at += 1
        return token

    def logic(self, depth: int) -> Mask:
        mask = self.one(depth)
        while self.peek() in (("word", "and"), ("word", "or")):
            _, word = self.take()
            other = self.one(depth)
            mask = coverage.both(mask, other) if word == "and" else coverage.either(mask, other)
        return mask

    def one(self, depth: int) -> Mask:
        if depth > MAX_DEPTH:
            self.lost = True
            self.at = len(self.tokens)
            return coverage.UNDECIDED
        token = self.take()
        if token == ("word", "not"):
            # `not` binds closer than a comparison: only brackets and functions are negated as one would think.
            sure = self.peek() == ("sign", "(") or self.peek()[0] == "word"
            mask = self.one(depth + 1)
            return coverage.negated(mask) if sure else coverage.UNDECIDED
        if token == ("sign", "("):
            mask = self.logic(depth + 1)
            if self.take() != ("sign", ")"):
                self.lost = True
            return mask
        if token[0] == "word":
            return self.function(token[1])
        if token[0] == "var":
            return self.comparison(token[1][1:])
        if token[0] in ("string", "number"):
            # A constant on the left.
            if self.peek()[1] in _COMPARISONS:
                self.take()
                self.take()
            return coverage.UNDECIDED
        self.lost = True
        return coverage.UNDECIDED

    def function(self, name: str) -> Mask:
        if self.take() != ("sign", "("):
            self.lost = True
            return coverage.UNDECIDED
        inside: list[tuple[str, str]] = []
        deep = 1
        while self.at < len(self.tokens):
            token = self.take()
            deep += (token == ("sign", "(")) - (token == ("sign", ")"))
            if deep == 0:
                break
            inside.append(token)
        else:
            self.lost = True
        compared = self.peek()[1] in _COMPARISONS
        if compared:
            self.take()
            self.take()
        if name == "prifilt" and len(inside) == 1 and inside[0][0] == "string" and not compared:
            mask = coverage.selector(inside[0][1][1:-1])
            return coverage.UNDECIDED if mask is None else mask
        if name in ("re_match", "re_match_i") and inside and inside[0][0] == "var" and inside[0][1][1:] in CONTENT and not compared:
            return coverage.SOME
        return coverage.UNDECIDED

    def comparison(self, name: str) -> Mask:
        sign = self.peek()[1]
        if sign not in _COMPARISONS:
            return coverage.UNDECIDED
        self.take()
        values: list[str] = []
        if self.peek() == ("sign", "["):
            self.take()
            while self.peek() not in (("sign", "]"), ("", "")):
                kind, value = self.take()
                if kind == "string":
                    values.append(value[1:-1])
            self.take()
        else:
            kind, value = self.take()
            if kind not in ("string", "number"):
                return coverage.UNDECIDED
            values.append(value[1:-1] if kind == "string" else value)
        if sign in ("!=", "<>"):
            return coverage.negated(_compared(name, "==", values))
        return _compared(name, sign.removesuffix("_i"), values)


def _compared(name: str, sign: str, values: list[str]) -> Mask:
    """Which kinds of message have a property that compares so with any of the values."""
    if name in CONTENT:
        return coverage.SOME
    if name.endswith("-text") and sign != "==":
        return coverage.UNDECIDED
    if name in ("syslogfacility-text", "syslogfacility"):
        return coverage.only(_numbers(sign, values, FACILITY_NAMES, 24), None) if sign in _ORDER else coverage.UNDECIDED
    if name in ("syslogseverity-text", "syslogseverity", "syslogpriority", "syslogpriority-text"):
        return coverage.only(None, _numbers(sign, values, SEVERITY_NAMES, 8)) if sign in _ORDER else coverage.UNDECIDED
    if name == "fromhost-ip":
        if sign == "==":
            return coverage.EVERYTHING if any(value in LOOPBACK for value in values) else coverage.NOTHING
        if sign == "startswith":
            return coverage.EVERYTHING if any(value and "127.0.0.1".startswith(value) for value in values) else coverage.NOTHING
    if name == "inputname" and sign == "==" and all(value in REMOTE_INPUTS for value in values):
        return coverage.NOTHING
    return coverage.UNDECIDED


_ORDER = {
    "==": lambda a, b: a == b,
    "<=": lambda a, b: a <= b,
    ">=": lambda a, b: a >= b,
    "<": lambda a, b: a < b,
    ">": lambda a, b: a > b,
}


def _numbers(sign: str, values: list[str], names: dict[str, int], size: int) -> frozenset[int]:
    known = [int(value) if value.isascii() and value.isdecimal() and len(value) < 4 else names.get(value.lower()) for value in values]
    return frozenset(n for n in range(size) for value in known if value is not None and _ORDER[sign](n, value))
