"""MongoDB: where it listens, whether it asks for a login.

Sources: /etc/mongod.conf and /etc/mongos.conf (MongoDB manual, Configuration File Options), and the command line, which wins.
A key file or x509 between members turns authorization on as well.
"""

from __future__ import annotations

from tutela.evidence import Reason, Unobserved
from tutela.facts import bound, plain_yaml
from tutela.facts.bound import Endpoint, Process, Service
from tutela.facts.look import Look
from tutela.language import Text
from tutela.record import record

SERVICE = Service(
    processes=("mongod", "mongos"),
    ports=(27017, 27018, 27019),
    packages=("mongodb", "mongodb-server*", "mongodb-org-server", "mongodb-org-mongos", "percona-server-mongodb-server"),
)
FILES = {"mongod": "/etc/mongod.conf", "mongos": "/etc/mongos.conf"}
NEEDS = (*bound.NEEDS, *FILES.values())


@record
class Mongodb:
    """Mongodb(present=True, endpoints=(Endpoint(…),), authorization=True, bind_ip=('127.0.0.1',), beyond_loopback=False)"""

    present: bool | Unobserved
    endpoints: tuple[Endpoint, ...] | Unobserved
    authorization: bool | Unobserved
    """Every running server asks for a login; of a stopped one, its file."""
    bind_ip: tuple[str, ...] | Unobserved
    """As the files say; empty: the default, localhost."""
    beyond_loopback: bool | Unobserved


def parse(look: Look) -> Mongodb | Unobserved:
    """The fact; Unobserved when neither processes nor sockets were seen."""
    up = bound.running(look, SERVICE)
    found = bound.endpoints(look, SERVICE)
    if isinstance(up, Unobserved) and isinstance(found, Unobserved):
        return up
    settings = {name: _settings(look, path) for name, path in FILES.items()}
    doubt = next((one for one in settings.values() if isinstance(one, Unobserved)), None)
    binds = tuple(
        address
        for one in settings.values()
        if isinstance(one, dict)
        for key in ("net.bindIp", "bind_ip")
        for value in one.get(key, ())
        for address in value.split(",")
    )
    if any(isinstance(one, dict) and _true(one, "net.bindIpAll") for one in settings.values()):
        binds = (*binds, "*")
    return Mongodb(
        present=bound.present(look, SERVICE, doubt if doubt is not None else any(settings.values())),
        endpoints=found,
        authorization=up if isinstance(up, Unobserved) else _authorization(up, found, settings),
        bind_ip=doubt if doubt is not None else binds,
        beyond_loopback=bound.beyond_loopback(found),
    )


def _settings(look: Look, path: str) -> plain_yaml.Flat | Unobserved:
    text = look.text_or_none(path)
    if text is None or isinstance(text, Unobserved):
        return {} if text is None else text
    read = plain_yaml.read(text)
    return read if read is not None else Unobserved(Reason.FORMAT, path, Text("看不懂的 YAML", "YAML that is not understood"))


def _true(settings: plain_yaml.Flat, key: str) -> bool:
    return settings.get(key, ("false",))[-1].lower() in ("true", "yes", "on")


def _authorization(up: tuple[Process, ...], found: tuple[Endpoint, ...] | Unobserved, settings: dict[str, plain_yaml.Flat | Unobserved]) -> bool | Unobserved:
    if not up and (isinstance(found, Unobserved) or found):
        return _unseen()
    asks = [_asks(one, settings[one.name]) for one in up] or [_by_file(settings["mongod"])]
    if any(one is False for one in asks):
        return False
    return next((one for one in asks if isinstance(one, Unobserved)), True)


def _unseen() -> Unobserved:
    return Unobserved(Reason.NO_VANTAGE, bound.PROCESSES, Text("它在容器里运行，其配置看不到", "it runs in a container whose configuration is not seen"))


def _asks(one: Process, settings: plain_yaml.Flat | Unobserved) -> bool | Unobserved:
    if one.option("noauth") is not None or one.option("transitionToAuth") is not None:
        return False
    asked = any(one.option(name) is not None for name in ("auth", "keyFile", "clusterAuthMode"))
    config = one.option("config", "f")
    if config is None:
        # No file, no option: the default lets everyone in.
        return asked or (_unseen() if one.container else False)
    if one.container:
        return _unseen()
    if config not in FILES.values():
        return Unobserved(Reason.FORMAT, bound.PROCESSES, Text(f"它使用别的配置文件：{config}", f"it uses another configuration file: {config}"))
    if asked and not isinstance(settings, Unobserved):
        transition = _in_transition(settings)
        return transition if isinstance(transition, Unobserved) else not transition
    return _by_file(settings)


def _by_file(settings: plain_yaml.Flat | Unobserved) -> bool | Unobserved:
    if isinstance(settings, Unobserved):
        return settings
    transition = _in_transition(settings)
    if transition is not False:
        return transition if isinstance(transition, Unobserved) else False
    if settings.get("security.authorization", ("disabled",))[-1] == "enabled":
        return True
    if plain_yaml.hides(settings, "security.authorization"):
        return Unobserved(Reason.FORMAT, FILES["mongod"], Text("看不出 authorization 的取值", "the value of authorization is not seen"))
    return "security.keyFile" in settings or settings.get("security.clusterAuthMode", ("",))[-1] == "x509"


def _in_transition(settings: plain_yaml.Flat) -> bool | Unobserved:
    """Whether the file says transitionToAuth: the servers ask each other, and nobody else."""
    value = settings.get("security.transitionToAuth", ("false",))[-1]
    if value in ("true", "false"):
        return value == "true"
    return Unobserved(Reason.FORMAT, FILES["mongod"], Text("看不出 transitionToAuth 的取值", "the value of transitionToAuth is not seen"))
