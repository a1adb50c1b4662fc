"""Data services on this host: whether one is here, what it listens on, and who gets there. Shared by all facts about data services.

"Bound" (catalogue H.4) is: loopback or a Unix socket, or reachable only from the site's declared clients and admin networks through a packet filter that is really loaded.
Sources: exposure (sockets and packet filter), the processes of data services (proc(5)), the package database.
"""

from __future__ import annotations

import re
from fnmatch import filter as matching
from itertools import pairwise

from tutela.evidence import Unobserved
from tutela.evidence.observed import any_of
from tutela.facts import exposure, firewall, interfaces, packages, sockets
from tutela.facts.look import Look
from tutela.record import record

PROCESSES = "/proc/[0-9]*/cmdline (data services)"
NEEDS = (*exposure.NEEDS, *sockets.NEEDS, *packages.NEEDS, PROCESSES)

ACTIVATORS = frozenset(["systemd", "xinetd", "inetd", "inetutils-inetd"])
"""Programs that hold a socket and start its service for whoever connects."""
FORWARDERS = ACTIVATORS | {"docker-proxy", "rootlessport", "rootlesskit", "conmon", "pasta", "pasta.avx2", "slirp4netns"}
"""Programs that listen for somebody else: a container, a socket unit."""
NODE = ("node", "MainThread", "node-MainThread")
"""Node.js has called itself by the name of a thread since version 23.6."""
GENERAL = frozenset(["java", *NODE, "beam.smp"])
"""Programs of which only the command line says what they do."""


@record
class Service:
    """How one engine is known: Service(processes=('mysqld', 'mariadbd'), ports=(3306, 33060), packages=('mariadb-server*',))"""

    processes: tuple[str, ...]
    ports: tuple[int, ...]
    packages: tuple[str, ...]
    """Shell patterns."""


@record
class Process:
    """Process(pid=83, name='mariadbd', uid=102, container=False, words=('/usr/sbin/mariadbd', '--skip-grant-tables'))"""

    pid: int
    name: str
    uid: int | None
    container: bool
    """It runs in a network or container of its own, so this host's configuration files are not its own."""
    words: tuple[str, ...]
    """Masked command line."""

    def option(self, *names: str) -> str | None:
        """Value of `--name=value`, `--name value` or `-n value`; the last one counts; '' without a value."""
        found = None
        for at, word in enumerate(self.words):
            name, equals, value = word.lstrip("-").partition("=")
            if word.startswith("-") and name.replace("_", "-") in names:
                following = self.words[at + 1] if at + 1 < len(self.words) else ""
                found = value if equals else "" if following.startswith("-") else following
        return found


@record
class Endpoint:
    """Endpoint(port=3306, protocol='tcp', address='0.0.0.0', process='mariadbd', state='open', world=True, approved=False)"""

    port: int
    protocol: str
    address: str
    process: str | Unobserved | None
    """Name of the program; of general ones such as java the service behind it: kafka."""
    state: str | Unobserved
    """loopback | firewall only (declared clients, admin networks or nobody get there) | open (others get there)."""
    world: bool | Unobserved
    """Some address outside the campus and admin networks gets there."""
    approved: bool
    """The site's approved ports name it."""


Endpoints = tuple[Endpoint, ...] | Unobserved


def processes(look: Look) -> tuple[Process, ...] | Unobserved:
    """Running data services."""
    lines = look.lines(PROCESSES)
    if isinstance(lines, Unobserved):
        return lines
    found = []
    for line in lines:
        match = _PROCESS.fullmatch(line)
        if match is not None:
            uid = int(match["uid"]) if match["uid"] else None
            words = tuple(match["words"].split())
            found.append(Process(int(match["pid"]), _name(match["name"], words), uid, match["container"] == "1", words))
    return tuple(found)


def _name(program: str, words: tuple[str, ...]) -> str:
    """Services of the Erlang machine are told apart here: RabbitMQ says what it boots, CouchDB brings a machine of its own."""
    if program != "beam.smp":
        return program
    if ("-s", "rabbit") in pairwise(words):
        return "rabbitmq"
    return "couchdb" if any("/couchdb/" in word for word in words[:1]) else program


_PROCESS = re.compile(r"pid=(?P<pid>[0-9]{1,9}) name=(?P<name>\S{1,64}) uid=(?P<uid>[0-9]{0,10}) container=(?P<container>[01]) args ?(?P<words>.*)")


def running(look: Look, service: Service) -> tuple[Process, ...] | Unobserved:
    """The processes of one engine."""
    every = processes(look)
    return every if isinstance(every, Unobserved) else tuple(one for one in every if one.name in service.processes)


def endpoints(look: Look, service: Service) -> Endpoints:
    """Everything that one engine listens on, and where rules that were not seen may publish it besides."""
    found = listening(look, service)
    hidden = look.fact(unseen_forwarding)
    if isinstance(found, Unobserved) or hidden is None:
        return found
    return (*found, Endpoint(next(iter(service.ports), 0), "tcp", "?", hidden, hidden, hidden, approved=False))


