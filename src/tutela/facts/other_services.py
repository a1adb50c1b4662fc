"""The other data services of H-067: where each listens, and whether it asks who is there.

One table: engine, ports, program names, packages, and how one knows that it asks. Where the table says `unseen`, no file that is read tells.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from tutela.evidence import Reason, Unobserved
from tutela.facts import bound
from tutela.facts.bound import Process, Service
from tutela.facts.listing import entries, matching
from tutela.facts.look import Look
from tutela.language import Text
from tutela.record import record

DAEMON_JSON = "/etc/docker/daemon.json"
RABBITMQ = "/etc/rabbitmq/rabbitmq.conf"
RABBITMQ_FILES = "/etc/rabbitmq/conf.d"
RABBITMQ_TERMS = ("/etc/rabbitmq/rabbitmq.config", "/etc/rabbitmq/advanced.config")
KAFKA = ("/etc/kafka/server.properties", "/opt/kafka/config/server.properties", "/opt/kafka/config/kraft/server.properties")
INFLUXDB = "/etc/influxdb/influxdb.conf"
CASSANDRA = ("/etc/cassandra/cassandra.yaml", "/etc/cassandra/conf/cassandra.yaml")
RSYNCD = "/etc/rsyncd.conf"
SAMBA = "/etc/samba/smb.conf"
SAMBA_FILES = "/etc/samba"
USERSHARES = "/var/lib/samba/usershares"
DIRECTORIES = (f"{RABBITMQ_FILES}/", f"{SAMBA_FILES}/", f"{USERSHARES}/")
NEEDS = (*bound.NEEDS, DAEMON_JSON, RABBITMQ, *RABBITMQ_TERMS, *KAFKA, INFLUXDB, *CASSANDRA, RSYNCD, SAMBA, *DIRECTORIES)
MAX_FILES = 100

Asks = Callable[[Look, tuple[Process, ...]], "bool | Unobserved"]


@record
class Found:
    """Found(engine='Docker API', address='0.0.0.0', port=2375, protocol='tcp', state='open', asks=False, approved=False)"""

    engine: str
    address: str
    port: int
    protocol: str
    state: str | Unobserved
    """loopback | firewall only | open"""
    asks: bool | Unobserved
    """A stranger is refused."""
    approved: bool
    """The site's approved ports name it."""


@record
class OtherServices:
    """OtherServices(present=True, found=(Found(…),))"""

    present: bool | Unobserved
    found: tuple[Found | Unobserved, ...]
    """One for each port that one of them listens on."""


# --- how one knows that it asks --------------------------------------------------------------------------------------


def _always(_look: Look, _up: tuple[Process, ...]) -> bool | Unobserved:
    """It cannot be run without a login."""
    return True


def _never(_look: Look, _up: tuple[Process, ...]) -> bool | Unobserved:
    """It has no login of its own."""
    return False


def _unseen(_look: Look, _up: tuple[Process, ...]) -> bool | Unobserved:
    return Unobserved(
        Reason.NO_ANSWER, bound.PROCESSES, Text("是否要求登录，读到的配置里没有答案", "no configuration that is read says whether it asks for a login")
    )


def _other_file(name: str) -> Unobserved:
    return Unobserved(Reason.FORMAT, bound.PROCESSES, Text(f"它使用别的配置文件：{name}", f"it uses another configuration file: {name}"))


def _influxdb(look: Look, up: tuple[Process, ...]) -> bool | Unobserved:
    """Version 1 is started with its file, and asks only where [http] says auth-enabled; version 2 has another one."""
    if not up or any(INFLUXDB not in one.words for one in up):
        return _unseen(look, up)
    text = look.text(INFLUXDB)
    if isinstance(text, Unobserved):
        return text
    http = re.search(r"^\[http\][ \t]*$([^\[]*)", text, re.MULTILINE)
    said = re.findall(r"^[ \t]*auth-enabled[ \t]*=[ \t]*(\w+)", http[1] if http else "", re.MULTILINE)
    return said[-1:] == ["true"]


def _docker(look: Look, up: tuple[Process, ...]) -> bool | Unobserved:
    if any(one.option("tlsverify") in ("", "true") for one in up):
        return True
    text = look.text_or_none(DAEMON_JSON)
    if isinstance(text, Unobserved):
        return text
    return text is not None and re.search(r"\btlsverify: *true\b", text) is not None


