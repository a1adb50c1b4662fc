"""Whether this host sends its log to the declared log servers, all of it, how safely, and whether the sender works.

Sources: the configuration of rsyslog, syslog-ng, systemd-journal-upload, Fluent Bit, Vector and Filebeat (see `facts/syslog/`);
`systemctl show` for the state of the sender, modification times of its files, and counts of its complaints in the journal.
What arrives is known to the receiver alone: a configuration is no proof (C-53).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from itertools import pairwise

from tutela.evidence import Reason, Status, Unobserved
from tutela.facts import journal, packages, since_boot, units
from tutela.facts.look import Look
from tutela.facts.syslog import agents, coverage, rsyslog, syslog_ng
from tutela.facts.syslog.coverage import Mask
from tutela.facts.syslog.model import STATES, Route, Routing
from tutela.facts.unseen import unseen
from tutela.language import Text
from tutela.record import record

MODIFIED = "stat -L -c '%Y %n' (configuration of log shippers)"
PLACED = "stat -L -c '%Z %n' (configuration of log shippers)"
COMPLAINTS = "journalctl --since=-24h -u rsyslog.service -u syslog-ng.service (counts)"
NEEDS = (
    rsyslog.MAIN,
    syslog_ng.MAIN,
    agents.JOURNAL_UPLOAD,
    *agents.FLUENT_BIT,
    *agents.VECTOR,
    agents.FILEBEAT,
    STATES,
    MODIFIED,
    PLACED,
    COMPLAINTS,
    *journal.CONFIGURATION,
    *since_boot.NEEDS,
    *packages.NEEDS,
)

PACKAGES = {
    "rsyslog": {"rsyslog"},
    "syslog-ng": {"syslog-ng", "syslog-ng-core"},
    "systemd-journal-upload": {"systemd-journal-remote"},
    "fluent-bit": {"fluent-bit", "td-agent-bit"},
    "vector": {"vector"},
    "filebeat": {"filebeat"},
}
CONFIGURED_BY = ("-c", "-f", "-u", "-C", "--config", "--config-dir", "--config-toml", "--config-yaml", "--cfgfile", "--url")
"""Options by which one shipper or another is told its configuration, or where to send."""
OTHER_AGENTS = (
    "td-agent",
    "fluentd",
    "promtail",
    "alloy",
    "grafana-agent",
    "nxlog",
    "journalbeat",
    "splunk",
    "SplunkForwarder",
    "logstash",
    "otelcol",
    "otelcol-contrib",
)
"""Agents that may send logs, and whose configuration nobody reads here."""


@record
class Target:
    """Target(shipper='rsyslog', host='192.0.2.45', port=514, protocol='udp', tls=False, queue=False, remote=True, declared=True, missing=(), where='/etc/rsyslog.conf')"""

    shipper: str
    host: str
    port: int | None
    protocol: str
    """udp | tcp | relp | http | kafka | other"""
    tls: bool | Unobserved
    queue: bool | Unobserved
    """A queue on disk."""
    remote: bool
    """Not this host itself."""
    declared: bool | Unobserved
    """One of the site's log servers."""
    missing: tuple[str, ...]
    """Required kinds of message that surely do not go there: `kern`, `auth.info`."""
    where: str


@record
class Shipper:
    """Shipper(name='rsyslog', running=True, started=datetime(…), changed=datetime(…), stale=False, suspended=0, resumed=0)"""

    name: str
    running: bool | Unobserved
    started: datetime | Unobserved | None
    changed: datetime | Unobserved
    """The newest modification of its configuration."""
    stale: bool | Unobserved
    """Started before its configuration was last changed."""
    suspended: int | Unobserved
    """How often it said in the last 24 hours that a target could not be reached."""
    resumed: int | Unobserved


@record
class LogForwarding:
    """Ways off the host, and how they do."""

    targets: tuple[Target | Unobserved, ...]
    """A hole stands for configuration that could not be read or understood."""
    missing: tuple[str, ...] | Unobserved
    """Required kinds of message that reach no declared server; with no servers declared: that leave the host by no way at all."""
    held_back: bool
    """Filters on content keep some required messages on the host."""
    shippers: tuple[Shipper | Unobserved, ...]
    """Those with a remote target."""
    proven: bool | Unobserved
    """The receiver has confirmed a marker from this host in the last 24 hours."""


@record
class _State:
    loaded: bool
    active: bool
    since_boot_us: int


