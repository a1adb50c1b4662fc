"""Whether fail2ban really bans who guesses SSH passwords: running, watching a live log, covering the real port.

Source: fail2ban-client(1) in interactive mode; its answers are words for people, so what is not understood is Unobserved.
Which addresses are banned never leaves the host (NC8).
"""

from __future__ import annotations

import re
from ipaddress import ip_network

from tutela.evidence import Reason, Status, Unobserved
from tutela.facts import guards, ssh, ssh_servers
from tutela.facts.look import Look
from tutela.facts.unseen import unseen
from tutela.language import Text
from tutela.record import record

ANSWERS = "fail2ban-client -i (status and settings of the jails for SSH)"
FAILURES = "journalctl -q -o short-unix --since -24h _COMM=sshd + _COMM=sshd-session (failures an hour)"
RULES = ("nft -j list ruleset", "iptables-legacy-save", "iptables-save")
NEEDS = (ANSWERS, FAILURES, *RULES, *guards.NEEDS)
MANY_FAILURES = 20
"""From so many failed logins in a day on, a counter of zero means that fail2ban looks at the wrong log."""
OF_A_LISTENER = frozenset(["_SYSTEMD_UNIT=ssh.service", "_SYSTEMD_UNIT=sshd.service"])
NAMELESS = re.compile(r"ufw|route|hostsdeny|firewallcmd-rich-(rules|logging)")
"""Actions whose bans bear no name in the packet filter, or are not in it."""
WIDE = {4: 24, 6: 48}
"""An ignored prefix that is shorter excuses whole networks."""
PERMANENT = 10**9
"""A negative ban time bans for ever."""


@record
class Jail:
    """Jail(name='sshd', tries=5, window_s=600, ban_s=3600, watches=True, covers_ports=True, ignores=(), blind=False, bans_visible=None)"""

    name: str
    tries: int | Unobserved
    window_s: int | Unobserved
    ban_s: int | Unobserved
    """1000000000 for a permanent ban."""
    watches: bool | Unobserved
    """It follows a log file, or what the SSH servers say to the journal."""
    covers_ports: bool | Unobserved
    """Its ban closes every port on which an SSH server listens."""
    ignores: tuple[str, ...]
    """Ignored prefixes that hold more than an administrator's desk."""
    blind: bool | Unobserved
    """The journal shows many failures since it started, and it counted none."""
    bans_visible: bool | Unobserved | None
    """A chain or set of its bans is in the packet filter; None: it has banned nobody yet, or with rules that end with the ban and bear no name."""


@record
class Fail2ban:
    """Fail2ban(installed=True, running=True, at_boot=True, jails=(Jail(…),), needed=True)"""

    installed: bool | Unobserved
    running: bool | Unobserved
    at_boot: bool | Unobserved
    jails: tuple[Jail, ...] | Unobserved
    """The jails for SSH."""
    needed: bool | Unobserved
    """Somebody can log in knowing a password only, over a port that is reached from outside."""


def parse(look: Look) -> Fail2ban | Unobserved:
    """The fact, part by part."""
    client = look.source(ANSWERS)
    if client.status is Status.MISSING:
        text = look.text(ANSWERS)
        assert isinstance(text, Unobserved)
        return text
    found = look.fact(guards.parse)
    unit = found if isinstance(found, Unobserved) else found.unit("fail2ban.service")
    process = found if isinstance(found, Unobserved) else found.running("fail2ban-server")
    running = process if unit is None else unit if isinstance(unit, Unobserved) else unit.running
    if client.status is Status.OK:
        running = True  # it answered
    installed: bool | Unobserved = client.status is not Status.ABSENT or running
    return Fail2ban(
        installed=installed,
        running=running if installed is not False else False,
        at_boot=unit if isinstance(unit, Unobserved) else unit is not None and unit.at_boot,
        jails=() if client.status is Status.ABSENT or running is False else _jails(look),
        needed=_needed(look),
    )


def _needed(look: Look) -> bool | Unobserved:
    found = look.fact(ssh.parse)
    return found if isinstance(found, Unobserved) else found.password_reachable