def _rabbitmq(look: Look, _up: tuple[Process, ...]) -> bool | Unobserved:
    """The account guest with its known password is for loopback only, unless the configuration opens it."""
    names = matching(look, f"{RABBITMQ_FILES}/*.conf")
    if isinstance(names, Unobserved):
        return names
    for name in (RABBITMQ, *names):
        text = look.text_or_none(name)
        if isinstance(text, Unobserved):
            return text
        if re.search(r"^[ \t]*loopback_users([ \t]*=[ \t]*none|\.guest[ \t]*=[ \t]*false)[ \t]*$", text or "", re.MULTILINE):
            return False
    for name in RABBITMQ_TERMS:
        terms = look.text_or_none(name)
        if isinstance(terms, Unobserved):
            return terms
        if "loopback_users []" in (terms or ""):
            return False
        if "loopback_users ***" in (terms or ""):
            return Unobserved(Reason.FORMAT, name, Text("看不出 loopback_users 的取值", "the value of loopback_users is not seen"))
    return True


def _kafka(look: Look, up: tuple[Process, ...]) -> bool | Unobserved:
    """By the file that a server was started with; by the first that exists where its command line does not say."""
    told = tuple(word for one in up for word in one.words if word.endswith(".properties") and word.startswith("/"))
    other = next((name for name in told if name not in KAFKA), None)
    if other is not None:
        return _other_file(other)
    for name in told or KAFKA[:2]:
        text = look.text_or_none(name)
        if isinstance(text, Unobserved):
            return text
        if text is None:
            continue
        said = {
            key: value.strip()
            for key, value in re.findall(r"^[ \t]*(listeners|listener\.security\.protocol\.map|ssl\.client\.auth)[ \t]*=(.*)$", text, re.MULTILINE)
        }
        # The listener of the controllers speaks in clear where nothing else is said.
        protocols = {"CONTROLLER": "PLAINTEXT"} | dict(re.findall(r"([\w.-]+):(\w+)", said.get("listener.security.protocol.map", "").upper()))
        listeners = [one.strip().partition("://") for one in said.get("listeners", "PLAINTEXT://:9092").split(",")]
        spoken = [protocols.get(one.upper(), one.upper()) for one, _, where in listeners if not where.startswith(("localhost:", "127.", "[::1]"))]
        if "PLAINTEXT" in spoken or ("SSL" in spoken and said.get("ssl.client.auth") != "required"):
            return False
        if all(one == "SSL" or one.startswith("SASL_") for one in spoken):
            return True
        return Unobserved(Reason.FORMAT, name, Text("监听器用了自定的名字", "its listeners have names of their own"))
    return _unseen(look, up)


def _cassandra(look: Look, up: tuple[Process, ...]) -> bool | Unobserved:
    for name in CASSANDRA:
        text = look.text_or_none(name)
        if isinstance(text, Unobserved):
            return text
        if text is not None:
            found = re.findall(r"^authenticator:[ ]*(\S+)", text, re.MULTILINE)
            return bool(found) and "AllowAll" not in found[-1]  # without the line everyone is let in
    return _unseen(look, up)


def _jupyter(look: Look, up: tuple[Process, ...]) -> bool | Unobserved:
    """A token is made by default; an empty one on the command line turns it off."""
    for one in up:
        if any(word.endswith((".token=empty", ".password=empty")) for word in one.words):
            return False
    return _unseen(look, up)


def _rsync(look: Look, up: tuple[Process, ...]) -> bool | Unobserved:
    """Every module names its users, or a default for all of them does."""
    other = next((config for one in up if (config := one.option("config")) not in (None, RSYNCD)), None)
    if other is not None:
        return _other_file(other)
    text = look.text(RSYNCD)
    if isinstance(text, Unobserved):
        return text
    asks: dict[str, bool] = {"": False}
    module = ""
    for line in text.split("\n"):
        line = line.strip()
        users = re.match(r"auth\s*users\s*=\s*(.*)", line, re.IGNORECASE)
        if line.startswith("&"):
            return Unobserved(Reason.FORMAT, RSYNCD, Text("包含了没有读取的文件", "it includes files that are not read"))
        if line.startswith("["):
            module = line.strip("[]").strip()
            asks[module] = asks[""]
        elif users is not None:
            asks[module if module != "global" else ""] = bool(users[1])
    return all(answer for name, answer in asks.items() if name not in ("", "global"))


