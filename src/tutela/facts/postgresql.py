"""PostgreSQL: every cluster of this host, where it listens, and whom pg_hba.conf lets in.

Sources: postgresql.conf with its includes in place, then postgresql.auto.conf (PostgreSQL manual, 20.1); pg_hba.conf, where the first record that matches decides (21.1).
Clusters are looked for under /etc/postgresql and /var/lib/pgsql and where running servers keep their data.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

from tutela.evidence import Reason, Unobserved
from tutela.facts import bound
from tutela.facts.bound import Endpoint, Process, Service
from tutela.facts.listing import entries
from tutela.facts.look import Look
from tutela.language import Text
from tutela.record import record

SERVICE = Service(
    processes=("postgres", "postmaster"),
    ports=(5432,),
    packages=("postgresql-[0-9]*", "postgresql-server", "postgresql*-server"),
)
CLUSTERS = "/etc/postgresql/*/* /var/lib/pgsql/*/data (clusters)"
NEEDS = (*bound.NEEDS, CLUSTERS, "/etc/postgresql/", "/var/lib/pgsql/", "/var/lib/postgresql/")
MAX_FILES = 200
MAX_RECORDS = 1000
MAX_DEPTH = 10
TLS = ("hostssl", "hostgssenc")
TYPES = ("local", "host", "hostssl", "hostnossl", "hostgssenc", "hostnogssenc")
METHODS = frozenset(
    ["trust", "reject", "scram-sha-256", "md5", "password", "crypt", "gss", "sspi", "ident", "peer", "pam", "ldap", "radius", "cert", "bsd", "oauth"]
)
OPEN_METHODS = ("trust", "ident")
"""They believe what the client says; ident asks the client's own host."""
WEAK_METHODS = ("password", "md5", "crypt", "ldap", "pam", "radius", "bsd")
"""The last four ask for the password itself too, and pass it on."""

Network = IPv4Network | IPv6Network


@record
class Record:
    """Record(kind='hostssl', databases=('all',), users=('all',), address='198.51.100.0/24', method='scram-sha-256', file='/etc/…/pg_hba.conf', line=8)"""

    kind: str
    databases: tuple[str, ...]
    """Quoted names keep their quotes, since `"all"` is a database."""
    users: tuple[str, ...]
    address: str
    """A prefix, a host name, all, samehost, samenet; empty for local."""
    method: str
    file: str
    line: int
    certificate: bool
    """The client must show a certificate as well."""

    @property
    def networks(self) -> tuple[Network, ...]:
        """Prefixes it is about; none for names and keywords other than `all`."""
        if self.address == "all":
            return (ip_network("0.0.0.0/0"), ip_network("::/0"))
        try:
            return (ip_network(self.address, strict=False),)
        except ValueError:
            return ()

    @property
    def beyond(self) -> bool:
        """It is about other hosts too."""
        if self.kind == "local" or self.address == "samehost" or self.address.lower() == "localhost":
            return False  # RFC 6761: that name is loopback everywhere
        return not self.networks or not all(one.is_loopback for one in self.networks)

    @property
    def world(self) -> bool:
        """It is about more addresses than any organisation owns."""
        return any(one.prefixlen < (8 if one.version == 4 else 16) for one in self.networks)


@record
class Fault:
    """Fault(cluster='/etc/postgresql/15/main', kind='trust', record='host all all 0.0.0.0/0 trust', world=True, line=8)"""

    cluster: str
    kind: str
    """trust: nobody is asked for a password; weak: a password that can be overheard or replayed, or a weak method for everyone."""
    record: str
    world: bool
    line: int


@record
class Cluster:
    """Cluster(directory='/etc/postgresql/15/main', port=5432, listen_addresses='localhost', password_encryption='scram-sha-256', records=(Record(…),))"""

    directory: str
    port: int | Unobserved
    listen_addresses: str | Unobserved
    password_encryption: str | Unobserved
    records: tuple[Record, ...] | Unobserved
    """In the order in which they are tried."""


@record
class Postgresql:
    """Postgresql(present=True, endpoints=(Endpoint(…),), clusters=(Cluster(…),), faults=(Fault(…),), beyond_loopback=False)"""

    present: bool | Unobserved
    endpoints: tuple[Endpoint, ...] | Unobserved
    clusters: tuple[Cluster | Unobserved, ...] | Unobserved
    faults: tuple[Fault | Unobserved, ...] | Unobserved
    """Records that let strangers in and that no earlier record takes away."""
    beyond_loopback: bool | Unobserved
    """Some server listens on more than loopback."""