def _jails(look: Look) -> tuple[Jail, ...] | Unobserved:
    text = look.text(ANSWERS)
    if isinstance(text, Unobserved):
        return text
    answers = _answers(text)
    listed = re.search(r"Jail list:\s*(.*)", "\n".join(answers.get("status", ())))
    if listed is None:
        return _unknown("没有列出监狱", "it lists no jails")
    names = [name for name in re.split(r"[,\s]+", listed[1]) if "ssh" in name]
    return tuple(_jail(look, name, answers) for name in names)


def _answers(text: str) -> dict[str, list[str]]:
    """Answers by question."""
    made: dict[str, list[str]] = {}
    current: list[str] = []
    for line in text.split("\n"):
        if line.startswith("> "):
            current = made.setdefault(line[2:], [])
        else:
            current.append(line)
    return made


def _jail(look: Look, name: str, answers: dict[str, list[str]]) -> Jail:
    status = "\n".join(answers.get(f"status {name}", ()))
    failed, banned = _number(status, "Total failed"), _number(status, "Total banned")
    ban = _setting(answers, f"get {name} bantime")
    return Jail(
        name=name,
        tries=_setting(answers, f"get {name} maxretry"),
        window_s=_setting(answers, f"get {name} findtime"),
        ban_s=PERMANENT if isinstance(ban, int) and ban < 0 else ban,
        watches=_watches(look, answers, name),
        covers_ports=_covers(look, answers, name),
        ignores=_ignored(answers.get(f"get {name} ignoreip", ())),
        blind=_blind(look, failed),
        bans_visible=None if banned == 0 or _leaves_nothing(answers, name) else banned if isinstance(banned, Unobserved) else _visible(look, name),
    )


def _unknown(zh: str, en: str) -> Unobserved:
    return Unobserved(Reason.FORMAT, ANSWERS, Text(zh, en))


def _setting(answers: dict[str, list[str]], question: str) -> int | Unobserved:
    lines = [line.strip() for line in answers.get(question, ()) if line.strip()]
    if len(lines) == 1 and re.fullmatch(r"-?[0-9]{1,12}", lines[0]):
        return int(lines[0])
    return _unknown(f"看不懂“{question}”的回答", f"the answer to {question!r} is not a number")


def _number(status: str, label: str) -> int | Unobserved:
    found = re.search(rf"{label}:\s*([0-9]{{1,12}})", status)
    return int(found[1]) if found else _unknown(f"没有 {label}", f"it has no {label}")


def _watches(look: Look, answers: dict[str, list[str]], name: str) -> bool | Unobserved:
    journal, files = answers.get(f"get {name} journalmatch"), answers.get(f"get {name} logpath")
    if journal is None or files is None:
        return _unknown("没有日志来源", "it does not say what it watches")
    if any(line.lstrip("|`- ").startswith("/") for line in files):
        return True
    unheard = _unheard(look)
    if isinstance(unheard, Unobserved):
        return unheard
    return any(not unheard & set(part.split()) for line in journal if "=" in line for part in line.split(" + "))


def _unheard(look: Look) -> frozenset[str] | Unobserved:
    """What no line of the journal has that the SSH servers write.

    Units have one name there, whatever their aliases (ssh.service on Debian, sshd.service elsewhere), a server for a single connection runs
    in a unit of its own, and since OpenSSH 9.8 the process that sees a login fail has another name.
    """
    found = look.fact(ssh_servers.parse)
    if isinstance(found, Unobserved):
        return found
    single = [server for server in found.servers if server.each]
    if not single:
        return _unheard_of_listeners(look, [server for server in found.servers if server.kind == "openssh"])
    doubt = unseen(look, ssh_servers.EFFECTIVE) or next((server.base for server in single if isinstance(server.base, Unobserved)), None)
    if doubt is not None:
        return doubt
    renamed = all("persourcepenalties" in server.base for server in single if isinstance(server.base, dict))
    return OF_A_LISTENER | {"_COMM=sshd"} if renamed else OF_A_LISTENER


def _unheard_of_listeners(look: Look, servers: list[ssh_servers.Server]) -> frozenset[str] | Unobserved:
    states = look.fact(guards.parse)
    if isinstance(states, Unobserved):
        return states
    if isinstance(states.units, Unobserved):
        return states.units
    doubt = unseen(look, ssh_servers.EFFECTIVE) if servers else None
    words: set[str] = set()
    for server in servers:
        if isinstance(server.base, Unobserved):
            return server.base
        own = {unit.id for unit in states.units.values() if unit.main_pid in server.pids}
        if len(own) == 1:
            words |= OF_A_LISTENER - {f"_SYSTEMD_UNIT={unit}" for unit in own}
        if "persourcepenalties" in server.base:
            words.add("_COMM=sshd")
    return frozenset(words) if doubt is None else doubt