def _samba(look: Look, up: tuple[Process, ...]) -> bool | Unobserved:
    """No share takes guests. Whether strangers are mapped to guests does not matter: who comes without a name is one."""
    if any(one.name.startswith("ksmbd") for one in up):
        return _unseen(look, up)  # it has a configuration of its own
    text = look.text(SAMBA)
    if isinstance(text, Unobserved):
        return text
    doubt: Unobserved | None = None
    texts, wanted = [text], _SAMBA_INCLUDES.findall(text)
    while wanted and len(texts) < MAX_FILES:
        inner = _samba_included(look, wanted.pop())
        if isinstance(inner, Unobserved):
            doubt = doubt or inner
        elif inner is not None:
            texts.append(inner)
            wanted += _SAMBA_INCLUDES.findall(inner)
    whole = "\n".join(texts)
    if _SAMBA_GUESTS.search(whole):
        return False
    if wanted or re.search(r"^[ \t]*(config backend|registry shares)", whole, re.MULTILINE | re.IGNORECASE):
        doubt = doubt or Unobserved(Reason.FORMAT, SAMBA, Text("部分共享写在没有读取的地方", "some shares stand where nothing is read"))
    of_users = _samba_of_users(look, whole)
    return False if of_users is False else doubt or of_users


# Blanks in names do not count for Samba; `public` is another name of `guest ok`.
_SAMBA_GUESTS = re.compile(r"^[ \t]*(guest[ \t]*ok|public)[ \t]*=[ \t]*(yes|true|on|1)[ \t]*$", re.MULTILINE | re.IGNORECASE)
_USERSHARES = re.compile(r"^[ \t]*(usershare[^=\n]*)=[ \t]*(\S*)", re.MULTILINE | re.IGNORECASE)
_SAMBA_INCLUDES = re.compile(r"^[ \t]*include[ \t]*=[ \t]*(\S.*)$", re.MULTILINE | re.IGNORECASE)


def _samba_included(look: Look, path: str) -> str | Unobserved | None:
    """An included file; None where it does not exist, which Samba passes over."""
    directory, _, name = path.rstrip(" \t").rpartition("/")
    if directory != SAMBA_FILES or not name.endswith(".conf") or "%" in name:
        return Unobserved(Reason.FORMAT, SAMBA, Text("部分共享写在没有读取的地方", "some shares stand where nothing is read"))
    names = entries(look, SAMBA_FILES)
    if isinstance(names, Unobserved):
        return names
    return look.text(f"{directory}/{name}") if name in names else None


def _samba_of_users(look: Look, settings: str) -> bool | Unobserved:
    """No share that an ordinary user made (net usershare) takes guests."""
    said = {re.sub(r"\s", "", key).lower(): value.lower() for key, value in _USERSHARES.findall(settings)}
    if said.get("usershareallowguests") not in ("yes", "true", "on", "1") or said.get("usersharemaxshares") == "0":
        return True
    if said.get("usersharepath", USERSHARES) != USERSHARES:
        return Unobserved(Reason.FORMAT, SAMBA, Text("部分共享写在没有读取的地方", "some shares stand where nothing is read"))
    names = entries(look, USERSHARES)
    if isinstance(names, Unobserved):
        return names
    texts = [look.text(f"{USERSHARES}/{name}") for name in names]
    if any(isinstance(text, str) and re.search(r"^guest_ok=y", text, re.MULTILINE | re.IGNORECASE) for text in texts):
        return False
    return next((text for text in texts if isinstance(text, Unobserved)), True)


# --- the table -------------------------------------------------------------------------------------------------------


@record
class Engine:
    """A row: Engine('RabbitMQ', (5672, 15672), ('rabbitmq',), ('rabbitmq-server',), _rabbitmq)"""

    name: str
    ports: tuple[int, ...]
    processes: tuple[str, ...]
    packages: tuple[str, ...]
    asks: Asks
    kernel: bool = False
    """The kernel itself listens, so no program is named."""
    own_ports_only: bool = False
    """Its other ports are not meant unless its command line names them: node to node with certificates, or loopback by design."""
    activated: bool = False
    """Often started for whoever connects, by systemd or a program of its kind that holds the socket."""


