"""Port knocking with knockd: does it run on the right interface, and does each of its doors open and close as it should?

Source: knockd(1). Sequences never leave the host: only their length, protocols, and whether they are published examples (NC7).
Knocking hides a port and gates its source; it is never taken for an authentication factor (KN-1).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from tutela.evidence import Reason, Status, Unobserved
from tutela.facts import guards, interfaces, ssh
from tutela.facts.look import Look
from tutela.language import Text
from tutela.record import record

SETTINGS = "/etc/knockd.conf"
OPTIONS = ("/etc/default/knockd", "/etc/sysconfig/knockd")
FILES = "stat -L -c '%a %u %g %Y %n' (knockd files)"
RULES = "nft -j list ruleset"
LEGACY = "iptables-legacy-save"
SAVED = "iptables-save"
"""Where nft does not show what an extension such as conntrack asks for."""
NEEDS = (SETTINGS, *OPTIONS, FILES, RULES, LEGACY, SAVED, *guards.NEEDS)
TEST = "knock test from the centre"
TEST_AGE = timedelta(days=30)
"""Derived default knock.functional_test_days."""
DEFAULT_INTERFACE = "eth0"
SEQUENCE_SECONDS = (1, 15)
"""Derived default knock.seq_timeout."""
OPEN_SECONDS = (5, 60)
"""Derived default knock.cmd_timeout."""


@record
class Problem:
    """Problem(rule='KN-4.3', section='openSSH', what='published sequence')"""

    rule: str
    """Clause of the knock annex."""
    section: str
    what: str


@record
class Knock:
    """Knock(chosen=True, installed=True, running=True, at_boot=True, interface='eth0', problems=())"""

    chosen: bool | Unobserved
    """In use here (it runs, or would after a boot), or declared as the site's measure. A package that only lies there gates nothing."""
    installed: bool | Unobserved
    running: bool | Unobserved
    at_boot: bool | Unobserved
    interface: str | Unobserved
    problems: tuple[Problem | Unobserved, ...]
    """What its settings do wrong; a hole for what could not be seen."""
    tested: bool | Unobserved
    """The centre knocked and the door opened for it alone; no host can see that of itself."""


def parse(look: Look) -> Knock | Unobserved:
    """The fact; `installed` is false only where the host has neither program nor settings."""
    declared = "knock" in look.site.ssh_measures
    text = look.text_or_none(SETTINGS)
    if isinstance(text, Unobserved):
        return text
    if text is None:
        return Knock(declared, False, False, False, "", (), False)
    found = look.fact(guards.parse)
    unit = found if isinstance(found, Unobserved) else found.unit("knockd.service")
    process = found if isinstance(found, Unobserved) else found.running("knockd")
    running = process if unit is None else unit if isinstance(unit, Unobserved) else unit.running
    sections = _sections(text)
    interface = _interface(found, sections.get("options", {}))
    at_boot = unit if isinstance(unit, Unobserved) else unit is not None and unit.at_boot
    return Knock(
        chosen=declared or running is True or at_boot is True or (running if isinstance(running, Unobserved) else at_boot),
        installed=True,
        running=running,
        at_boot=at_boot,
        interface=interface,
        problems=tuple(_problems(look, sections, interface)),
        tested=_tested(look),
    )


def _tested(look: Look) -> bool | Unobserved:
    """The centre's own record: `2026-11-20T08:00:00Z before=closed after=open others=closed later=closed`."""
    evidence = look.source(TEST)
    if evidence.status is Status.MISSING:
        return Unobserved(Reason.NO_VANTAGE, TEST, Text("需要中心做敲门测试", "takes a knock test by the centre"))
    text = look.text(TEST)
    if isinstance(text, Unobserved):
        return text
    row = re.fullmatch(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)Z before=(\w+) after=(\w+) others=(\w+) later=(\w+)", text.strip())
    try:
        at = datetime.fromisoformat(row[1]).replace(tzinfo=UTC) if row else None
    except ValueError:
        at = None
    if row is None or at is None:
        return Unobserved(Reason.FORMAT, TEST, Text("看不懂的记录", "a record that is not understood"))
    if look.now - at > TEST_AGE:
        return Unobserved(Reason.STALE, TEST, Text("上次敲门测试已超过 30 天", "the last knock test is more than 30 days old"))
    return row.groups()[1:] == ("closed", "open", "closed", "closed")


