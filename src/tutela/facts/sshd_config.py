"""Reads sshd_config(5): Include in glob order, Match with all its criteria, the first value of a keyword wins.

It asks and runs nothing, so it also works where `sshd -T` could not be run, and it answers for any user from any address.
Sources: sshd_config(5), ssh_config(5) PATTERNS; OpenSSH's servconf.c, match.c, addrmatch.c and auth.c.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from fnmatch import fnmatchcase
from ipaddress import ip_address, ip_network

from tutela.evidence import Reason, Status, Unobserved
from tutela.facts import listing
from tutela.facts.look import Look
from tutela.language import Text
from tutela.record import record

MAX_DEPTH = 16
"""sshd itself allows 16 nested includes."""
MAX_LINES = 20_000

LISTS = frozenset(
    ["port", "listenaddress", "hostkey", "hostcertificate", "allowusers", "denyusers", "allowgroups", "denygroups", "acceptenv", "subsystem", "setenv"]
)
"""Keywords whose lines add up instead of the first one winning."""
ALIASES = {
    "challengeresponseauthentication": "kbdinteractiveauthentication",
    "skeyauthentication": "kbdinteractiveauthentication",
    "dsaauthentication": "pubkeyauthentication",
    "rsaauthentication": "pubkeyauthentication",
    "hostbasedacceptedkeytypes": "hostbasedacceptedalgorithms",
    "pubkeyacceptedkeytypes": "pubkeyacceptedalgorithms",
    "authorizedkeysfile2": "authorizedkeysfile",
}
DEFAULTS: Mapping[str, str] = {
    "port": "22",
    "passwordauthentication": "yes",
    "kbdinteractiveauthentication": "yes",
    "pubkeyauthentication": "yes",
    "gssapiauthentication": "no",
    "hostbasedauthentication": "no",
    "permitrootlogin": "prohibit-password",
    "permitemptypasswords": "no",
    "permituserenvironment": "no",
    "usepam": "no",
    "usedns": "no",
    "strictmodes": "yes",
    "maxauthtries": "6",
    "logingracetime": "120",
    "x11forwarding": "no",
    "allowtcpforwarding": "yes",
    "disableforwarding": "no",
    "authenticationmethods": "any",
    "authorizedkeysfile": ".ssh/authorized_keys .ssh/authorized_keys2",
    "authorizedkeyscommand": "none",
    "pubkeyauthoptions": "none",
    "trustedusercakeys": "none",
}
"""OpenSSH's own defaults since 7.0; a distribution may build others in, which only `sshd -T` knows."""


@record
class Client:
    """Client(user='ops', groups=('ops', 'ssh-users'), address='192.0.2.10', local_address='198.51.100.5', port=22): who logs in from where."""

    user: str
    groups: tuple[str, ...] | None
    """None: not known, so a Match Group or AllowGroups cannot be decided."""
    address: str
    port: int = 22
    local_address: str | None = None
    exists: bool = True
    """False: no account of that name, for Match Invalid-User."""


@record
class Match:
    """Match(criteria=(('user', 'ops'), ('address', '192.0.2.0/24')), file='/etc/ssh/sshd_config', line=120)"""

    criteria: tuple[tuple[str, str], ...]
    file: str
    line: int


@record
class Setting:
    """Setting(keyword='permitrootlogin', value='no', matches=(), file='/etc/ssh/sshd_config.d/10-x.conf', line=1)"""

    keyword: str
    value: str
    matches: tuple[Match, ...]
    """Conditions that must all hold; empty for the global section."""
    file: str
    line: int


@record
class SshdConfig:
    """All settings of one configuration in the order in which sshd reads them."""

    settings: tuple[Setting, ...]
    files: tuple[str, ...]
    """Every file that was read."""
    directories: tuple[str, ...] = ()
    """Where an Include looked for files."""

    @property
    def has_match(self) -> bool:
        """Whether anything depends on who logs in."""
        return any(setting.matches for setting in self.settings)

    def asks(self, *criteria: str) -> bool:
        """Whether some Match has one of these criteria."""
        return any(name in criteria for setting in self.settings for match in setting.matches for name, _ in match.criteria)

    def stated(self, client: Client | None = None) -> dict[str, str] | Unobserved:
        """Keyword -> value for a client; the global section alone without one. Values of `LISTS` are joined with blanks.

        A value of a Match block overrides the global one; among blocks the first wins.
        """
        everywhere: dict[str, str] = {}
        matched: dict[str, str] = {}
        known: dict[Match, bool] = {}
        by_name = next((setting.value for setting in self.settings if setting.keyword == "usedns" and not setting.matches), "no").lower() == "yes"
        for setting in self.settings:
            if setting.matches and client is None:
                continue
            applies = True
            for match in setting.matches:
                if match not in known:
                    answer = _matches(match, client, by_name) if client is not None else False
                    if isinstance(answer, Unobserved):
                        return answer
                    known[match] = answer
                applies = applies and known[match]
            if applies:
                _add(matched if setting.matches else everywhere, setting)
        return everywhere | matched