def parse(look: Look) -> LogForwarding | Unobserved:
    """The fact; unknown when no configuration of any shipper was looked for."""
    states = _states(look)
    ways = look.fact(_ways)
    if isinstance(ways, Unobserved):
        return ways
    remote = {target.shipper for target in ways.targets if target.remote}
    shippers = tuple(_shipper(look, name, routing, states) for name, routing in ways.routings if name in remote)
    why = Text("接收端没有提供标记消息的确认", "the receiver has given no word about marker messages")
    unproven = Unobserved(Reason.NO_ANSWER, "receiver", why)
    return LogForwarding((*ways.targets, *ways.holes), ways.missing, ways.held_back, (*shippers, *ways.holes), unproven)


@record
class _Ways:
    """What is configured, apart from how it does."""

    routings: tuple[tuple[str, Routing], ...]
    targets: tuple[Target, ...]
    holes: tuple[Unobserved, ...]
    missing: tuple[str, ...] | Unobserved
    held_back: bool


def _ways(look: Look) -> _Ways | Unobserved:
    gone_units = look.fact(_gone_units)
    packaged = look.fact(_packaged)
    routings: list[tuple[str, Routing]] = []
    left_over: list[Unobserved] = []
    seen = False
    for name, main, read in _SHIPPERS:
        seen = seen or any(look.source(one).status is not Status.MISSING for one in main)
        if (other := look.fact(_Elsewhere(name, main))) is not None:
            left_over.append(other)
            continue
        if all(look.source(one).status is Status.ABSENT for one in main):
            continue
        if name in gone_units:
            continue  # left over from a package that is gone
        if (doubt := unseen(look, STATES)) is not None:
            left_over.append(doubt)
            continue
        if isinstance(packaged, Unobserved):
            left_over.append(packaged)
            continue
        if packaged is not None and name not in packaged:
            why = Text(
                f"没有 systemd，软件包中也没有 {name}，配置可能是遗留的",
                f"without systemd, and no package of {name} is installed: its configuration may be left over",
            )
            left_over.append(Unobserved(Reason.NO_ANSWER, main[0], why))
            continue
        routing = look.fact(read)
        if routing is not None:
            routings.append((name, routing))
    if not seen:
        gone = look.text(rsyslog.MAIN)
        return gone if isinstance(gone, Unobserved) else Unobserved(Reason.NO_DATA, rsyslog.MAIN, Text("没有采集", "not collected"))
    targets, holes = _targets(look, routings)
    holes += left_over
    holes += look.fact(_strangers)
    missing, held_back = _missing(look, routings, holes)
    return _Ways(tuple(routings), tuple(targets), tuple(holes), missing, held_back)


@record
class _Elsewhere:
    """Why the files that are read here say nothing of a shipper: it runs, and with others."""

    name: str
    main: tuple[str, ...]

    def __call__(self, look: Look) -> Unobserved | None:
        loaded = look.fact(units.still)
        there = any(look.source(one).status is not Status.ABSENT for one in self.main)
        if isinstance(loaded, Unobserved):
            return loaded if there else None
        unit = loaded.by_id.get(f"{self.name}.service")
        if unit is None or not unit.running:
            return None
        words = [word for command in unit.commands for word in command.words.replace("=", " ").split()]
        told = [value for option, value in pairwise(words) if option in CONFIGURED_BY and (value.startswith("/") or "://" in value or "***" in value)]
        if all(re.sub("/+", "/", value) in self.main for value in told) and there:
            return None
        return Unobserved(Reason.FORMAT, unit.id, Text("它运行时用的不是这里读取的配置文件", "it runs with other files than those that are read here"))


def _gone_units(look: Look) -> tuple[str, ...]:
    """Shippers whose unit is not there."""
    states = _states(look)
    return () if isinstance(states, Unobserved) else tuple(name for name, state in states.items() if not state.loaded)


def _packaged(look: Look) -> tuple[str, ...] | Unobserved | None:
    """Shippers whose package is installed, where there is no systemd to say what is there; None where there is."""
    if look.source(STATES).status is not Status.ABSENT:
        return None
    found = look.fact(packages.parse)
    if isinstance(found, Unobserved):
        return found
    installed = {one.name for one in found.installed}
    return tuple(name for name, names in PACKAGES.items() if installed & names)


_SHIPPERS: tuple[tuple[str, tuple[str, ...], Callable[[Look], Routing | None]], ...] = (
    ("rsyslog", (rsyslog.MAIN,), rsyslog.read),
    ("syslog-ng", (syslog_ng.MAIN,), syslog_ng.read),
    ("systemd-journal-upload", (agents.JOURNAL_UPLOAD, agents.JOURNAL_UPLOAD + ".d/"), agents.journal_upload),
    ("fluent-bit", agents.FLUENT_BIT, agents.fluent_bit),
    ("vector", agents.VECTOR, agents.vector),
    ("filebeat", (agents.FILEBEAT,), agents.filebeat),
)


