"""The SSH servers of a host: which run, with which files, whether those are what the running server has read.

Sources: sshd(8) `-T` and `-t`, dropbear(8); see `guards` for processes and units, `sshd_config` for the files.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime

from tutela.evidence import Reason, Status, Unobserved
from tutela.facts import guards, since_boot, sockets, sshd_config, units
from tutela.facts.guards import Guards, Process, UnitState
from tutela.facts.look import Look
from tutela.facts.sshd_config import SshdConfig
from tutela.facts.unseen import unseen
from tutela.language import Text
from tutela.record import record

CONFIG = "/etc/ssh/sshd_config"
VENDOR_CONFIG = "/usr/etc/ssh/sshd_config"
EFFECTIVE = "sshd -T"
TEST = "sshd -t"
ENVIRONMENTS = ("/etc/default/ssh", "/etc/sysconfig/sshd")
FILES = "stat -L -c '%a %u %g %Y %n' (ssh files)"
STATUS_CHANGES = "stat -L -c '%Z %n' (ssh configuration)"
PID_FILE = "/run/sshd.pid"
"""Where nothing says otherwise."""
NEEDS = (CONFIG, VENDOR_CONFIG, EFFECTIVE, TEST, FILES, STATUS_CHANGES, PID_FILE, *ENVIRONMENTS, *guards.NEEDS, *sockets.NEEDS, *units.NEEDS)


@record
class Server:
    """Server(name='sshd', kind='openssh', config='/etc/ssh/sshd_config', ports=(22,), running=True, …)"""

    name: str
    """`sshd`, `sshd -f /etc/ssh/sshd_internal`, `dropbear`."""
    kind: str
    """openssh | dropbear"""
    path: str
    """The configuration file; empty for dropbear, which has none."""
    options: tuple[str, ...]
    """Of OpenSSH the values of `-o`, which win over the file; of dropbear its flags."""
    ports: tuple[int, ...] | Unobserved
    pids: tuple[int, ...]
    running: bool
    """False: it will start at the next boot or connection."""
    by_socket: bool
    """systemd owns the port."""
    each: bool
    """It starts one for each connection, so none of them knows what happened to the others."""
    stale: bool | Unobserved
    """A file it reads is newer than its start or last reload, so what it does is not known."""
    newest: str | None
    """That file."""
    valid: bool | Unobserved
    """`sshd -t` accepts the files."""
    complaint: str
    """What `sshd -t` said."""
    base: dict[str, str] | Unobserved
    """Effective global settings, from `sshd -T`; from the files and OpenSSH's defaults where that may not be run."""
    derived: bool
    """`base` comes from the files alone."""
    config: SshdConfig | Unobserved


@record
class SshServers:
    """SshServers(servers=(Server(…),), duplicates=())"""

    servers: tuple[Server, ...]
    duplicates: tuple[str, ...]
    """Servers that run twice with one configuration, by their processes."""


def parse(look: Look) -> SshServers | Unobserved:
    """The fact; servers that neither run nor will start are none."""
    guarding = look.fact(guards.parse)
    if isinstance(guarding, Unobserved):
        return guarding
    if isinstance(guarding.processes, Unobserved):
        return guarding.processes
    listening = look.fact(sockets.parse)
    found: dict[tuple[str, tuple[str, ...], str], list[Process]] = {}
    for process in guarding.processes:
        if process.name == "dropbear":
            found.setdefault(("dropbear", _dropbear_flags(process.words), ""), []).append(process)
        elif process.name == "sshd" and _is_listener(process.words):
            path, options = _sshd_words(look, process.words)
            found.setdefault(("openssh", options, path), []).append(process)
    unit = _unit(guarding)
    by_socket = _socket_unit(guarding)
    default = _default_path(look)
    if not any(kind == "openssh" and path == default for kind, _, path in found) and (by_socket is not None or (unit is not None and unit.at_boot)):
        added = _unit_options(look, by_socket)
        found["openssh", () if isinstance(added, Unobserved) else added, default] = []
    if not found and (hidden := _hidden(look, guarding, listening)) is not None:
        return hidden
    servers = [_server(look, kind, path, options, processes, guarding, by_socket, listening) for (kind, options, path), processes in sorted(found.items())]
    servers += _strangers(look, servers, listening)
    if not servers and look.by_ssh:
        return Unobserved(
            Reason.NO_DATA, guards.PROCESSES, Text("我们经由 SSH 登录，却没有找到是哪个 SSH 服务", "it let us in over SSH, and by which server was not found")
        )
    twice = [f"{server.name}: {', '.join(map(str, server.pids))}" for server in servers if len(server.pids) > 1]
    return SshServers(tuple(servers), tuple(twice))