def parse(look: Look) -> Postgresql | Unobserved:
    """The fact; Unobserved when neither processes nor sockets were seen."""
    up = bound.running(look, SERVICE)
    found = bound.endpoints(look, SERVICE)
    if isinstance(up, Unobserved) and isinstance(found, Unobserved):
        return up
    names = look.lines(CLUSTERS)
    clusters: tuple[Cluster | Unobserved, ...] | Unobserved
    if isinstance(names, Unobserved):
        clusters = names
    else:
        seen: list[Cluster | Unobserved] = [_cluster(look, name) for name in names if name.startswith("/")]
        if isinstance(up, Unobserved):
            seen.append(up)  # one may run whose configuration lies elsewhere
        elif any(not one.container for one in up) and seen:
            seen += _started_otherwise(look, up, seen)
        elif any(not one.container for one in up):
            seen.append(Unobserved(Reason.FORMAT, bound.PROCESSES, Text("没有找到正在运行的服务的配置", "the configuration of a running server was not found")))
        if not isinstance(up, Unobserved) and any(one.container for one in up):
            seen.append(
                Unobserved(Reason.NO_VANTAGE, bound.PROCESSES, Text("它在容器里运行，其配置看不到", "it runs in a container whose configuration is not seen"))
            )
        clusters = tuple(seen)
    return Postgresql(
        present=bound.present(look, SERVICE, clusters if isinstance(clusters, Unobserved) else bool(clusters)),
        endpoints=found,
        clusters=clusters,
        faults=clusters if isinstance(clusters, Unobserved) else tuple(fault for one in clusters for fault in _faults(one)),
        beyond_loopback=bound.beyond_loopback(found),
    )


def _started_otherwise(look: Look, running: tuple[Process, ...], clusters: list[Cluster | Unobserved]) -> list[Cluster | Unobserved]:
    """What running servers were told on their command line instead of in the files of a cluster."""
    known = {one.directory for one in clusters if isinstance(one, Cluster)}
    read = {record.file for one in clusters if isinstance(one, Cluster) and not isinstance(one.records, Unobserved) for record in one.records}
    found: list[Cluster | Unobserved] = []
    for one in running:
        if one.container:
            continue
        said = dict(_GIVEN.findall(" ".join(one.words)))
        settings, records = said.get("config_file") or said.get("config-file"), said.get("hba_file") or said.get("hba-file")
        if settings and settings.rpartition("/")[0] not in known:
            why = Text("运行中的服务用的配置文件没有采集", "a running server was started with a configuration that was not collected")
            found.append(Unobserved(Reason.NO_DATA, settings, why))
        if records and records not in read:
            found.append(Cluster(records, 5432, "", "", _records(look, records)))
    return found


_GIVEN = re.compile(r"(?:-c ?|--)(config[_-]file|hba[_-]file)=(\S{1,4096})")


def _faults(cluster: Cluster | Unobserved) -> list[Fault | Unobserved]:
    if isinstance(cluster, Unobserved):
        return [cluster]
    if isinstance(cluster.records, Unobserved):
        return [cluster.records]
    faults: list[Fault | Unobserved] = []
    for at, one in enumerate(cluster.records):
        if not one.beyond:
            continue
        if one.method in OPEN_METHODS and not one.certificate:
            kind = "trust"
        elif one.method in WEAK_METHODS and (one.kind not in TLS or one.world):
            kind = "weak"
        else:
            continue
        if any(_covers(earlier, one) for earlier in cluster.records[:at]):
            continue
        words = " ".join([one.kind, ",".join(one.databases), ",".join(one.users), one.address, one.method])
        faults.append(Fault(cluster.directory, kind, words, one.world, one.line))
    return faults


def _covers(earlier: Record, later: Record) -> bool:
    """Whether every connection that `later` is about has already met `earlier`."""
    kinds = {"host": ("host", "hostssl", "hostnossl", "hostgssenc", "hostnogssenc")}
    if later.kind not in kinds.get(earlier.kind, (earlier.kind,)):
        return False
    if not _all_of(earlier.databases, later.databases, special=("replication",)) or not _all_of(earlier.users, later.users):
        return False
    if earlier.address == "all" or earlier.address == later.address:
        return True
    mine, theirs = earlier.networks, later.networks
    return bool(theirs) and all(any(a.version == b.version and b.subnet_of(a) for a in mine) for b in theirs)  # type: ignore[arg-type]