def _add(values: dict[str, str], setting: Setting) -> None:
    if setting.keyword not in values:
        values[setting.keyword] = setting.value
    elif setting.keyword in LISTS:
        values[setting.keyword] += " " + setting.value


def read(look: Look, path: str, options: tuple[str, ...] = ()) -> SshdConfig | Unobserved:
    """The configuration that begins at `path`; `options` are those of `sshd -o`, which come first."""
    reader = _Reader(look)
    for option in options:
        keyword, _, value = option.partition("=") if "=" in option else option.partition(" ")
        reader.settings.append(Setting(_keyword(keyword), value.strip(), (), "-o", 0))
    doubt = reader.file(path, (), 0)
    return doubt if doubt is not None else SshdConfig(tuple(reader.settings), tuple(reader.files), tuple(reader.directories))


class _Reader:
    """Follows includes."""

    def __init__(self, look: Look) -> None:
        self.look = look
        self.settings: list[Setting] = []
        self.files: list[str] = []
        self.directories: list[str] = []
        self.lines = 0

    def file(self, path: str, outer: tuple[Match, ...], depth: int) -> Unobserved | None:
        """Read one file; returns why that was not possible."""
        lines = self.look.lines(_source(self.look, path))
        if isinstance(lines, Unobserved):
            return lines
        if depth > MAX_DEPTH:
            return Unobserved(Reason.FORMAT, path, Text("互相包含过深", "includes are nested too deeply"))
        if path not in self.files:
            self.files.append(path)
        inner: tuple[Match, ...] = ()
        for number, line in enumerate(lines, 1):
            self.lines += 1
            if self.lines > MAX_LINES:
                return Unobserved(Reason.FORMAT, path, Text("行数过多", "more lines than any real configuration has"))
            words = split(line)
            if words is None:
                return _unclear(path, number)
            if not words:
                continue
            keyword = _keyword(words[0])
            if keyword == "match":
                criteria = _criteria(words[1:])
                if criteria is None:
                    return _unclear(path, number)
                inner = (Match(criteria, path, number),)
            elif keyword == "include":
                for pattern in words[1:]:
                    doubt = self.include(pattern, outer + inner, depth + 1)
                    if doubt is not None:
                        return doubt
            elif len(words) < 2:
                return _unclear(path, number)
            else:
                value = " ".join(words[1:])
                self.settings.append(Setting(keyword, value, outer + inner, path, number))
        return None

    def include(self, pattern: str, outer: tuple[Match, ...], depth: int) -> Unobserved | None:
        """Files of a pattern, in the order of glob(7) in the C locale. No file is no error."""
        path = pattern if pattern.startswith("/") else f"/etc/ssh/{pattern}"
        directory, _, name = path.rpartition("/")
        if not re.search(r"[*?\[]", path):
            if self.look.source(_source(self.look, path)).status is Status.ABSENT:
                return None
            return self.file(path, outer, depth)
        if re.search(r"[*?\[]", directory):
            return Unobserved(Reason.FORMAT, path, Text("目录部分含通配符的 Include", "an Include with a pattern in its directory"))
        listed = self.look.text_or_none(f"{directory}/")
        if isinstance(listed, Unobserved):
            return listed
        if directory not in self.directories:
            self.directories.append(directory)
        names = sorted(listed.split("\n")) if listed else []
        for each in names:
            if fnmatchcase(each, name) and not (each.startswith(".") and not name.startswith(".")):
                doubt = self.file(f"{directory}/{each}", outer, depth)
                if doubt is not None:
                    return doubt
        return None