def _hidden(look: Look, guarding: Guards, listening: sockets.Sockets | Unobserved) -> Unobserved | None:
    """Why an SSH server that does not show is no proof of absence: its unit, the sockets or the processes of others may be invisible."""
    if look.source(CONFIG).status is Status.ABSENT:
        return None
    for part in (guarding.units, listening):
        if isinstance(part, Unobserved):
            return part
    assert not isinstance(listening, Unobserved)
    if any(one.protocol == "tcp" and not one.local and isinstance(one.pid, Unobserved) for one in listening.listening):
        return Unobserved(Reason.PRIVILEGE, guards.PROCESSES, Text("没有 root 权限，看不到 SSH 服务是否在运行", "only root sees whether an SSH server runs"))
    return None


def _strangers(look: Look, servers: list[Server], listening: sockets.Sockets | Unobserved) -> list[Server]:
    """An sshd or dropbear that listens and was not among the processes: one in a container that shares the host's network, for one."""
    if isinstance(listening, Unobserved):
        return [] if unseen(look, sockets.SS) is None else [_stranger("sshd (?)", "openssh", listening, (), listening)]
    known = {pid for server in servers for pid in server.pids} | {1}
    ports: dict[tuple[str, int], set[int]] = {}
    for one in listening.listening:
        if one.protocol == "tcp" and not one.local and one.process in ("sshd", "dropbear") and isinstance(one.pid, int) and one.pid not in known:
            ports.setdefault((str(one.process), one.pid), set()).add(one.port)
    made = []
    for (name, pid), numbers in sorted(ports.items()):
        why = Text(f"不知道进程 {pid} 用的是什么配置（可能在容器内）", f"it is not known how process {pid} is configured; it may be in a container")
        doubt = Unobserved(Reason.NO_DATA, f"{name} ({pid})", why)
        made.append(_stranger(f"{name} ({pid})", "openssh" if name == "sshd" else "dropbear", tuple(sorted(numbers)), (pid,), doubt))
    return made


def _stranger(name: str, kind: str, ports: tuple[int, ...] | Unobserved, pids: tuple[int, ...], doubt: Unobserved) -> Server:
    """A server of which nothing is known but that it runs, or may run."""
    return Server(
        name=name,
        kind=kind,
        path="",
        options=(),
        ports=ports,
        pids=pids,
        running=True,
        by_socket=False,
        each=False,
        stale=doubt,
        newest=None,
        valid=doubt,
        complaint="",
        base=doubt,
        derived=False,
        config=doubt,
    )


def _default_path(look: Look) -> str:
    absent = look.source(CONFIG).status in (Status.ABSENT, Status.MISSING)
    return VENDOR_CONFIG if absent and look.source(VENDOR_CONFIG).status is Status.OK else CONFIG


def _unit(guarding: Guards) -> UnitState | None:
    unit = guarding.unit("ssh.service", "sshd.service")
    return None if isinstance(unit, Unobserved) else unit


def _socket_unit(guarding: Guards) -> UnitState | None:
    """The socket unit that owns the port, if one does: the other one may be there as well, and shut."""
    if isinstance(guarding.units, Unobserved):
        return None
    return next((unit for name in ("ssh.socket", "sshd.socket") if (unit := guarding.units.get(name)) is not None and unit.running), None)


def _unit_options(look: Look, socket: UnitState | None) -> tuple[str, ...] | Unobserved:
    """What its unit hands to a server that does not run yet, or to each that systemd starts for a connection."""
    words = ["sshd", "$SSHD_OPTS", "$OPTIONS"]  # as Debian and Red Hat ship it
    if socket is not None and socket.accepts:
        loaded = look.fact(units.still)
        if isinstance(loaded, Unobserved):
            return loaded
        # The newest connection is the look itself, when it came that way.
        started = [(int(found[1]), unit) for unit in loaded.by_id.values() if (found := re.match(r"sshd?@([0-9]{1,9})-", unit.id)) and unit.commands]
        words = max(started, key=lambda one: one[0])[1].commands[-1].words.split() if started else words
    variables: dict[str, str] = {}
    for name in ENVIRONMENTS:
        text = look.text_or_none(name) or ""
        if isinstance(text, Unobserved):
            return text
        variables |= dict(re.findall(r"^([A-Z_]+)=(.*)$", text, re.MULTILINE))
    made = [part for word in words for part in (variables.get(word[1:], "").strip("\"' ").split() if word.startswith("$") else [word])]
    return _sshd_words(look, tuple(made))[1]


