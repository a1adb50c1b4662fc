"""The destinations of syslog-ng that lie off the host, and what its log paths send there.

Source: the administration guide of syslog-ng: log paths and their flags, filter functions, network destinations, disk-buffer().
A log path with flags(final) takes the messages it matches away from the log paths after it.
"""

from __future__ import annotations

import re

from tutela.evidence import Reason, Status, Unobserved
from tutela.facts import listing
from tutela.facts.look import Look
from tutela.facts.syslog import coverage
from tutela.facts.syslog.coverage import FACILITY_NAMES, SEVERITY_NAMES, Mask
from tutela.facts.syslog.model import STATES, Route, Routing
from tutela.language import Text

MAIN = "/etc/syslog-ng/syslog-ng.conf"
MAX_DEPTH = 20
MAX_TOKENS = 100_000

_TOKEN = re.compile(
    r"[ \t\r\n]+|#[^\n]*"
    r'|(?P<string>"(?:[^"\\]|\\.)*"|\'[^\']*\'|`[^`\n]*`)'
    r"|@(?P<pragma>[A-Za-z-]+)[ \t]*:?[ \t]*(?P<rest>[^\n]*)"
    r"|(?P<sign>\.\.|[{}();,:])"
    r"|(?P<word>[^\s{}();,\"'`#@:.]+(?:\.(?!\.)[^\s{}();,\"'`#@:.]+)*|.)",
    re.DOTALL,
)
_NETWORK = {"udp": "udp", "udp6": "udp", "tcp": "tcp", "tcp6": "tcp", "network": "tcp", "syslog": "tcp", "http": "http", "relp": "relp"}
_OTHER = (
    "elasticsearch-http",
    "splunk-hec-event",
    "splunk-hec-raw",
    "graylog2",
    "loki",
    "opentelemetry",
    "kafka",
    "kafka-c",
    "syslog-ng-otlp",
    "amqp",
    "redis",
)
_CONTENT = ("program", "message", "match", "msg", "tags", "in-list", "rate-limit")


class _NotUnderstoodError(Exception):
    """Raised and caught here."""


class _Node:
    """`name("value" option(x)) { … }`: a call with its arguments, or a block with its statements."""

    def __init__(self, name: str, arguments: list[str | _Node] | None = None) -> None:
        self.name, self.label = name, ""
        self.arguments = arguments or []
        self.body: list[_Node] | None = None

    def option(self, name: str) -> _Node | None:
        """The argument that is a call of that name."""
        return next((one for one in self.arguments if isinstance(one, _Node) and one.name == name), None)

    def word(self, name: str) -> str:
        """The value of a simple option, in lower case."""
        found = self.option(name)
        return "" if found is None else found.first().lower()

    def first(self) -> str:
        return next((one for one in self.arguments if isinstance(one, str)), "")


def read(look: Look) -> Routing:
    """All ways off the host that the main configuration file leads to."""
    reader = _Reader(look)
    reader.file(MAIN, 0)
    routes: list[Route] = []
    live = coverage.EVERYTHING
    for path in reader.logs:
        live = _path(path, live, reader, routes, 0)
    return Routing(tuple(routes), tuple(reader.files), tuple(reader.unread))