# --- where to ---------------------------------------------------------------------------------------------------------


def _targets(look: Look, routings: list[tuple[str, Routing]]) -> tuple[list[Target], list[Unobserved]]:
    targets: list[Target] = []
    holes: list[Unobserved] = []
    for name, routing in routings:
        holes += routing.unread
        for key, (route, mask) in _merged(routing.routes).items():
            missing = () if isinstance(mask, Unobserved) or routing.unread else coverage.missing(mask)
            targets.append(
                Target(name, key[0], key[1], route.protocol, route.tls, route.queue, not _is_self(key[0]), _declared(look, key[0]), missing, route.where)
            )
    return targets, holes


def _merged(routes: tuple[Route, ...]) -> dict[tuple[str, int | None, str, bool], tuple[Route, Mask | Unobserved]]:
    """Several actions to one place are one way there."""
    merged: dict[tuple[str, int | None, str, bool], tuple[Route, Mask | Unobserved]] = {}
    for route in routes:
        key = (route.host, route.port, route.protocol, route.tls is True)
        mask: Mask | Unobserved = route.mask
        if key in merged:
            known = merged[key][1]
            mask = coverage.either(known, mask) if not isinstance(known, Unobserved) and not isinstance(mask, Unobserved) else mask
        merged[key] = (route, mask)
    return merged


def _is_self(host: str) -> bool:
    if host.lower() in ("localhost", "localhost.localdomain", "ip6-localhost", ""):
        return True
    try:
        address = ip_address(host)
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified


def _declared(look: Look, host: str) -> bool | Unobserved:
    """Whether a target is a declared log server; a name and an address cannot be compared from here."""
    if _is_self(host):
        return False
    servers = look.site.log_servers
    if servers is None:
        return Unobserved(Reason.NO_ANSWER, "site.log_servers", Text("站点没有声明日志服务器", "the site declares no log servers"))
    wanted = host.lower().rstrip(".")
    address = _address(wanted)
    comparable = False
    for server in servers:
        named = server.lower().rstrip(".")
        if named == wanted:
            return True
        try:
            network = ip_network(named, strict=False)
        except ValueError:
            comparable = comparable or address is None
            continue
        if address is not None:
            comparable = True
            if address.version == network.version and address in network:
                return True
    if comparable or not servers:
        return False
    why = Text(f"配置写的是 {host}，声明的写法不同，无法对照", f"the configuration says {host}, the site declares the other kind of name: not comparable")
    return Unobserved(Reason.NO_ANSWER, "site.log_servers", why)