def _is_listener(words: tuple[str, ...]) -> bool:
    """Not a session, nor a server that inetd or a socket with Accept=yes started for one connection, nor a test of the configuration."""
    if not words or {"-i", "-t", "-T", "-G"} & set(words):
        return False
    return words[0].startswith("/") or words[0] == "sshd" or (words[0] == "sshd:" and "[listener]" in words)


def _sshd_words(look: Look, words: tuple[str, ...]) -> tuple[str, tuple[str, ...]]:
    """Configuration file and options of a command line; -p and -f become what they stand for."""
    path = _default_path(look)
    options: list[str] = []
    rest = list(words[1:] if words[0] != "sshd:" else words[2:])
    while rest:
        word = rest.pop(0)
        if word == "[listener]":
            break
        for flag in ("-f", "-p", "-o", "-h", "-g"):
            if word == flag and rest:
                word = flag + rest.pop(0)
        value = word[2:]
        if word.startswith("-f") and value:
            path = value
        elif word.startswith("-p") and value:
            options.append(f"Port={value}")
        elif word.startswith("-o") and value:
            options.append(value)
        elif word.startswith("-g") and value:
            options.append(f"LoginGraceTime={value}")
    return path, tuple(options)


def _dropbear_flags(words: tuple[str, ...]) -> tuple[str, ...]:
    """`-s -g -p 2222` -> ('-s', '-g', '-p', '2222'); bundled letters are separated."""
    made: list[str] = []
    takes_value = "bpPrWKIcDGVTu"
    for word in words[1:]:
        if re.fullmatch(r"-[A-Za-z]{2,}", word) and word[1] not in takes_value:
            made += [f"-{letter}" for letter in word[1:]]
        elif re.fullmatch(r"-p.+", word):
            made += ["-p", word[2:]]
        else:
            made.append(word)
    return tuple(made)


def _server(
    look: Look,
    kind: str,
    path: str,
    options: tuple[str, ...],
    processes: list[Process],
    guarding: Guards,
    by_socket: UnitState | None,
    listening: sockets.Sockets | Unobserved,
) -> Server:
    pids = tuple(process.pid for process in processes)
    if kind == "dropbear":
        return Server(
            name="dropbear",
            kind=kind,
            path="",
            options=options,
            ports=_ports(pids, listening) or _dropbear_ports(options),
            pids=pids,
            running=True,
            by_socket=False,
            each=False,
            stale=False,
            newest=None,
            valid=True,
            complaint="",
            base={},
            derived=False,
            config=SshdConfig((), ()),
        )
    is_default = path == _default_path(look)
    suffix = "" if is_default else f" -f {path}"
    config = look.fact(_Config(path, options))
    socket = by_socket if is_default else None
    base, derived = _base(look, f"{EFFECTIVE}{suffix}", config, options)
    if not processes and isinstance(added := _unit_options(look, socket), Unobserved):
        base = added
    valid, complaint = _valid(look, f"{TEST}{suffix}")
    stale, newest = _stale(look, config, base, processes, guarding) if processes else (False, None)
    ports: tuple[int, ...] | Unobserved = _ports(pids, listening)
    if socket is not None and not ports:
        ports = socket.listens
    if not ports:
        ports = _configured_ports(base)
        if processes and isinstance(ports, tuple) and not _listened(ports, listening):
            why = Text("它在运行，却没有在其配置的端口上监听", "it runs, and does not listen where its files say")
            ports = Unobserved(Reason.NO_DATA, sockets.SS, why)
    return Server(
        name=f"sshd{suffix}",
        kind=kind,
        path=path,
        options=options,
        ports=ports,
        pids=pids,
        running=bool(processes) or socket is not None,
        by_socket=socket is not None,
        each=socket is not None and socket.accepts,
        stale=stale,
        newest=newest,
        valid=valid,
        complaint=complaint,
        base=base,
        derived=derived,
        config=config,
    )