def _all_of(wide: tuple[str, ...], narrow: tuple[str, ...], special: tuple[str, ...] = ()) -> bool:
    """Whether every name of `narrow` is among `wide`; `all` is every name but the special ones."""
    return all((one in wide and not one.startswith("@")) or ("all" in wide and one not in special) for one in narrow)


# --- settings --------------------------------------------------------------------------------------------------------


def _cluster(look: Look, directory: str) -> Cluster:
    settings = _settings(look, directory)
    if isinstance(settings, Unobserved):
        return Cluster(directory, settings, settings, settings, settings)
    data = settings.get("data_directory", directory)
    port = settings.get("port", "5432")
    return Cluster(
        directory=directory,
        port=int(port)
        if re.fullmatch(r"[0-9]{1,5}", port)
        else Unobserved(Reason.FORMAT, f"{directory}/postgresql.conf", Text("看不懂的端口", "a port that is not understood")),
        listen_addresses=settings.get("listen_addresses", "localhost"),
        password_encryption=settings.get("password_encryption", "scram-sha-256"),
        records=_records(look, settings.get("hba_file", f"{data}/pg_hba.conf")),
    )


_ESCAPED = re.compile(r"\\([0-7]{1,3})|\\(.)|''")
_SETTING = re.compile(r"\s*([A-Za-z_][A-Za-z0-9_.]{0,80})\s*(?:=\s*|\s+)('(?:[^'\\]|''|\\.)*'|[^\s#']+)")


def _settings(look: Look, directory: str) -> dict[str, str] | Unobserved:
    """Settings of one cluster, the last value of each."""
    settings: dict[str, str] = {}
    doubt = _read_settings(look, f"{directory}/postgresql.conf", settings)
    if doubt is not None:
        return doubt
    automatic = f"{settings.get('data_directory', directory)}/postgresql.auto.conf"
    doubt = None if look.text_or_none(automatic) is None else _read_settings(look, automatic, settings)
    return doubt if doubt is not None else settings


def _read_settings(look: Look, path: str, settings: dict[str, str]) -> Unobserved | None:
    text = look.text(path)
    if isinstance(text, Unobserved):
        return text
    stack: list[tuple[str, Iterator[str]]] = [(path, iter(text.split("\n")))]
    read = 0
    while stack:
        name, lines = stack[-1]
        line = next(lines, None)
        if line is None:
            stack.pop()
            continue
        found = _SETTING.match(line)
        if found is None:
            continue
        key, value = found[1].lower(), found[2]
        if value.startswith("'"):
            value = _ESCAPED.sub(lambda part: chr(int(part[1], 8)) if part[1] else part[2] or "'", value[1:-1])
        if key not in ("include", "include_if_exists", "include_dir"):
            settings[key] = value
            continue
        opened = _included(look, key, value, name)
        if isinstance(opened, Unobserved):
            return opened
        read += len(opened)
        if read > MAX_FILES or len(stack) > MAX_DEPTH:
            return Unobserved(Reason.FORMAT, name, Text("包含层次过深或文件过多", "includes too deep or too many"))
        stack += [(one, iter(inner.split("\n"))) for one, inner in reversed(opened)]
    return None


def _included(look: Look, key: str, value: str, name: str) -> list[tuple[str, str]] | Unobserved:
    """Names and texts that an include directive stands for; a relative path starts at the including file."""
    path = value if value.startswith("/") else f"{name.rpartition('/')[0]}/{value}"
    path = path.rstrip("/")
    if key == "include_dir":
        listed = entries(look, path)
        if isinstance(listed, Unobserved):
            return listed
        names = [f"{path}/{one}" for one in listed if one.endswith(".conf") and not one.startswith(".")]
    else:
        names = [path]
    texts = []
    for one in names:
        text = look.text_or_none(one) if key == "include_if_exists" else look.text(one)
        if isinstance(text, Unobserved):
            return text
        if text is not None:
            texts.append((one, text))
    return texts


# --- pg_hba.conf -----------------------------------------------------------------------------------------------------


