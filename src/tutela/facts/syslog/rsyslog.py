"""The forwarding actions of rsyslog, in the order rsyslog meets them.

Sources: rsyslog.conf(5), the grammar of rsyslog (grammar/lexer.l, grammar/grammar.y), parseSelectorAct in tools/omfwd.c.
Legacy lines and RainerScript may be mixed; a message that an earlier `stop` (`~`) discards never reaches a later action.
Names are case-insensitive. `*.*@host` without a blank is accepted, as rsyslog accepts it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from tutela.evidence import Reason, Status, Unobserved
from tutela.facts import journal, listing
from tutela.facts.look import Look
from tutela.facts.syslog import coverage
from tutela.facts.syslog.coverage import Mask
from tutela.facts.syslog.model import STATES, Route, Routing
from tutela.facts.syslog.rsyslog_filters import expression, property_filter
from tutela.language import Text
from tutela.record import field, record

MAIN = "/etc/rsyslog.conf"
MAX_DEPTH = 20
MAX_STATEMENTS = 5_000
MAX_STEPS = 10_000
"""Statements that messages are sent through, those of a ruleset once for each call: rulesets that call each other twice would never end."""
OFF = ("off", "no", "false", "0", "n", "f")
LOCAL_SOCKETS = ("/dev/log", "/run/systemd/journal/syslog", "/var/run/systemd/journal/syslog")
DEFAULT_RULESET = "rsyslog_defaultruleset"
TLS_DRIVERS = ("gtls", "ossl", "mbedtls")
OBJECTS = (
    *("module", "input", "global", "template", "main_queue", "timezone", "parser", "property", "constant"),
    *("lookup_table", "dyn_stats", "percentile_stats", "ratelimit"),
)

_OBJECT = re.compile(r"([A-Za-z_]+)[ \t\n]*\(")
_WORD = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_+,;-]*")
_SELECTOR = re.compile(r"[*a-zA-Z]{1,20}[0-7]{0,2}[.,][,!=;.*a-zA-Z0-7]+")
_PROPERTY = re.compile(r':\$?([A-Za-z-]+) *, *(!?)([A-Za-z_]+) *, *"((?:\\.|[^"\\])*)"', re.DOTALL)
_CALL = re.compile(r"call[ \t\n]+([A-Za-z][A-Za-z0-9_.-]*)", re.IGNORECASE)
_BLANKS = re.compile(r"(?:[ \t\n]+|#[^\n]*|/\*.*?(?:\*/|\Z))*", re.DOTALL)
_PARAMETER = re.compile(r"([A-Za-z][A-Za-z0-9_.]*)[ \t\n]*=[ \t\n]*")
_STRING = re.compile(r'"((?:[^"\\]|\\.)*)"|`((?:[^`\\]|\\.)*)`', re.DOTALL)
_UP_TO_SEMICOLON = re.compile(r"""[^;"']*(?:(?:"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')[^;"']*)*;""", re.DOTALL)
_FORWARD = re.compile(r"@(@?)(?:\([^)\n]*\))?(?:\[([^\]\n]*)\]|([^;:#\s]*))(?::(\d*))?")
_RELP = re.compile(r":omrelp:(?:\[([^\]\n]*)\]|([^;:#\s]*))(?::(\d*))?", re.IGNORECASE)


class _NotUnderstoodError(Exception):
    """Raised and caught here; its argument is the line."""


@record
class _Statement:
    kind: str
    """filter | forward | stop | call"""
    mask: Mask = coverage.EVERYTHING
    body: list[_Statement] = field(default_factory=list)
    otherwise: list[_Statement] = field(default_factory=list)
    name: str = ""
    route: Route | None = None


def read(look: Look) -> Routing:
    """All forwarding actions that the main configuration file leads to."""
    reader = _Reader(look)
    reader.file(MAIN, 0, None)
    sending = _Sending(reader.rulesets)
    sending.through(reader.rulesets.get(reader.default, []), reader.inputs(), 0)
    if sending.steps > MAX_STEPS:
        why = Text("规则集相互调用过多，未全部走完", "rulesets call each other too often to follow them all")
        reader.unread.append(Unobserved(Reason.FORMAT, MAIN, why))
    return Routing(tuple(sending.routes), tuple(reader.files), tuple(reader.unread))


class _Sending:
    """Messages on their way through the rulesets."""

    def __init__(self, rulesets: Mapping[str, list[_Statement]]) -> None:
        self.rulesets = rulesets
        self.routes: list[Route] = []
        self.steps = 0

    def through(self, statements: list[_Statement], live: Mask, depth: int) -> Mask:
        """Send `live` through the statements; what is left of it comes back."""
        if depth > MAX_DEPTH:
            return coverage.UNDECIDED
        for statement in statements:
            self.steps += 1
            if self.steps > MAX_STEPS:
                return coverage.UNDECIDED
            if statement.kind == "stop":
                return coverage.NOTHING
            if statement.kind == "forward" and statement.route is not None:
                route = statement.route
                self.routes.append(Route(route.host, route.port, route.protocol, route.tls, route.queue, live, route.where))
            elif statement.kind == "call":
                live = self.through(self.rulesets.get(statement.name, []), live, depth + 1)
            elif statement.kind == "filter":
                through = coverage.both(live, statement.mask)
                around = coverage.both(live, coverage.negated(statement.mask))
                left = self.through(statement.body, through, depth + 1)
                other = self.through(statement.otherwise, around, depth + 1)
                if left != through or other != around:
                    live = coverage.either(left, other)
        return live


class _Reader:
    """Reads files into statements, ruleset by ruleset."""

    def __init__(self, look: Look) -> None:
        self.look = look
        self.rulesets: dict[str, list[_Statement]] = {DEFAULT_RULESET: []}
        self.current = self.rulesets[DEFAULT_RULESET]
        self.default = DEFAULT_RULESET
        self.modules: set[str] = set()
        self.local_socket = True
        """imuxsock reads the socket of this host's own messages."""
        self.driver = ""
        self.legacy: dict[str, str] = {}
        self.files: list[str] = []
        self.unread: list[Unobserved] = []
        self.count = 0

    def inputs(self) -> Mask:
        """What rsyslog receives of this host's own messages."""
        if "imjournal" in self.modules:
            return coverage.EVERYTHING
        kern = frozenset({0})
        mask = coverage.NOTHING
        if "imuxsock" in self.modules and self.local_socket:
            mask = coverage.either(mask, coverage.both(coverage.only(frozenset(range(1, 24)), None), self._passed_on()))
        if self.modules & {"imklog", "imkmsg"}:
            mask = coverage.either(mask, coverage.only(kern, None))
        return coverage.UNDECIDED if mask == coverage.NOTHING and self.unread else mask

    def _passed_on(self) -> Mask:
        """What journald, which owns /dev/log under systemd, hands to whoever listens on the socket (journald.conf(5))."""
        if self.look.source(STATES).status is Status.ABSENT:
            return coverage.EVERYTHING  # without systemd /dev/log is rsyslog's own
        settings = self.look.fact(journal.configured)
        forwards = self.look.fact(journal.forwards_to_syslog)
        if isinstance(settings, Unobserved) or isinstance(forwards, Unobserved):
            self.unread.append(next(one for one in (settings, forwards) if isinstance(one, Unobserved)))
            return coverage.UNDECIDED
        if not forwards:
            return coverage.NOTHING
        level = settings.get("MaxLevelSyslog", "debug").lower()
        highest = int(level) if level in tuple("01234567") else coverage.SEVERITY_NAMES.get(level, 7)
        return coverage.only(None, frozenset(range(highest + 1)))

    def file(self, name: str, depth: int, into: list[_Statement] | None) -> None:
        """Read one file; `into` is the block it is included in, None at the top."""
        source = name if name.startswith("/etc/rsyslog.") else listing.included(self.look, name, "rsyslog")
        if depth > MAX_DEPTH or name in self.files or (depth > 0 and self.look.source(source).status is Status.ABSENT):
            return
        text = self.look.text(source)
        if isinstance(text, Unobserved):
            self.unread.append(text)
            return
        self.files.append(name)
        joined = _joined(text)
        try:
            self._block(joined, 0, name, depth, into, closed=False)
        except _NotUnderstoodError as problem:
            line = problem.args[0]
            self.unread.append(Unobserved(Reason.FORMAT, name, Text(f"无法理解：{line}", f"not understood: {line}")))

    def _include(self, pattern: str, depth: int, into: list[_Statement] | None) -> None:
        if pattern.endswith("/"):
            names = listing.entries(self.look, pattern.rstrip("/"))
            paths = names if isinstance(names, Unobserved) else tuple(pattern + one for one in names if not one.startswith("."))
        else:
            paths = listing.matching(self.look, pattern)
        if isinstance(paths, Unobserved):
            self.unread.append(paths)
            return
        for path in paths:
            self.file(path, depth + 1, into)

    def _block(self, text: str, at: int, name: str, depth: int, into: list[_Statement] | None, *, closed: bool) -> int:
        """Statements up to the end of the text, or up to the brace that closes the block."""
        while True:
            at = _skip(text, at)
            if at >= len(text):
                if closed:
                    raise _lost(text, at)
                return at
            if text[at] == "}":
                if not closed:
                    raise _lost(text, at)
                return at + 1
            target = self.current if into is None else into
            if text[at] == "&":
                # One more action under the filter before it.
                last = target[-1] if target else None
                if last is not None and last.kind == "filter":
                    target = last.otherwise or last.body
                at = self._statement(text, _skip(text, at + 1), name, depth, target, bare=True)
            else:
                at = self._statement(text, at, name, depth, target, top=into is None)

    def _statement(self, text: str, at: int, name: str, depth: int, into: list[_Statement], *, bare: bool = False, top: bool = False) -> int:
        """One statement; `bare`: an action is expected, so a list of names is a list of users and no selector."""
        self.count += 1
        if self.count > MAX_STATEMENTS or depth > MAX_DEPTH or at >= len(text):
            raise _lost(text, at)
        if text[at] == "$":
            return self._directive(text, at, depth, None if top else into)
        if (found := _PROPERTY.match(text, at)) is not None:
            mask = property_filter(found[1], found[2] == "!", found[3], found[4])
            return self._filtered(mask, text, found.end(), name, depth, into)
        if not bare and (found := _SELECTOR.match(text, at)) is not None:
            # rsyslog refuses a selector it does not know; what it does about it depends on its version.
            mask = coverage.selector(found[0]) or coverage.UNDECIDED
            return self._filtered(mask, text, found.end(), name, depth, into)
        if (found := _OBJECT.match(text, at)) is not None and (end := self._object(found, text, name, depth, into, top=top)) is not None:
            return end
        word = _WORD.match(text, at)
        keyword = "" if word is None else word[0].lower()
        if keyword == "if":
            mask, at = expression(text, word.end() if word else at)
            if at < 0:
                raise _lost(text, word.start() if word else 0)
            return self._filtered(mask, text, at, name, depth, into, may_have_else=True)
        if keyword in ("stop", "continue"):
            if keyword == "stop":
                into.append(_Statement("stop"))
            return at + len(keyword)
        if keyword == "call" and (found := _CALL.match(text, at)) is not None:
            into.append(_Statement("call", name=found[1].lower()))
            return found.end()
        if keyword in ("set", "unset", "reset") and (found := _UP_TO_SEMICOLON.match(text, at)) is not None:
            return found.end()
        if keyword in ("set", "unset", "reset", "call_indirect", "foreach", "reload_lookup_table"):
            raise _lost(text, at)
        return self._legacy_action(text, at, name, into)

    def _filtered(self, mask: Mask, text: str, at: int, name: str, depth: int, into: list[_Statement], *, may_have_else: bool = False) -> int:
        made = _Statement("filter", mask)
        into.append(made)
        at = self._body(text, at, name, depth, made.body)
        if may_have_else:
            after = _skip(text, at)
            if text[after : after + 4].lower() == "else" and not text[after + 4 : after + 5].isalnum():
                at = self._body(text, after + 4, name, depth, made.otherwise)
        return at

    def _body(self, text: str, at: int, name: str, depth: int, into: list[_Statement]) -> int:
        start = at
        at = _skip(text, at)
        if text[at : at + 1] == "{":
            return self._block(text, at + 1, name, depth + 1, into, closed=True)
        return self._statement(text, at, name, depth + 1, into, bare="\n" not in text[start:at])

    # -- objects

    def _object(self, found: re.Match[str], text: str, name: str, depth: int, into: list[_Statement], *, top: bool) -> int | None:
        word = found[1].lower()
        if word not in OBJECTS and word not in ("action", "ruleset", "include"):
            return None
        values, at = _parameters(text, found.end())
        off = values.get("config.enabled", "").lower() in OFF
        if word == "ruleset":
            made: list[_Statement] = []
            at = _skip(text, at)
            if text[at : at + 1] != "{":
                raise _lost(text, at)
            at = self._block(text, at + 1, name, depth + 1, made, closed=True)
            self.rulesets[values.get("name", "").lower()] = made
            return at
        if word == "template":
            after = _skip(text, at)
            if text[after : after + 1] == "{":
                return self._block(text, after + 1, name, depth + 1, [], closed=True)
            return at
        if off:
            return at
        if word == "action":
            self._action(values, name, into)
        elif word == "include":
            if "file" in values:
                self._include(values["file"], depth, None if top else into)
            else:
                self.unread.append(Unobserved(Reason.FORMAT, name, Text("include 的内容不是文件", "an include that is no file")))
        elif word == "module":
            loaded = values.get("load", "").lower().removesuffix(".so").rpartition("/")[2]
            self.modules.add(loaded)
            if loaded == "imuxsock" and values.get("syssock.use", "").lower() in OFF:
                self.local_socket = False
        elif word == "input":
            if values.get("type", "").lower() == "imuxsock" and values.get("socket", "") in LOCAL_SOCKETS:
                self.local_socket = True
        elif word == "global":
            self.driver = values.get("defaultnetstreamdriver", self.driver).lower()
        return at

    def _action(self, values: Mapping[str, str], name: str, into: list[_Statement]) -> None:
        kind = values.get("type", "").lower()
        if values.get("action.execonlywhenpreviousissuspended", "").lower() == "on":
            return  # a stand-in for another target: it gets nothing while that one answers
        in_memory = values.get("queue.type", "").lower() in ("linkedlist", "fixedarray")
        queue = (in_memory and values.get("queue.filename", "") != "") or values.get("queue.type", "").lower() == "disk"
        if kind == "omfwd":
            driver = values.get("streamdriver", self.driver).lower()
            protocol = values.get("protocol", "udp").lower()
            tls = protocol == "tcp" and values.get("streamdrivermode", values.get("streamdriver.mode", "0")) == "1" and driver in TLS_DRIVERS
            made = [(host, values.get("port", "514"), protocol, tls) for host in _hosts(values.get("target", ""))]
        elif kind == "omrelp":
            made = [(host, values.get("port", "514"), "relp", values.get("tls", "off").lower() == "on") for host in _hosts(values.get("target", ""))]
        elif kind in ("omhttp", "omelasticsearch", "omclickhouse"):
            default = "on" if kind != "omelasticsearch" else "off"
            secure = values.get("usehttps", default).lower() == "on"
            made = [
                (_bare_host(host), values.get("serverport", ""), "http", secure or host.lower().startswith("https:"))
                for host in _hosts(values.get("server", ""))
            ]
        elif kind == "omkafka":
            made = [(_bare_host(host), "", "kafka", False) for host in _hosts(values.get("broker", ""))]
        else:
            return
        for host, port, protocol, tls in made:
            into.append(_Statement("forward", route=_route(host, port, protocol, name, tls=tls, queue=queue)))

    # -- legacy lines

    def _directive(self, text: str, at: int, depth: int, into: list[_Statement] | None) -> int:
        line, end = _line(text, at)
        word, _, value = line[1:].partition(" ") if " " in line else line[1:].partition("\t")
        word, value = word.lower(), value.strip()
        if word == "includeconfig":
            self._include(value.split()[0] if value else "", depth, into)
        elif word == "ruleset":
            self.current = self.rulesets.setdefault(value.lower(), [])
        elif word == "defaultruleset":
            self.default = value.lower()
        elif word == "modload":
            self.modules.add(value.lower().removesuffix(".so").rpartition("/")[2])
        elif word == "omitlocallogging" and value.lower() not in OFF:
            self.local_socket = False
        elif word == "addunixlistensocket" and value in LOCAL_SOCKETS:
            self.local_socket = True
        elif word == "defaultnetstreamdriver":
            self.driver = value.lower()
        elif word.startswith(("action", "resetconfigvariables")):
            self.legacy = {} if word == "resetconfigvariables" else self.legacy | {word: value}
        return end

    def _legacy_action(self, text: str, at: int, name: str, into: list[_Statement]) -> int:
        line, end = _line(text, at)
        if not line:
            raise _lost(text, at)
        queue = self._legacy_queue()
        if line[0] == "~":
            into.append(_Statement("stop"))
            return at + 1
        if line[0] == "@" and (found := _FORWARD.match(line)) is not None:
            protocol = "tcp" if found[1] else "udp"
            tls = protocol == "tcp" and self.legacy.get("actionsendstreamdrivermode") == "1" and self._legacy_driver() in TLS_DRIVERS
            host = found[2] if found[2] is not None else found[3]
            self._legacy_forward(_route(host, found[4] or "514", protocol, name, tls=tls, queue=queue), into)
            return end
        if (found := _RELP.match(line)) is not None:
            host = found[1] if found[1] is not None else found[2]
            self._legacy_forward(_route(host, found[3] or "514", "relp", name, tls=False, queue=queue), into)
            return end
        if line[0] in "/-|.^?>:":
            self._legacy_done()
            return end
        if line[0] == "*":
            self._legacy_done()
            return at + 1
        word = _WORD.match(line)
        if word is None or line[word.end() : word.end() + 1] not in ("", " ", "\t", "}"):
            raise _lost(text, at)
        self._legacy_done()
        return at + word.end()

    def _legacy_forward(self, route: Route, into: list[_Statement]) -> None:
        if self.legacy.get("actionexeconlywhenpreviousissuspended", "").lower() != "on":
            into.append(_Statement("forward", route=route))
        self._legacy_done()

    def _legacy_queue(self) -> bool:
        kind = self.legacy.get("actionqueuetype", "").lower()
        return (kind in ("linkedlist", "fixedarray") and self.legacy.get("actionqueuefilename", "") != "") or kind == "disk"

    def _legacy_driver(self) -> str:
        return self.legacy.get("actionsendstreamdriver", self.driver).lower()

    def _legacy_done(self) -> None:
        """Settings of the queue hold for one action, those of the stream driver for all that follow."""
        self.legacy = {key: value for key, value in self.legacy.items() if key.startswith("actionsendstreamdriver")}