class _Reader:
    """Reads files into named objects and log paths."""

    def __init__(self, look: Look) -> None:
        self.look = look
        self.files: list[str] = []
        self.unread: list[Unobserved] = []
        self.named: dict[tuple[str, str], tuple[_Node, str]] = {}
        self.logs: list[_Node] = []

    def file(self, name: str, depth: int) -> None:
        if depth > MAX_DEPTH or name in self.files or (depth > 0 and self.look.source(name).status is Status.ABSENT):
            return
        text = self.look.text(name)
        if isinstance(text, Unobserved):
            self.unread.append(text)
            return
        self.files.append(name)
        try:
            self._statements(name, _tokens(text), depth)
        except _NotUnderstoodError as problem:
            word = problem.args[0]
            self.unread.append(Unobserved(Reason.FORMAT, name, Text(f"无法理解：{word}", f"not understood: {word}")))

    def _statements(self, name: str, tokens: list[tuple[str, str]], depth: int) -> None:
        at = 0
        while at < len(tokens):
            kind, value = tokens[at]
            if kind == "include":
                self._include(value, depth)
                at += 1
            elif (kind, value) == ("sign", ";"):
                at += 1
            else:
                node, at = _statement(tokens, at, 0)
                if node.name == "log":
                    self.logs.append(node)
                elif node.name in ("source", "destination", "filter", "options", "block", "parser", "rewrite", "template", "template-function"):
                    self.named[node.name, node.label] = (node, name)
                else:
                    raise _NotUnderstoodError(node.name)

    def _include(self, pattern: str, depth: int) -> None:
        if pattern in ("scl.conf", "scl"):
            return  # the library of blocks that syslog-ng ships
        path = pattern if pattern.startswith("/") else f"/etc/syslog-ng/{pattern}"
        paths = listing.matching(self.look, path)
        if isinstance(paths, Unobserved):
            self.unread.append(paths)
            return
        for one in paths:
            self.file(one, depth + 1)


def _tokens(text: str) -> list[tuple[str, str]]:
    tokens: list[tuple[str, str]] = []
    at = 0
    while at < len(text):
        found = _TOKEN.match(text, at)
        if found is None or len(tokens) > MAX_TOKENS:
            raise _NotUnderstoodError(text[at : at + 20])
        at = found.end()
        if found["pragma"]:
            if found["pragma"].lower() == "include":
                tokens.append(("include", found["rest"].strip().strip("\"'")))
        elif found["string"]:
            tokens.append(("string", found["string"][1:-1]))
        elif found["sign"]:
            tokens.append(("sign", found["sign"]))
        elif found["word"]:
            if found["word"] in "\"'`":
                raise _NotUnderstoodError(text[at - 1 : at + 19])  # a quote that nothing closes
            # An underscore and a hyphen are the same in names.
            tokens.append(("word", found["word"]))
    return tokens


def _statement(tokens: list[tuple[str, str]], at: int, depth: int) -> tuple[_Node, int]:
    """`kind label { … };`, `kind { … };` or `call(…);` up to its semicolon."""
    if depth > MAX_DEPTH:
        raise _NotUnderstoodError("{")
    kind, value = tokens[at]
    if kind != "word":
        raise _NotUnderstoodError(value)
    node = _Node(value.lower().replace("_", "-"))
    at += 1
    while at < len(tokens):
        kind, value = tokens[at]
        if (kind, value) == ("sign", ";"):
            return node, at + 1
        if (kind, value) == ("sign", "}"):
            return node, at  # the last statement of a block needs no semicolon
        if (kind, value) == ("sign", "("):
            node.arguments, at = _arguments(tokens, at + 1, depth + 1)
        elif (kind, value) == ("sign", "{"):
            node.body, at = [], at + 1
            if node.name == "filter":
                end = _closing(tokens, at)
                node.body = [_Node("expression", arguments=[])]
                node.body[0].arguments = list(_flat(tokens[at:end]))
                at = end + 1
                continue
            while at < len(tokens) and tokens[at] != ("sign", "}"):
                if tokens[at] == ("sign", ";"):
                    at += 1
                    continue
                inner, at = _statement(tokens, at, depth + 1)
                node.body.append(inner)
            at += 1
        else:
            node.label = value
            at += 1
    return node, at


def _closing(tokens: list[tuple[str, str]], at: int) -> int:
    deep = 1
    while at < len(tokens):
        deep += (tokens[at] == ("sign", "{")) - (tokens[at] == ("sign", "}"))
        if deep == 0:
            return at
        at += 1
    raise _NotUnderstoodError("{")


def _flat(tokens: list[tuple[str, str]]) -> list[str]:
    """The tokens of a filter as words; strings keep a quote in front, so that none passes for an operator."""
    return ['"' + value if kind == "string" else value for kind, value in tokens]