def _source(look: Look, path: str) -> str:
    return path if path.startswith(("/etc/ssh/", "/usr/etc/ssh/")) else listing.included(look, path, "ssh")


def _unclear(path: str, number: int) -> Unobserved:
    return Unobserved(Reason.FORMAT, path, Text(f"第 {number} 行无法理解", f"line {number} is not understood"))


def _keyword(word: str) -> str:
    low = word.lower()
    return ALIASES.get(low, low)


def split(line: str) -> list[str] | None:
    """Words of a line: keyword, blanks or one `=`, arguments; double or single quotes; `#` begins a comment. None for an open quote."""
    text = line.strip(" \t\r\f")
    if not text or text.startswith("#"):
        return []
    words: list[str] = []
    at = 0
    first = re.match(r'"[^"]*"|[^\s="]+', text)
    if first is None:
        return None
    words.append(first[0].strip('"'))
    at = first.end()
    separator = re.compile(r"[ \t]*=?[ \t]*").match(text, at)
    at = separator.end() if separator else at
    while at < len(text):
        char = text[at]
        if char in " \t":
            at += 1
        elif char == "#":
            break
        else:
            word, at = _word(text, at)
            if word is None:
                return None
            words.append(word)
    return words


def _word(text: str, at: int) -> tuple[str | None, int]:
    made: list[str] = []
    quote = ""
    while at < len(text):
        char = text[at]
        if char == "\\" and at + 1 < len(text) and text[at + 1] in "\"'\\":
            made.append(text[at + 1])
            at += 2
            continue
        if quote:
            if char == quote:
                quote = ""
            else:
                made.append(char)
        elif char in "\"'":
            quote = char
        elif char in " \t":
            break
        else:
            made.append(char)
        at += 1
    return (None if quote else "".join(made)), at


# --- Match -----------------------------------------------------------------------------------------------------------

_CRITERIA = frozenset(["user", "group", "host", "address", "localaddress", "localport", "rdomain", "version", "command", "tagged", "sessiontype"])


def _criteria(words: list[str]) -> tuple[tuple[str, str], ...] | None:
    """`User a,b Address 192.0.2.0/24` or `User=a,b`; None when it is not understood."""
    made: list[tuple[str, str]] = []
    at = 0
    while at < len(words):
        name, equals, value = words[at].partition("=")
        name = name.lower()
        at += 1
        if name in ("all", "invalid-user"):
            made.append((name, ""))
            continue
        if name not in _CRITERIA:
            return None
        if not equals:
            if at >= len(words):
                return None
            value = words[at]
            at += 1
        made.append((name, value))
    return tuple(made) if made else None


def _matches(match: Match, client: Client, by_name: bool) -> bool | Unobserved:
    doubt: Unobserved | None = None
    for name, value in match.criteria:
        answer = _named(f"{match.file}:{match.line}") if by_name and name == "host" and _names_hosts(value) else _criterion(name, value, client, match)
        if answer is False:
            return False
        if isinstance(answer, Unobserved):
            doubt = answer
    return doubt if doubt is not None else True


def _criterion(name: str, value: str, client: Client, match: Match) -> bool | Unobserved:
    where = f"{match.file}:{match.line}"
    if name == "all":
        return True
    if name == "invalid-user":
        return not client.exists
    if name == "user":
        return matches_list(client.user, value)
    if name == "group":
        if client.groups is None:
            return Unobserved(Reason.NO_DATA, where, Text("用户组不可知，无法判断 Match Group", "a Match Group cannot be decided: the groups are not known"))
        return matches_any(client.groups, value)
    if name in ("address", "host"):
        # Without UseDNS the host name of a client is its address.
        return matches_address(client.address, value)
    if name == "localport":
        return matches_list(str(client.port), value)
    if name == "localaddress" and client.local_address is not None:
        return matches_address(client.local_address, value)
    why = Text(f"无法判断条件 Match {name}", f"the criterion Match {name} cannot be decided")
    return Unobserved(Reason.FORMAT, where, why)


def _named(where: str) -> Unobserved:
    why = Text("启用了 UseDNS，按主机名的规则对哪些地址生效看不到", "with UseDNS on, which addresses a rule by host name is about cannot be seen")
    return Unobserved(Reason.NO_VANTAGE, where, why)


