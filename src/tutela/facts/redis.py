"""Redis, Valkey and Sentinel: where they listen, whether they ask for a password, as whom they run.

Sources: redis.conf with its `include`s in place (the last value wins), ACL rules of `user` lines or of `aclfile` (Redis manual, ACL), the running servers, and what a server answers to PING without a password on loopback.
Of passwords only their presence leaves the host (NC3).
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from tutela.evidence import Reason, Unobserved
from tutela.facts import bound
from tutela.facts.bound import Endpoint, Process, Service
from tutela.facts.listing import entries, matching
from tutela.facts.look import Look
from tutela.facts.unseen import unseen
from tutela.language import Text
from tutela.record import record

SERVICE = Service(
    processes=("redis-server", "redis-sentinel", "valkey-server", "valkey-sentinel", "keydb-server"),
    ports=(6379, 16379, 26379),
    packages=("redis", "redis-server", "redis-sentinel", "redis[567]", "valkey", "valkey-server", "valkey-sentinel", "keydb*"),
)
DIRECTORIES = ("/etc/redis", "/etc/valkey")
FILES = ("/etc/redis.conf", "/etc/redis-sentinel.conf")
PING = "redis-cli -h 127.0.0.1 -p "
NEEDS = (*bound.NEEDS, *FILES, *(f"{one}/" for one in DIRECTORIES), PING)
MAX_FILES = 100


@record
class Server:
    """Server(port=6379, auth=False, protected_mode=True, root=False, reached='open', renamed=('CONFIG',))"""

    port: int
    auth: bool | Unobserved
    """A stranger's command is refused."""
    protected_mode: bool | Unobserved
    root: bool | Unobserved
    reached: str | Unobserved
    """socket | loopback | firewall only | open: the widest of its endpoints."""
    renamed: tuple[str, ...]
    """Commands that `rename-command` hides."""


@record
class Redis:
    """Redis(present=True, endpoints=(Endpoint(…),), servers=(Server(…),))"""

    present: bool | Unobserved
    endpoints: tuple[Endpoint, ...] | Unobserved
    servers: tuple[Server, ...] | Unobserved
    """Running ones."""


@record
class _Settings:
    """One configuration file with all it includes."""

    values: dict[str, str]
    auth: bool | Unobserved
    renamed: tuple[str, ...]


def parse(look: Look) -> Redis | Unobserved:
    """The fact; Unobserved when neither processes nor sockets were seen."""
    up = bound.running(look, SERVICE)
    found = bound.endpoints(look, SERVICE)
    if isinstance(up, Unobserved) and isinstance(found, Unobserved):
        return up
    files = _files(look)
    settings = files if isinstance(files, Unobserved) else {name: read for name in files if (read := _settings(look, name)) is not None}
    configured = settings if isinstance(settings, Unobserved) else bool(settings)
    return Redis(
        present=bound.present(look, SERVICE, configured),
        endpoints=found,
        servers=up if isinstance(up, Unobserved) else _servers(look, up, found, settings),
    )


def _servers(
    look: Look, up: tuple[Process, ...], found: tuple[Endpoint, ...] | Unobserved, settings: dict[str, _Settings | Unobserved] | Unobserved
) -> tuple[Server, ...]:
    servers = [_server(look, one, found, settings) for one in up]
    ports = {one.port for one in servers}
    if not isinstance(found, Unobserved):
        # Ports that answer for a server in a container, and TLS ports of servers named above by their plain port.
        others = sorted({one.port for one in found if one.process not in SERVICE.processes} - ports)
        servers += [Server(port, _answer(look, port), _unseen(), _unseen(), _reached(found, port), ()) for port in others]
    return tuple(servers)


def _server(look: Look, one: Process, found: tuple[Endpoint, ...] | Unobserved, settings: dict[str, _Settings | Unobserved] | Unobserved) -> Server:
    title = next((match for word in one.words if (match := _TITLE.fullmatch(word))), None)
    port = int(title[1]) if title else 0
    mine = _configuration(one, port, settings)
    answer = _answer(look, port)
    auth = answer
    if isinstance(answer, Unobserved):
        # A password may have been given to the running server only; its files cannot say that none was.
        auth = mine if isinstance(mine, Unobserved) else mine.auth or unseen(look, f"{PING}{port} ping") or False
    reached: str | Unobserved = "socket" if port == 0 else _reached(found, port)
    if not isinstance(mine, Unobserved) and reached in ("socket", "loopback") and (tls := mine.values.get("tls-port", "0")) != "0" and tls.isdigit():
        reached = _reached(found, int(tls[:5]))
    return Server(
        port=port,
        auth=auth,
        protected_mode=mine if isinstance(mine, Unobserved) else mine.values.get("protected-mode", "yes") != "no",
        root=Unobserved(Reason.NO_DATA, bound.PROCESSES, Text("看不到运行账户", "its account was not seen"))
        if one.uid is None
        else one.uid == 0 and not one.container,
        reached=reached,
        renamed=() if isinstance(mine, Unobserved) else mine.renamed,
    )


_TITLE = re.compile(r"\S{0,80}:([0-9]{1,5})")