def _arguments(tokens: list[tuple[str, str]], at: int, depth: int) -> tuple[list[str | _Node], int]:
    if depth > MAX_DEPTH:
        raise _NotUnderstoodError("(")
    made: list[str | _Node] = []
    while at < len(tokens):
        kind, value = tokens[at]
        if (kind, value) == ("sign", ")"):
            return made, at + 1
        if (kind, value) == ("sign", "(") and made and isinstance(made[-1], str):
            node = _Node(made.pop().lower().replace("_", "-"))  # type: ignore[union-attr]
            node.arguments, at = _arguments(tokens, at + 1, depth + 1)
            made.append(node)
            continue
        if kind in ("string", "word"):
            made.append(value)
        at += 1
    raise _NotUnderstoodError("(")


# --- log paths -------------------------------------------------------------------------------------------------------


def _path(path: _Node, live: Mask, reader: _Reader, routes: list[Route], depth: int) -> Mask:
    """Send `live` through one log path; what later log paths still see comes back."""
    if depth > MAX_DEPTH or path.body is None:
        return live
    flags = {one for part in path.body if part.name == "flags" for one in part.arguments if isinstance(one, str)}
    sources = [part for part in path.body if part.name == "source"]
    mask = live
    if sources and "catchall" not in flags:
        received = coverage.NOTHING
        for part in sources:
            received = coverage.either(received, _received(part, reader))
        mask = coverage.both(mask, received)
    if "fallback" in flags:
        mask = coverage.both(mask, coverage.UNDECIDED)
    inner = mask
    for part in path.body:
        if part.name == "filter":
            inner = coverage.both(inner, _filter(part, reader, 0))
        elif part.name in ("parser", "junction", "channel", "if", "elif", "else"):
            inner = coverage.both(inner, coverage.UNDECIDED)
            _path(part, inner, reader, routes, depth + 1)  # may send somewhere by itself
        elif part.name == "destination":
            routes.extend(_routes(part, inner, reader))
        elif part.name == "log":
            inner = _path(part, inner, reader, routes, depth + 1)
    return coverage.both(live, coverage.negated(inner)) if "final" in flags else live


def _resolved(part: _Node, reader: _Reader) -> tuple[list[_Node], str]:
    """The drivers of `source(s_local)` or `source { system(); }`, and the file that defines them."""
    if part.body is not None:
        return part.body, MAIN
    known = reader.named.get((part.name, part.first()))
    return (known[0].body or [], known[1]) if known is not None else ([], MAIN)


def _received(part: _Node, reader: _Reader) -> Mask:
    """Which of this host's own messages a source gets."""
    mask = coverage.NOTHING
    for driver in _resolved(part, reader)[0]:
        if driver.name in ("system", "systemd-journal"):
            return coverage.EVERYTHING
        if driver.name in ("unix-dgram", "unix-stream", "unix-dgrams", "systemd-syslog"):
            others = coverage.only(frozenset(range(1, 24)), None)
            if reader.look.source(STATES).status is not Status.ABSENT:
                why = Text(
                    f"systemd 之下 {driver.name}() 只能收到 syslog.socket 转来的消息，多半什么也收不到：改用 system()",
                    f"under systemd {driver.name}() gets what syslog.socket hands over, which mostly is nothing: system() gets all",
                )
                reader.unread.append(Unobserved(Reason.NO_DATA, MAIN, why))
                others = coverage.both(others, coverage.UNDECIDED)
            mask = coverage.either(mask, others)
        elif driver.name in ("file", "pipe") and driver.first() in ("/proc/kmsg", "/dev/kmsg"):
            mask = coverage.either(mask, coverage.only(frozenset({0}), None))
    return mask


def _routes(part: _Node, mask: Mask, reader: _Reader) -> list[Route]:
    made: list[Route] = []
    drivers, where = _resolved(part, reader)
    for driver in drivers:
        protocol = _NETWORK.get(driver.name)
        if protocol is None and driver.name not in _OTHER:
            continue
        host = driver.first() or _url_host(driver.word("url")) or driver.word("host") or driver.word("server")
        transport = driver.word("transport")
        if driver.name in ("network", "syslog"):
            protocol = "udp" if transport == "udp" else "tcp"
        tls = transport == "tls" or driver.option("tls") is not None or driver.word("url").startswith("https:")
        buffer = driver.option("disk-buffer")
        port = driver.word("port") or driver.word("destport")
        number = int(port) if port.isascii() and port.isdecimal() and len(port) <= 5 else 6514 if tls and protocol == "tcp" else 514
        if "`" in host:
            reader.unread.append(Unobserved(Reason.FORMAT, where, Text(f"目标是变量 {host}", f"the target is a variable: {host}")))
        made.append(Route(host, number, protocol or "other", tls, buffer is not None, mask, where))
    return made