def listening(look: Look, service: Service) -> Endpoints:
    """Everything that one engine listens on, by its process, else by its usual port."""
    seen = look.fact(exposure.parse)
    if isinstance(seen, Unobserved):
        return seen
    owners = look.fact(_owners)
    every = processes(look)
    found = []
    for port in seen.ports:
        owner = owners.get((port.protocol, port.port, port.address), port.process)
        mine = _is_of(port, service, owner)
        if mine is False and isinstance(every, Unobserved) and owner in GENERAL:
            mine = every
        if isinstance(mine, Unobserved):
            found.append(_endpoint(port, owner, mine))
        elif mine:
            found.append(_endpoint(port, owner, None))
    return tuple(found)


def unseen_forwarding(look: Look) -> Unobserved | None:
    """Why rules may publish the port of a container or of another host here (DNAT) and nobody would know."""
    rules = look.fact(firewall.parse)
    if not isinstance(rules, Unobserved):
        return None
    seen = look.fact(interfaces.parse)
    if isinstance(seen, Unobserved):
        return rules
    # Where the kernel sends no packet on, rules cannot either.
    closed = seen.forwards[0] is False and (seen.forwards[1] is False or seen.ipv6_disabled is True)
    return None if closed else rules


def _owners(look: Look) -> dict[tuple[str, int, str], str]:
    """Socket -> name of the service behind a general program such as java."""
    listening = look.fact(sockets.parse)
    every = processes(look)
    if isinstance(listening, Unobserved) or isinstance(every, Unobserved):
        return {}
    names = {one.pid: one.name for one in every}
    return {(one.protocol, one.port, one.address): names[one.pid] for one in listening.listening if isinstance(one.pid, int) and one.pid in names}


def _is_of(port: exposure.Port, service: Service, owner: str | Unobserved | None) -> bool | Unobserved:
    if port.via == "dnat":
        target = (port.target or "").rpartition(":")[2]
        return port.process in service.processes or (target.isdigit() and int(target) in service.ports)
    if isinstance(owner, Unobserved):
        return owner if port.port in service.ports else False
    if owner in service.processes:
        return True
    return port.port in service.ports and (owner is None or owner in FORWARDERS)


def _endpoint(port: exposure.Port, owner: str | Unobserved | None, doubt: Unobserved | None) -> Endpoint:
    if port.local:
        state: str | Unobserved = "loopback"
    elif isinstance(port.undeclared, Unobserved):
        state = port.undeclared
    else:
        state = "open" if port.undeclared else "firewall only"
    if doubt is not None and state != "loopback":
        state = doubt  # somebody listens there, perhaps another program
    return Endpoint(port.port, port.protocol, port.address, owner, state, port.external, port.approved)


def beyond_loopback(found: Endpoints) -> bool | Unobserved:
    """Whether some endpoint is bound to more than loopback, whatever the packet filter does."""
    if isinstance(found, Unobserved):
        return found
    wide = [one.process for one in found if one.state != "loopback"]
    return not all(isinstance(one, Unobserved) for one in wide) or next((one for one in wide if isinstance(one, Unobserved)), False)


def installed(look: Look, patterns: tuple[str, ...]) -> bool | Unobserved:
    """Whether a package of one of these names is installed."""
    return look.fact(_Installed(patterns))


@record
class _Installed:
    """A fact of its own for each engine: hosts differ in packages, seldom in these."""

    patterns: tuple[str, ...]

    def __call__(self, look: Look) -> bool | Unobserved:
        names = look.fact(_names)
        if isinstance(names, Unobserved):
            return names
        return any(matching(names, pattern) if any(sign in pattern for sign in "*?[") else pattern in names for pattern in self.patterns)


def _names(look: Look) -> frozenset[str] | Unobserved:
    seen = look.fact(packages.parse)
    return seen if isinstance(seen, Unobserved) else frozenset(one.name for one in seen.installed)


def present(look: Look, service: Service, configured: bool | Unobserved = False) -> bool | Unobserved:
    """Whether an engine is on this host: a package, a process, a socket or a configuration. False is established, never assumed."""
    up = running(look, service)
    open_at = endpoints(look, service)
    return any_of(
        (
            up if isinstance(up, Unobserved) else bool(up),
            open_at if isinstance(open_at, Unobserved) else any(not isinstance(one.process, Unobserved) for one in open_at) or _maybe(open_at),
            installed(look, service.packages),
            configured,
        )
    )


def _maybe(found: tuple[Endpoint, ...]) -> bool | Unobserved:
    """Whether one of the sockets might be the engine's, when its program could not be seen."""
    return next((one.process for one in found if isinstance(one.process, Unobserved)), False)