def _sections(text: str) -> dict[str, dict[str, str]]:
    """Settings by section, keys in lower case; the last of a key wins, as knockd reads them."""
    made: dict[str, dict[str, str]] = {}
    current: dict[str, str] = {}
    for line in text.split("\n"):
        line = line.strip()
        head = re.fullmatch(r"\[([^\]]{1,64})\]", line)
        if head:
            current = made.setdefault(head[1] if head[1].lower() != "options" else "options", {})
        elif line and line[0] not in "#;":
            key, _, value = line.partition("=")
            current[key.strip().lower()] = value.strip()
    return made


def _interface(found: guards.Guards | Unobserved, options: dict[str, str]) -> str | Unobserved:
    """`-i` on the command line wins over `Interface`, and that over eth0."""
    processes = found if isinstance(found, Unobserved) else found.processes
    if isinstance(processes, Unobserved):
        return processes
    for process in processes:
        if process.name == "knockd" and "-i" in process.words[:-1]:
            return process.words[process.words.index("-i") + 1]
    return options.get("interface") or DEFAULT_INTERFACE


def _problems(look: Look, sections: dict[str, dict[str, str]], interface: str | Unobserved) -> Iterator[Problem | Unobserved]:
    options = sections.get("options", {})
    if "usesyslog" not in options and not options.get("logfile"):
        yield Problem("KN-4.1", "options", "no log")
    links = look.fact(interfaces.parse)
    if isinstance(interface, Unobserved):
        yield interface
    elif isinstance(links, Unobserved):
        yield links
    elif isinstance(links.addresses, Unobserved):
        yield links.addresses
    elif interface not in {one.interface for one in links.addresses}:
        yield Problem("KN-4.2", "options", f"interface {interface} does not exist")
    doors = {name: values for name, values in sections.items() if name != "options"}
    for name, values in doors.items():
        yield from _door(look, name, values)
    ports = _ssh_ports(look)
    if isinstance(ports, Unobserved):
        yield ports
    elif not any(port in ports for values in doors.values() for command in _commands(values) for port in _ports(command)):
        yield Problem("KN-4.2", "-", "no section opens an SSH port")
    yield from _established(look)


def _commands(values: dict[str, str]) -> list[str]:
    return [values[key] for key in ("start_command", "command", "start_command_6", "command_6") if values.get(key)]


def _ports(command: str) -> set[int]:
    found = re.findall(r"""(?:--dports?|dport|port|to any port)[ =]+["']?\{?\s*([0-9]{1,5})|-d ([0-9]{1,5})\b""", command)
    return {int(one or other) for one, other in found}


def _ssh_ports(look: Look) -> set[int] | Unobserved:
    found = look.fact(ssh.parse)
    if isinstance(found, Unobserved):
        return found
    ports: set[int] = set()
    for server in found.servers:
        if isinstance(server.ports, Unobserved):
            return server.ports
        ports |= set(server.ports)
    return ports


def _door(look: Look, name: str, values: dict[str, str]) -> Iterator[Problem | Unobserved]:
    sequence = values.get("sequence", "")
    length = re.search(r"length=([0-9]+)", sequence)
    if length is None or int(length[1]) < 3:
        yield Problem("KN-4.3", name, "sequence shorter than three")
    if "published=yes" in sequence:
        yield Problem("KN-4.3", name, "published sequence")
    elif "monotone=yes" in sequence:
        yield Problem("KN-4.3", name, "rising multiples of 1000")
    if not _within(values.get("seq_timeout"), SEQUENCE_SECONDS):
        yield Problem("KN-4.4", name, f"seq_timeout {values.get('seq_timeout', '-')}")
    if "syn" not in values.get("tcpflags", "").lower() and not re.search(r"protocols=(udp,?)+ ", sequence + " "):
        yield Problem("KN-4.5", name, "tcpflags without syn")
    for command in _commands(values):
        yield from _command(look, name, command)
    # `command` is another name of start_command; what is not given for IPv6 is the same as for IPv4, and an empty one does nothing.
    start, stop = values.get("start_command") or values.get("command"), values.get("stop_command")
    start_6, stop_6 = values.get("start_command_6", values.get("command_6", start)), values.get("stop_command_6", stop)
    for opening, closing, which in dict.fromkeys([(start, stop, ""), (start_6, stop_6, "" if (start_6, stop_6) == (start, stop) else "_6")]):
        if not opening or not (_opens(opening) or "start_command" in values):
            continue
        if not _within(values.get("cmd_timeout"), OPEN_SECONDS):
            yield Problem("KN-4.7", name, f"cmd_timeout {values.get('cmd_timeout', '-')}")
        if not closing:
            yield Problem("KN-4.7", name, f"no stop_command{which}")
        elif not _undoes(opening, closing):
            yield Problem("KN-4.8", name, f"stop_command{which} does not undo start_command{which}")