def _ports(pids: tuple[int, ...], listening: sockets.Sockets | Unobserved) -> tuple[int, ...]:
    """Where these processes listen, as far as the sockets say."""
    if isinstance(listening, Unobserved):
        return ()
    return tuple(sorted({one.port for one in listening.listening if one.protocol == "tcp" and one.pid in pids}))


def _listened(ports: tuple[int, ...], listening: sockets.Sockets | Unobserved) -> bool:
    """Whether somebody listens on one of them, as far as that was seen."""
    return isinstance(listening, Unobserved) or any(one.protocol == "tcp" and one.port in ports for one in listening.listening)


def _configured_ports(base: dict[str, str] | Unobserved) -> tuple[int, ...] | Unobserved:
    if isinstance(base, Unobserved):
        return base
    ports = {int(word) for word in base.get("port", "22").split() if re.fullmatch(r"[0-9]{1,5}", word)}
    for word in base.get("listenaddress", "").split():
        found = re.fullmatch(r"(?:\[[0-9a-fA-F:.%]+\]|[^:\s]+):([0-9]{1,5})", word)
        ports |= {int(found[1])} if found else set()
    return tuple(sorted(ports))


def _dropbear_ports(options: tuple[str, ...]) -> tuple[int, ...]:
    ports = [options[at + 1].rpartition(":")[2] for at, word in enumerate(options[:-1]) if word == "-p"]
    return tuple(sorted({int(port) for port in ports if re.fullmatch(r"[0-9]{1,5}", port)})) or (22,)


def read_effective(text: str) -> dict[str, str]:
    """The lines of `sshd -T`, repeated keywords joined with blanks."""
    made: dict[str, str] = {}
    for line in text.split("\n"):
        keyword, _, value = line.strip().partition(" ")
        if not keyword:
            continue
        keyword = sshd_config.ALIASES.get(keyword.lower(), keyword.lower())
        made[keyword] = f"{made[keyword]} {value}" if keyword in made and keyword in sshd_config.LISTS else made.get(keyword, value)
    return made


@record
class Effective:
    """A fact of its own for each call of `sshd -T`: its settings; none where it printed nothing."""

    name: str

    def __call__(self, look: Look) -> dict[str, str] | Unobserved:
        """The settings as sshd says them."""
        text = look.text(self.name)
        return text if isinstance(text, Unobserved) else read_effective(text)


@record
class _Config:
    """A fact of its own for each server: its files, which hosts of a fleet share."""

    path: str
    options: tuple[str, ...]

    def __call__(self, look: Look) -> SshdConfig | Unobserved:
        return sshd_config.read(look, self.path, self.options)


def _base(look: Look, name: str, config: SshdConfig | Unobserved, options: tuple[str, ...]) -> tuple[dict[str, str] | Unobserved, bool]:
    """Global settings, and whether they were only derived from the files."""
    said = look.fact(Effective(name))
    given: dict[str, str] = {}
    for option in options:
        keyword, _, value = option.partition("=")
        given.setdefault(sshd_config.ALIASES.get(keyword.lower(), keyword.lower()), value)
    if not isinstance(said, Unobserved) and said:
        return said | given, False
    # Where a Match asks for the address or port of the connection, sshd -T fails since OpenSSH 9 unless it is told one.
    needs_connection = look.source(name).status is Status.FAILED and isinstance(config, SshdConfig) and config.asks("localport", "localaddress", "rdomain")
    if look.source(name).status not in (Status.DENIED, Status.ABSENT) and not needs_connection:
        return said if isinstance(said, Unobserved) else Unobserved(Reason.FORMAT, name, Text("没有输出", "it printed nothing")), False
    if isinstance(config, Unobserved):
        return config, True
    stated = config.stated()
    return stated if isinstance(stated, Unobserved) else {**sshd_config.DEFAULTS, **stated}, True


def _valid(look: Look, name: str) -> tuple[bool | Unobserved, str]:
    evidence = look.source(name)
    text = look.text(name)
    if evidence.status is Status.MISSING:
        effective = look.text(EFFECTIVE + name.removeprefix(TEST))
        return (effective if isinstance(effective, Unobserved) else True), ""
    if isinstance(text, Unobserved):
        return text, ""
    if evidence.rc == 0:
        return True, ""
    complaint = " ".join(text.split())[:200]
    if "privilege separation directory" in text or "no hostkeys available" in text:
        return Unobserved(Reason.NO_ANSWER, name, Text(f"无法检查：{complaint}", f"it cannot check: {complaint}")), complaint
    return False, complaint