def _route(host: str, port: str, protocol: str, where: str, *, tls: bool, queue: bool) -> Route:
    number = int(port) if port.isascii() and port.isdecimal() and len(port) <= 5 else None
    return Route(host.strip(), number, protocol, tls, queue, coverage.NOTHING, where)


def _hosts(value: str) -> list[str]:
    return [one for one in value.split("\n") if one]


def _bare_host(value: str) -> str:
    """`https://log.example:9200/path` -> `log.example`"""
    rest = value.split("://", 1)[-1].split("/", 1)[0]
    if rest.startswith("["):
        return rest[1:].partition("]")[0]
    return rest.rpartition(":")[0] if rest.count(":") == 1 else rest


def _joined(text: str) -> str:
    """Lines that end in a backslash go on in the next one, whose blanks at the start do not count."""
    out: list[str] = []
    going_on = False
    for line in text.split("\n"):
        line = line.lstrip(" \t") if going_on else line
        going_on = line.rstrip().endswith("\\") and not line.lstrip().startswith("#")
        out.append(line.rstrip()[:-1] if going_on else line + "\n")
    return "".join(out)


def _skip(text: str, at: int) -> int:
    found = _BLANKS.match(text, at)
    return at if found is None else found.end()


def _line(text: str, at: int) -> tuple[str, int]:
    end = text.find("\n", at)
    end = len(text) if end < 0 else end
    return text[at:end].rstrip(), end