def _url_host(url: str) -> str:
    rest = url.split("://", 1)[-1].split("/", 1)[0]
    return rest[1:].partition("]")[0] if rest.startswith("[") else rest.partition(":")[0]


# --- filters ---------------------------------------------------------------------------------------------------------


def _filter(part: _Node, reader: _Reader, depth: int) -> Mask:
    node = part if part.body is not None else (reader.named.get(("filter", part.first())) or (None, ""))[0]
    if node is None or not node.body or depth > MAX_DEPTH:
        return coverage.UNDECIDED
    words = [one for one in node.body[0].arguments if isinstance(one, str) and one != ";"]
    expression = _Expression(words, reader, depth)
    mask = expression.either()
    return mask if expression.at == len(words) else coverage.UNDECIDED


class _Expression:
    """`facility(auth, authpriv) and not level(debug)`: `not` before `and` before `or`."""

    def __init__(self, words: list[str], reader: _Reader, depth: int) -> None:
        self.words = words
        self.reader = reader
        self.depth = depth
        self.at = 0
        self.deep = 0

    def peek(self) -> str:
        return self.words[self.at].lower() if self.at < len(self.words) else ""

    def either(self) -> Mask:
        mask = self.both()
        while self.peek() == "or":
            self.at += 1
            mask = coverage.either(mask, self.both())
        return mask

    def both(self) -> Mask:
        mask = self.one()
        while self.peek() == "and":
            self.at += 1
            mask = coverage.both(mask, self.one())
        return mask

    def one(self) -> Mask:
        self.deep += 1
        negate = False
        while self.peek() == "not":
            negate = not negate
            self.at += 1
        if self.peek() == "(" and self.deep < MAX_DEPTH:
            self.at += 1
            mask = self.either()
            self.at += self.peek() == ")"
        else:
            mask = self._call()
        self.deep -= 1
        return coverage.negated(mask) if negate else mask

    def _call(self) -> Mask:
        name = self.peek().replace("_", "-")
        self.at += 1
        if self.peek() != "(":
            return coverage.UNDECIDED
        end, deep = self.at + 1, 1
        while end < len(self.words) and deep:
            deep += (self.words[end] == "(") - (self.words[end] == ")")
            end += 1
        inside = self.words[self.at + 1 : end - 1]
        self.at = end
        if name == "facility":
            return _kinds(inside, FACILITY_NAMES, facility=True)
        if name in ("level", "priority", "severity"):
            return _kinds(inside, SEVERITY_NAMES, facility=False)
        if name == "filter" and inside:
            return _filter(_Node("filter", arguments=[inside[0].removeprefix('"')]), self.reader, self.depth + 1)
        return coverage.SOME if name in _CONTENT else coverage.UNDECIDED


def _kinds(words: list[str], names: dict[str, int], *, facility: bool) -> Mask:
    """`auth, authpriv`, `info..emerg`; facilities may be numbers."""
    chosen: set[int] = set()
    at = 0
    while at < len(words):
        word = words[at].removeprefix('"').lower()
        if word == ",":
            at += 1
            continue
        low = int(word) if word.isascii() and word.isdecimal() and len(word) < 3 else names.get(word)
        high = low
        if words[at + 1 : at + 2] == [".."] and at + 2 < len(words):
            high = names.get(words[at + 2].removeprefix('"').lower())
            at += 2
        if low is None or high is None:
            return coverage.UNDECIDED
        chosen |= set(range(min(low, high), max(low, high) + 1))
        at += 1
    return coverage.only(frozenset(chosen), None) if facility else coverage.only(None, frozenset(chosen))