def _records(look: Look, path: str) -> tuple[Record, ...] | Unobserved:
    """All records in the order in which they are tried."""
    text = look.text(path)
    if isinstance(text, Unobserved):
        return text
    joins = _joins(path, text)
    if joins is None:
        return _strange(path, "# … \\")
    records: list[Record] = []
    stack: list[tuple[str, Iterator[tuple[int, str]]]] = [(path, _logical_lines(text, joins))]
    read = 0
    while stack:
        name, lines = stack[-1]
        numbered = next(lines, None)
        if numbered is None:
            stack.pop()
            continue
        number, line = numbered
        fields = _fields(line)
        if fields is None:
            return _strange(name, line)
        if not fields:
            continue
        key = fields[0][0]
        if key in ("include", "include_if_exists", "include_dir"):
            if len(fields) != 2:
                return _strange(name, line)
            opened = _included(look, key, fields[1][0].strip('"'), name)
            if isinstance(opened, Unobserved):
                return opened
            read += len(opened)
            if read > MAX_FILES or len(stack) > MAX_DEPTH:
                return _strange(name, line)
            stack += [(one, _logical_lines(inner, joins)) for one, inner in reversed(opened)]
            continue
        record = _record(fields, name, number)
        if record is None or len(records) >= MAX_RECORDS:
            return _strange(name, line)
        records.append(record)
    return tuple(records)


def _strange(name: str, line: str) -> Unobserved:
    quoted = line.strip()[:120]
    return Unobserved(Reason.FORMAT, name, Text(f"无法理解的一行：{quoted!r}", f"a line that is not understood: {quoted!r}"))


def _joins(path: str, text: str) -> bool | None:
    """Whether a backslash at the end of a line continues it, a comment too: since PostgreSQL 14. None: it matters, and no directory names the version."""
    version = re.search(r"/([0-9]{1,2})(?:\.[0-9])?/", path)
    if version is not None:
        return int(version[1]) >= 14
    return None if any("#" in line and line.endswith("\\") for line in text.split("\n")) else True


def _logical_lines(text: str, joins: bool) -> Iterator[tuple[int, str]]:
    """Lines with their numbers."""
    held, start = "", 0
    for number, line in enumerate(text.split("\n"), start=1):
        start = start or number
        if joins and line.endswith("\\") and len(held) < 10_000:
            held += line[:-1]
            continue
        yield start, held + line
        held, start = "", 0
    if held:
        yield start, held


_TOKEN = re.compile(r'\s*(?:(#.*)|("(?:[^"]|"")*"(?:[^\s,"#]*)|[^\s,"#]+(?:"[^"]*"[^\s,"#]*)*)(\s*,)?)')


def _fields(line: str) -> list[list[str]] | None:
    """Fields, each a list of names that commas join; None when the line cannot be split."""
    fields: list[list[str]] = []
    at, joined = 0, False
    end = len(line.rstrip())
    while at < end:
        found = _TOKEN.match(line, at)
        if found is None:
            return None
        at = found.end()
        if found[1] is not None:
            break
        if joined:
            fields[-1].append(found[2])
        else:
            fields.append([found[2]])
        joined = found[3] is not None
    return fields


def _record(fields: list[list[str]], file: str, line: int) -> Record | None:
    kind = fields[0][0]
    if kind not in TYPES or len(fields[0]) != 1:
        return None
    rest = fields[3:]
    address = ""
    if kind != "local":
        if not rest:
            return None
        address = rest[0][0].strip('"')
        rest = rest[1:]
        if "/" not in address and _is_ip(address):
            if not rest or not _is_ip(rest[0][0]):
                return None
            try:
                address = str(ip_network(f"{address}/{_prefix(rest[0][0])}", strict=False))
            except ValueError:
                return None
            rest = rest[1:]
        elif "/" in address:
            try:
                address = str(ip_network(address, strict=False))
            except ValueError:
                return None
    if len(fields) < 3 or not rest or rest[0][0] not in METHODS:
        return None
    options = [word for field in rest[1:] for word in field]
    if any("=" not in word for word in options):
        return None  # the server refuses the whole file
    return Record(
        kind=kind,
        databases=tuple(fields[1]),
        users=tuple(fields[2]),
        address=address,
        method=rest[0][0],
        file=file,
        line=line,
        certificate=any(word.startswith("clientcert=") and word not in ("clientcert=0", "clientcert=no-verify") for word in options),
    )


def _is_ip(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def _prefix(mask: str) -> int:
    """`255.255.255.0` -> 24. Raises ValueError for a mask with holes."""
    value = ip_address(mask)
    bits = f"{int(value):0{value.max_prefixlen}b}"
    if "01" in bits:
        raise ValueError(mask)
    return bits.count("1")