def _address(host: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(host)
    except ValueError:
        return None


def _strangers(look: Look) -> list[Unobserved]:
    """Running agents whose configuration is not read here; a host whose services are not seen may run any of them, or `busybox syslogd -R`, which has none."""
    running = look.fact(units.up)
    if isinstance(running, Unobserved):
        return [running]
    if not running.systemd:
        gone = Text("没有 systemd，看不出是否另有程序在转发日志", "without systemd other programs that send logs are not seen")
        return [Unobserved(Reason.NO_ANSWER, units.SHOW, gone)]
    why = Text("正在运行，但程序不读取其配置", "it runs, and its configuration is not read")
    return [Unobserved(Reason.FORMAT, unit, why) for unit in running.running(*OTHER_AGENTS)]


def _missing(look: Look, routings: list[tuple[str, Routing]], holes: list[Unobserved]) -> tuple[tuple[str, ...] | Unobserved, bool]:
    sent = coverage.NOTHING
    for _, routing in routings:
        for route in routing.routes:
            if not _is_self(route.host) and _declared(look, route.host) is not False and not isinstance(route.mask, Unobserved):
                sent = coverage.either(sent, coverage.both(route.mask, coverage.UNDECIDED) if routing.unread else route.mask)
    lost, doubtful = coverage.missing(sent), coverage.doubtful(sent)
    if holes and (lost or doubtful):
        return holes[0], coverage.held_back(sent)
    if doubtful and not lost:
        why = Text(f"过滤条件无法判断：{' '.join(doubtful)}", f"a filter nobody can decide from outside: {' '.join(doubtful)}")
        return Unobserved(Reason.FORMAT, routings[0][1].files[0] if routings[0][1].files else rsyslog.MAIN, why), coverage.held_back(sent)
    return lost, coverage.held_back(sent)


# --- how it does ------------------------------------------------------------------------------------------------------


def _shipper(look: Look, name: str, routing: Routing, states: dict[str, _State] | Unobserved) -> Shipper:
    suspended, resumed = _complaints(look, name)
    if isinstance(states, Unobserved):
        return Shipper(name, states, states, _newest(look, routing, MODIFIED), states, suspended, resumed)
    state = states.get(name)
    if state is None:
        gone = Unobserved(Reason.NO_DATA, STATES, Text(f"没有 {name} 的状态", f"it says nothing about {name}"))
        return Shipper(name, gone, gone, _newest(look, routing, MODIFIED), gone, suspended, resumed)
    started = _started(look, state)
    changed, placed = _newest(look, routing, MODIFIED), _newest(look, routing, PLACED)
    stale: bool | Unobserved
    if isinstance(started, Unobserved):
        stale = started
    elif isinstance(changed, Unobserved):
        stale = changed
    elif started is None or started + since_boot.SLACK < changed:
        stale = started is not None
    elif isinstance(placed, Unobserved):
        stale = placed
    elif started + since_boot.SLACK < placed:
        # Packages, tar and rsync bring files with the date they had; chmod changes no more than this either.
        why = Text(
            "启动之后放入了日期更早的配置，或只改了权限：重启即可确认",
            "an older file was put there since it started, or only a mode changed: restart it to be sure",
        )
        stale = Unobserved(Reason.NO_DATA, PLACED, why)
    else:
        stale = False
    return Shipper(name, state.active, started, changed, stale, suspended, resumed)


def _states(look: Look) -> dict[str, _State] | Unobserved:
    """State of each shipper's unit by its name without `.service`."""
    text = look.text(STATES)
    if isinstance(text, Unobserved):
        if look.source(STATES).status is Status.ABSENT:
            return Unobserved(Reason.NO_ANSWER, STATES, Text("没有 systemd，无法得知服务状态", "without systemd the state of services is not known"))
        return text
    states: dict[str, _State] = {}
    for block in text.split("\n\n"):
        values = dict(line.split("=", 1) for line in block.split("\n") if "=" in line)
        since = values.get("ExecMainStartTimestampMonotonic", "0")
        if "Id" in values:
            number = int(since) if since.isascii() and since.isdecimal() and len(since) <= 18 else 0
            states[values["Id"].removesuffix(".service")] = _State(
                values.get("LoadState") not in ("not-found", "masked"), values.get("ActiveState") in ("active", "reloading"), number
            )
    return states


def _started(look: Look, state: _State) -> datetime | Unobserved | None:
    if state.since_boot_us == 0:
        return None
    started = since_boot.moment(look, state.since_boot_us / 1e6)
    return started if isinstance(started, Unobserved) else started.replace(microsecond=0)


def _newest(look: Look, routing: Routing, source: str) -> datetime | Unobserved:
    """The newest time that a source gives for the files of a shipper."""
    lines = look.lines(source)
    if isinstance(lines, Unobserved):
        return lines
    wanted = set(routing.files)
    times = [
        int(stamp)
        for stamp, _, name in (line.partition(" ") for line in lines)
        if name in wanted and stamp.isascii() and stamp.isdecimal() and len(stamp) <= 11
    ]
    if not times:
        return Unobserved(Reason.NO_DATA, source, Text("没有修改时间", "no modification times"))
    return datetime.fromtimestamp(max(times), UTC)


def _complaints(look: Look, name: str) -> tuple[int | Unobserved, int | Unobserved]:
    text = look.text(COMPLAINTS)
    if isinstance(text, Unobserved):
        return text, text
    if name not in ("rsyslog", "syslog-ng", "systemd-journal-upload"):
        why = Text(f"{name} 的投递错误不在统计之内", f"complaints of {name} are not counted")
        return Unobserved(Reason.NO_DATA, COMPLAINTS, why), Unobserved(Reason.NO_DATA, COMPLAINTS, why)
    values = dict(word.split("=", 1) for word in text.split() if "=" in word)
    counts = [values.get(f"{name}.{key}", "?") for key in ("suspended", "resumed")]
    if "?" in counts:
        why = Text(f"没有找到 {name} 关于自身的消息", f"what {name} says of itself was not found")
        return Unobserved(Reason.NO_DATA, COMPLAINTS, why), Unobserved(Reason.NO_DATA, COMPLAINTS, why)
    if not all(one.isascii() and one.isdecimal() and len(one) <= 9 for one in counts):
        bad = Unobserved(Reason.FORMAT, COMPLAINTS, Text("计数格式不明", "counts of unknown form"))
        return bad, bad
    return int(counts[0]), int(counts[1])