_FILE = re.compile(r"([0-7]{3,6}) ([0-9]{1,10}) ([0-9]{1,10}) (-?[0-9]{1,12}) (/.*)")


@record
class FileMode:
    """FileMode(path='/root/.ssh', mode=0o700, uid=0, gid=0)"""

    path: str
    mode: int
    uid: int
    gid: int


def files(look: Look) -> dict[str, FileMode] | Unobserved:
    """Mode and owner of the files that sshd trusts; those that do not exist are not there."""
    lines = look.lines(FILES)
    if isinstance(lines, Unobserved):
        return lines
    found = (_FILE.fullmatch(line) for line in lines)
    return {one[5]: FileMode(one[5], int(one[1], 8), int(one[2]), int(one[3])) for one in found if one is not None}


def _changed(look: Look) -> dict[str, datetime] | Unobserved:
    """When these files were changed last."""
    lines = look.lines(FILES)
    if isinstance(lines, Unobserved):
        return lines
    found = (_FILE.fullmatch(line) for line in lines)
    return {one[5]: datetime.fromtimestamp(max(0, int(one[4])), tz=UTC) for one in found if one is not None}


def _read_at(look: Look, base: dict[str, str] | Unobserved, processes: list[Process], guarding: Guards, changed: dict[str, datetime]) -> datetime | Unobserved:
    """When the running server read its files: it writes its pid file then, at a reload too, whoever sent the signal."""
    pids = {process.pid for process in processes}
    pid_file = PID_FILE if isinstance(base, Unobserved) else base.get("pidfile", PID_FILE)
    number = look.text_or_none(pid_file)
    if isinstance(number, Unobserved):
        return number
    if pid_file in changed and number is not None and {number} == {str(pid) for pid in pids}:
        return changed[pid_file]
    read = processes[0].started
    for process in processes[1:]:
        if isinstance(read, datetime) and isinstance(process.started, datetime):
            read = min(read, process.started)
    if isinstance(guarding.units, dict):
        for unit in guarding.units.values():
            if unit.main_pid in pids and unit.changed is not None and isinstance(read, datetime):
                read = max(read, unit.changed)  # a reload keeps the process and changes the unit's state
    return read


def _status_changes(look: Look) -> dict[str, datetime] | Unobserved:
    """When these files were last put in place, or their owner or mode set."""
    lines = look.lines(STATUS_CHANGES)
    if isinstance(lines, Unobserved):
        return lines
    found = (re.fullmatch(r"([0-9]{1,12}) (/.*)", line) for line in lines)
    return {one[2]: datetime.fromtimestamp(int(one[1]), tz=UTC) for one in found if one is not None}


def _stale(
    look: Look, config: SshdConfig | Unobserved, base: dict[str, str] | Unobserved, processes: list[Process], guarding: Guards
) -> tuple[bool | Unobserved, str | None]:
    """Whether a file is newer than what the running server has read."""
    if isinstance(config, Unobserved):
        return config, None
    known = _changed(look)
    if isinstance(known, Unobserved):
        return known, None
    read = _read_at(look, base, processes, guarding, known)
    if isinstance(read, Unobserved):
        return read, None
    times = {path: known[path] for path in config.files if path in known}
    if len(times) < len(config.files):
        return Unobserved(Reason.NO_DATA, FILES, Text("缺少部分配置文件的时间", "the time of some configuration file is missing")), None
    newest = max(times, key=lambda path: times[path])
    if times[newest] > read + since_boot.SLACK:
        return True, newest
    for directory in config.directories:
        if directory in known and known[directory] > read + since_boot.SLACK:
            # A file that went, or came with an old date as packages bring it, is newer than nothing.
            why = Text("之后目录中有文件增删或改名，运行中的服务未必读过", "a file came, went or was renamed there since; the running server may not know")
            return Unobserved(Reason.NO_DATA, directory, why), None
    placed = _status_changes(look)
    if isinstance(placed, Unobserved):
        return placed, None
    for path in config.files:
        if path in placed and placed[path] > read + since_boot.SLACK:
            why = Text(
                "之后换成了日期更早的文件，或只改了权限：重新加载 SSH 服务即可确认",
                "since then an older file took its place, or only its mode changed: reload the SSH server to be sure",
            )
            return Unobserved(Reason.NO_DATA, path, why), None
    return False, None