DOCKER_PACKAGES = ("docker-ce", "docker.io", "docker-engine", "moby-engine")
TABLE = (
    Engine("Docker API", (2375, 2376, 4243), ("dockerd", "dockerd-current"), DOCKER_PACKAGES, _docker, own_ports_only=True, activated=True),
    Engine("containerd", (), ("containerd",), (), _never),
    Engine("Podman API", (), ("podman",), (), _never),
    Engine("RabbitMQ", (5672, 5671, 15672), ("rabbitmq",), ("rabbitmq-server",), _rabbitmq),
    Engine("Kafka", (9092,), ("kafka",), ("kafka", "confluent-kafka"), _kafka),
    Engine("ZooKeeper", (2181,), ("zookeeper",), ("zookeeper", "zookeeperd"), _unseen),
    Engine("ClickHouse", (8123, 9000), ("clickhouse-serv", "clickhouse-server", "clickhouse"), ("clickhouse-server",), _unseen),
    Engine("InfluxDB", (8086,), ("influxd",), ("influxdb", "influxdb2"), _influxdb),
    Engine("CouchDB", (5984,), ("couchdb",), ("couchdb",), _unseen),
    Engine("Cassandra", (9042,), ("cassandra",), ("cassandra",), _cassandra),
    Engine("Hadoop/YARN", (8088, 9870), ("hadoop",), ("hadoop-*",), _unseen),
    Engine("Jupyter", (8888,), ("jupyter", "jupyter-lab", "jupyter-noteboo", "jupyter-notebook", "jupyterhub"), ("jupyter-notebook",), _jupyter),
    Engine("Ray", (8265,), ("ray", "raylet", "gcs_server"), (), _never),
    Engine("MinIO", (9000, 9001), ("minio",), ("minio",), _always),
    Engine("Consul", (8500,), ("consul",), ("consul",), _unseen),
    Engine("SQL Server", (1433,), ("sqlservr",), ("mssql-server",), _always),
    Engine("Oracle", (1521,), ("tnslsnr", "oracle"), ("oracle-database-*",), _always),
    Engine("Dameng", (5236,), ("dmserver",), (), _always),
    Engine("rsync", (873,), ("rsync",), (), _rsync, activated=True),
    Engine("SMB", (139, 445), ("smbd", "ksmbd.mountd"), ("samba", "ksmbd-tools"), _samba, kernel=True),
    Engine("iSCSI", (3260,), ("tgtd",), ("tgt", "targetcli-fb", "targetcli"), _unseen, kernel=True),
)


def _asked_for(up: tuple[Process, ...], port: int) -> bool:
    """Whether a command line names the port: -H tcp://0.0.0.0:4000."""
    return any(re.search(rf"tcp://.*:{port}$", word) for one in up for word in one.words)


def parse(look: Look) -> OtherServices | Unobserved:
    """The fact; Unobserved when processes or sockets were not seen."""
    every = bound.processes(look)
    if isinstance(every, Unobserved):
        return every
    found: list[Found | Unobserved] = []
    for engine in TABLE:
        service = Service(engine.processes, engine.ports, engine.packages)
        up = tuple(one for one in every if one.name in engine.processes)
        seen = bound.listening(look, service)
        if isinstance(seen, Unobserved):
            return seen
        asks: bool | Unobserved | None = None
        for one in seen:
            # A port alone names an engine only if it runs in a container here, or the kernel is the program.
            named = one.process in engine.processes or (engine.kernel and one.process is None) or (engine.activated and one.process in bound.ACTIVATORS)
            if not (named or up or isinstance(one.process, Unobserved)):
                continue
            if engine.own_ports_only and one.port not in engine.ports and not _asked_for(up, one.port):
                continue
            if asks is None:
                asks = _unseen(look, up) if up and all(process.container for process in up) and engine.asks is not _always else engine.asks(look, up)
            found.append(Found(engine.name, one.address, one.port, one.protocol, one.state, asks, one.approved))
    whole = Service(
        tuple(name for engine in TABLE for name in engine.processes),
        (),
        tuple(pattern for engine in TABLE for pattern in engine.packages),
    )
    present = True if found else bound.present(look, whole)
    hidden = look.fact(bound.unseen_forwarding)
    if hidden is not None:
        found.append(hidden)
    return OtherServices(present, tuple(found))