def _within(words: str | None, bounds: tuple[int, int]) -> bool:
    return words is not None and re.fullmatch(r"[0-9]{1,6}", words) is not None and bounds[0] <= int(words) <= bounds[1]


def _opens(command: str) -> bool:
    return re.search(r"\b(ACCEPT|accept|allow|add element)\b", command) is not None and not re.search(r"\s(-D|--delete|delete|--remove-\S+)\s", command)


def _command(look: Look, name: str, command: str) -> Iterator[Problem | Unobserved]:
    opens = _opens(command)
    if opens and "%IP%" not in command:
        yield Problem("KN-4.6", name, "opens for everyone: no %IP%")
    program = command.split(" ", 1)[0]
    if program.startswith("/"):
        listed = look.text(FILES)
        if isinstance(listed, Unobserved):
            yield listed
        elif not any(line.endswith(f" {program}") for line in listed.split("\n")):
            yield Problem("KN-4.6", name, f"{program} does not exist")
    if not opens:
        return
    chain = re.search(r"iptables\s.*?(-A|--append|-I|--insert)\s+(\S+)", command)
    if chain is None:
        return
    if chain[1] in ("-A", "--append"):
        yield Problem("KN-4.6", name, f"appends to {chain[2]}: behind whatever drops there")
    if chain[2] not in ("INPUT", "FORWARD", "OUTPUT"):
        exists = _mentions(look, chain[2])
        if isinstance(exists, Unobserved):
            yield exists
        elif not exists:
            yield Problem("KN-4.6", name, f"chain {chain[2]} does not exist")


def _mentions(look: Look, word: str) -> bool | Unobserved:
    """Whether the packet filter has something of this name."""
    doubt: Unobserved | None = None
    for name in (RULES, *look.names(LEGACY)):
        text = look.text_or_none(name)
        if isinstance(text, Unobserved):
            doubt = doubt or text
        elif text is not None and re.search(rf'[":\s]{re.escape(word)}[",\s\[]', text):
            return True
    return doubt if doubt is not None else False


def _established(look: Look) -> Iterator[Problem | Unobserved]:
    """Without an earlier accept of established connections the closing door cuts the session that it let in (C-50b)."""
    doubt: Unobserved | None = None
    saved = list(look.names(SAVED))
    if not saved and b'"xt"' in look.source(RULES).content:
        saved = [SAVED]  # whose rules nft cannot show in full
    for name in (RULES, *look.names(LEGACY), *saved):
        text = look.text_or_none(name)
        if isinstance(text, Unobserved):
            doubt = doubt or text
        elif text is not None and "established" in text.lower():
            return
    yield doubt if doubt is not None else Problem("KN-3", "-", "established connections are not accepted first")


def _undoes(start: str, stop: str) -> bool:
    """Word by word the same, but for adding and deleting."""
    return _neutral(start) == _neutral(stop)


def _neutral(command: str) -> list[str]:
    command = re.sub(r"(-I|--insert)(\s+\S+)\s+[0-9]+(?=\s)", r"\1\2", command)
    command = re.sub(r"\binsert\s+[0-9]+\b", "", command)
    command = re.sub(r"\btimeout\s+[0-9]+[a-z]\b", "", command)
    command = re.sub(r"--(?:add|remove)-", "--", command)  # of firewall-cmd(1)
    return [word for word in command.split() if word not in ("-A", "-I", "-D", "--append", "--insert", "--delete", "add", "delete", "del", "insert")]