def _parameters(text: str, at: int) -> tuple[dict[str, str], int]:
    """`name="value" …)` after the opening bracket; a list of values is joined by newlines."""
    values: dict[str, str] = {}
    while True:
        at = _skip(text, at)
        if text[at : at + 1] == ")":
            return values, at + 1
        found = _PARAMETER.match(text, at)
        if found is None:
            raise _lost(text, at)
        at = found.end()
        value: list[str] = []
        if text[at : at + 1] == "[":
            at = _skip(text, at + 1)
            while text[at : at + 1] != "]":
                one, at = _string(text, at)
                value.append(one)
                at = _skip(text, at)
                at = _skip(text, at + 1) if text[at : at + 1] == "," else at
            at += 1
        else:
            one, at = _string(text, at)
            value.append(one)
        values[found[1].lower()] = "\n".join(value)


def _string(text: str, at: int) -> tuple[str, int]:
    found = _STRING.match(text, at)
    if found is None or found[2] is not None:
        # Backticks take the value from the environment or a file.
        raise _lost(text, at)
    return re.sub(r"\\(.)", r"\1", found[1].replace("\n", " ")), found.end()


def _lost(text: str, at: int) -> _NotUnderstoodError:
    line, _ = _line(text, at)
    return _NotUnderstoodError(line[:80] or "…")