def _names_hosts(patterns: str) -> bool:
    """Whether some pattern of a list has a letter that no address has."""
    return any(not re.fullmatch(r"[0-9a-fA-F.:*?/\[\]]*", pattern.removeprefix("!")) for pattern in patterns.split(","))


def matches_list(word: str, patterns: str) -> bool:
    """match_pattern_list of OpenSSH: some pattern matches, and none that is negated."""
    found = False
    for pattern in patterns.split(","):
        negated = pattern.startswith("!")
        if matches_pattern(word, pattern.removeprefix("!")):
            if negated:
                return False
            found = True
    return found


def matches_any(words: tuple[str, ...], patterns: str) -> bool:
    """ga_match_pattern_list: a negated pattern that matches any group refuses."""
    found = False
    for word in words:
        for pattern in patterns.split(","):
            negated = pattern.startswith("!")
            if matches_pattern(word, pattern.removeprefix("!")):
                if negated:
                    return False
                found = True
    return found


def matches_pattern(word: str, pattern: str) -> bool:
    """`*` and `?` only; brackets are plain characters in OpenSSH."""
    plain = re.sub(r"[\[\]]", lambda found: f"[{found[0]}]" if found[0] == "[" else found[0], pattern)
    return fnmatchcase(word, plain)


def matches_address(address: str, patterns: str) -> bool:
    """addr_match_list: prefixes and wildcard patterns, negated ones refuse."""
    found = False
    for pattern in patterns.split(","):
        negated = pattern.startswith("!")
        plain = pattern.removeprefix("!")
        if _in_prefix(address, plain) or matches_pattern(address, plain.lower()):
            if negated:
                return False
            found = True
    return found


def _in_prefix(address: str, words: str) -> bool:
    try:
        return ip_address(address) in ip_network(words, strict=False)
    except (ValueError, TypeError):
        return False


# --- who may log in --------------------------------------------------------------------------------------------------


def admits(settings: Mapping[str, str], client: Client, where: str) -> bool | Unobserved:
    """allowed_user of OpenSSH: DenyUsers, AllowUsers, DenyGroups, AllowGroups, in this order."""
    doubt: Unobserved | None = None
    denied = settings.get("denyusers", "").split()
    if any(matches_user(client, pattern) for pattern in denied):
        return False
    allowed = settings.get("allowusers", "").split()
    named = settings.get("usedns", "no").lower() == "yes"
    if named and any(_may_match_by_name(client, pattern) for pattern in denied):
        doubt = _named(where)
    if allowed and not any(matches_user(client, pattern) for pattern in allowed):
        if not (named and any(_may_match_by_name(client, pattern) for pattern in allowed)):
            return False
        doubt = _named(where)
    without, groups = settings.get("denygroups", "").split(), settings.get("allowgroups", "").split()
    if (without or groups) and client.groups is None:
        return Unobserved(Reason.NO_DATA, where, Text("用户组不可知，无法判断 AllowGroups", "AllowGroups cannot be decided: the groups are not known"))
    names = client.groups or ()
    if any(matches_any(names, pattern) for pattern in without):
        return False
    if groups and not any(matches_any(names, pattern) for pattern in groups):
        return False
    return True if doubt is None else doubt


def _may_match_by_name(client: Client, pattern: str) -> bool:
    user, at, host = pattern.rpartition("@")
    return bool(at) and matches_pattern(client.user, user) and _names_hosts(host)


def matches_user(client: Client, pattern: str) -> bool:
    """`user` or `user@host`, the host a list of prefixes and patterns."""
    user, at, host = pattern.rpartition("@")
    if not at:
        return matches_pattern(client.user, pattern)
    return matches_pattern(client.user, user) and matches_address(client.address, host)


def prefixes_of(settings: Callable[[], Iterator[str]]) -> Iterator[str]:
    """Addresses and prefixes that patterns mention, so that a grid can hold one client of each."""
    for words in settings():
        for pattern in re.split(r"[\s,]+", words):
            host = pattern.rpartition("@")[2].removeprefix("!")
            if re.fullmatch(r"[0-9a-fA-F.:]+(/[0-9]{1,3})?", host) and re.search(r"[.:]", host):
                yield host
            elif re.fullmatch(r"[0-9.]+\*", host):
                parts = host.rstrip("*.").split(".")
                yield ".".join((parts + ["0"] * 4)[:4]) + f"/{8 * min(len(parts), 4)}"