def _configuration(one: Process, port: int, settings: dict[str, _Settings | Unobserved] | Unobserved) -> _Settings | Unobserved:
    """The configuration of a running server: the file that names its port."""
    if one.container:
        return _unseen()
    if isinstance(settings, Unobserved):
        return settings
    doubt = None
    sentinel = "sentinel" in one.name or "[sentinel]" in one.words
    for name, read in settings.items():
        if isinstance(read, Unobserved):
            doubt = doubt or read
            continue
        default = "26379" if "sentinel" in name else "6379"
        plain = read.values.get("port", default)
        shown = plain if plain != "0" else read.values.get("tls-port", "0")  # a server without the plain port names the other one
        if ("sentinel" in name or "sentinel" in read.values) == sentinel and shown == str(port):
            return read
    return doubt or Unobserved(Reason.NO_DATA, bound.PROCESSES, Text(f"没有找到端口 {port} 的配置文件", f"no configuration file names port {port}"))


def _unseen() -> Unobserved:
    return Unobserved(Reason.NO_VANTAGE, bound.PROCESSES, Text("它在容器里运行，其配置看不到", "it runs in a container whose configuration is not seen"))


def _answer(look: Look, port: int) -> bool | Unobserved:
    """What the server says to PING without a password."""
    name = f"{PING}{port} ping"
    text = look.text(name)
    if isinstance(text, Unobserved):
        return text
    said = text.strip()
    if said in ("PONG", "NOAUTH"):
        return said == "NOAUTH"
    return Unobserved(Reason.NO_ANSWER, name, Text("没有可用的回答", "no answer that tells"))


def _reached(found: tuple[Endpoint, ...] | Unobserved, port: int) -> str | Unobserved:
    if isinstance(found, Unobserved):
        return found
    states = [one.state for one in found if one.port == port and one.protocol == "tcp"]
    for wide in ("open", "firewall only"):
        if wide in states:
            return wide
    return next((one for one in states if isinstance(one, Unobserved)), "loopback" if states else "socket")


# --- configuration ---------------------------------------------------------------------------------------------------


def _files(look: Look) -> tuple[str, ...] | Unobserved:
    names = list(FILES)
    for directory in DIRECTORIES:
        listed = entries(look, directory)
        if isinstance(listed, Unobserved):
            return listed
        names += [f"{directory}/{name}" for name in listed if name.endswith(".conf")]
    return tuple(names)


def _settings(look: Look, name: str) -> _Settings | Unobserved | None:
    """Everything one configuration says; None when there is no such file."""
    text = look.text_or_none(name)
    if text is None or isinstance(text, Unobserved):
        return text
    values: dict[str, str] = {}
    users: list[str] = []
    renamed: list[str] = []
    stack: list[Iterator[str]] = [iter(text.split("\n"))]
    read = 0
    while stack:
        line = next(stack[-1], None)
        if line is None:
            stack.pop()
            continue
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        key = words[0].lower()
        if key == "include" and len(words) > 1:
            inner = _included(look, words[1].strip("\"'"))
            if isinstance(inner, Unobserved):
                return inner
            read += 1
            if read > MAX_FILES:
                return Unobserved(Reason.FORMAT, name, Text("包含的文件过多", "too many includes"))
            stack += [iter(one.split("\n")) for one in reversed(inner)]
        elif key == "user":
            users.append(line.strip())
        elif key == "rename-command" and len(words) > 1:
            renamed.append(words[1].upper())
        else:
            values[key] = " ".join(words[1:]).strip("\"'")
    if values.get("aclfile"):
        acl = look.text(values["aclfile"])
        auth = acl if isinstance(acl, Unobserved) else _default_user([line.strip() for line in acl.split("\n")], None)
    else:
        auth = _default_user(users, values.get("requirepass"))
    return _Settings(values, auth, tuple(renamed))


def _included(look: Look, path: str) -> list[str] | Unobserved:
    if not path.startswith("/"):
        return Unobserved(Reason.FORMAT, path[:120], Text("相对路径的 include", "an include with a relative path"))
    names = matching(look, path)
    if isinstance(names, Unobserved):
        return names
    texts = []
    for name in names:
        text = look.text(name)
        if isinstance(text, Unobserved):
            return text
        texts.append(text)
    return texts


def _default_user(users: list[str], requirepass: str | None) -> bool:
    """Whether the user `default`, who everybody is before AUTH, is refused without a password.

    Rules are applied from left to right. Without a line the user is `on nopass`; a line begins at nothing, and a password ends `nopass`.
    """
    locked = bool(requirepass) and requirepass != "empty"
    for line in users:
        words = line.split()
        if words[:2] != ["user", "default"]:
            continue
        on, nopass = False, False
        for rule in words[2:]:
            if rule in ("on", "off"):
                on = rule == "on"
            elif rule == "nopass":
                nopass = True
            elif rule in ("reset", "resetpass"):
                nopass = False
                on = on and rule == "resetpass"
            elif rule.startswith((">", "#")):
                nopass = False
        locked = not on or not nopass
    return locked