def _actions(answers: dict[str, list[str]], name: str) -> set[str]:
    lines = [line.strip() for line in answers.get(f"get {name} actions", ()) if line.strip() and not line.rstrip().endswith(":")]
    return {one for line in lines for one in re.split(r"[,\s]+", line)}


def _leaves_nothing(answers: dict[str, list[str]], name: str) -> bool:
    """Whether all its bans are rules of their own, as ufw and firewalld's rich rules are: without one there is nothing to see, and no name tells whose they are."""
    actions = {one for one in _actions(answers, name) if re.match(r"(send)?mail", one) is None}
    return bool(actions) and all(NAMELESS.fullmatch(one) for one in actions)


def _covers(look: Look, answers: dict[str, list[str]], name: str) -> bool | Unobserved:
    names = _actions(answers, name)
    if not names:
        return _unknown("没有封禁动作", "it has no ban action")
    if any(one.endswith("allports") for one in names):
        return True
    words = [answers[f"get {name} action {one} port"] for one in names if answers.get(f"get {name} action {one} port")]
    if not words:
        return _unknown("看不到封禁的端口", "the ports that it bans cannot be seen")
    servers = look.fact(ssh.parse)
    if isinstance(servers, Unobserved):
        return servers
    ports: set[int] = set()
    for server in servers.servers:
        if isinstance(server.ports, Unobserved):
            return server.ports
        ports |= set(server.ports)
    return all(_in_ports(port, " ".join(lines)) for lines in words for port in ports)


def _in_ports(port: int, words: str) -> bool:
    """`ssh`, `22,2222`, `0:65535`."""
    for word in re.split(r"[,\s]+", words):
        if word == "ssh" and port == 22:
            return True
        span = re.fullmatch(r"([0-9]{1,5})(?:[:-]([0-9]{1,5}))?", word)
        if span and int(span[1]) <= port <= int(span[2] or span[1]):
            return True
    return False


def _ignored(lines: list[str] | tuple[str, ...]) -> tuple[str, ...]:
    wide = []
    for line in lines:
        word = line.strip().lstrip("|`- ")
        try:
            network = ip_network(word, strict=False)
        except ValueError:
            continue
        if not network.is_loopback and network.prefixlen < WIDE[network.version]:
            wide.append(word)
    return tuple(wide)


def _blind(look: Look, failed: int | Unobserved) -> bool | Unobserved:
    if isinstance(failed, Unobserved) or failed > 0:
        return failed if isinstance(failed, Unobserved) else False
    evidence = look.source(FAILURES)
    if evidence.status in (Status.ABSENT, Status.SKIPPED):
        return False  # no journal to compare with, or left out on request: the other signs decide
    text = look.text(FAILURES)
    if isinstance(text, Unobserved):
        return text
    found = look.fact(guards.parse)
    unit = found if isinstance(found, Unobserved) else found.unit("fail2ban.service")
    start = unit.started.timestamp() if isinstance(unit, guards.UnitState) and unit.started is not None else 0.0
    total = 0
    for line in text.split("\n"):
        row = re.fullmatch(r"([0-9]{1,12}) ([0-9]{1,9})", line.strip())
        # Only hours that began after it started count for sure.
        if row and int(row[1]) >= start:
            total += int(row[2])
    if total < MANY_FAILURES:
        return False
    return unit if isinstance(unit, Unobserved) else True


def _visible(look: Look, jail: str) -> bool | Unobserved:
    """By the chain or set that bears the jail's name, or that of SSH where the administrator chose another; those of other jails prove nothing."""
    theirs = re.compile(rf'\b(?:f2b[-_]|addr6?-set-)(?:{re.escape(jail)}\b|[^\s"]*ssh)', re.IGNORECASE)
    doubt = unseen(look, RULES[0])
    for name in RULES:
        for source in look.names(name):
            text = look.text_or_none(source)
            if isinstance(text, Unobserved):
                doubt = doubt or text
            elif text is not None and theirs.search(text):
                return True
    return doubt if doubt is not None else False
