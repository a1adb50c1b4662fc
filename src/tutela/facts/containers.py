"""Running containers of Docker and Podman: what lets them out of their box.

Sources: `docker ps` and `docker inspect` with fixed fields (docker-inspect(1)), the same of Podman; never an environment or a command line (NC3).
"""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime

from tutela.evidence import Reason, Status, Unobserved
from tutela.facts import bound, units
from tutela.facts.look import Look
from tutela.facts.unseen import unseen
from tutela.language import Text
from tutela.record import record

ENGINES = ("docker", "podman")
PS = "{} ps"
INSPECT = "{} inspect (running containers, fixed fields)"
IMAGES = "{} image inspect (images of running containers)"
INFO = "{} info --format '{{{{json .SecurityOptions}}}}'"
NEEDS = (*(form.format(engine) for engine in ENGINES for form in (PS, INSPECT, IMAGES, INFO)), *units.NEEDS, bound.PROCESSES)
SOCKETS = re.compile(r"(^|/)(docker|podman|containerd|crio)\.sock$")
ABOVE = re.compile(r"((/var)?/run(/(podman|containerd|crio|user(/[0-9]+(/(podman|containerd))?)?))?|/var|)/?")
"""Directories that hold such a socket."""
DAEMONS = ("dockerd", "dockerd-current")
"""The latter is of the RHEL family 7."""
MAX_CONTAINERS = 2000


@record
class Container:
    """Container(name='web', engine='docker', privileged=False, engine_socket=False, host_network=False, host_pid=False, exposed=True, image_days=12)"""

    name: str
    engine: str
    privileged: bool
    """It was started so, or has every capability."""
    engine_socket: bool
    """The engine's socket is mounted, alone or with a directory above it: whoever breaks in commands the engine."""
    host_network: bool
    host_pid: bool
    exposed: bool
    """A port is published beyond loopback, or it shares the network of the host."""
    image_days: int | Unobserved
    """Age of its image."""


@record
class Containers:
    """Containers(engines=('docker',), running=(Container(…),), isolated_users=False)"""

    engines: tuple[str, ...]
    """Engines that are installed."""
    running: tuple[Container | Unobserved, ...]
    isolated_users: bool | Unobserved
    """Rootless, or user namespaces: root in a container is nobody outside."""


def parse(look: Look) -> Containers | Unobserved:
    """The fact."""
    engines = tuple(engine for engine in ENGINES if look.source(PS.format(engine)).status is not Status.ABSENT)
    if all(look.source(PS.format(engine)).status is Status.MISSING for engine in ENGINES):
        missing = look.text(PS.format("docker"))
        assert isinstance(missing, Unobserved)
        return missing
    found: list[Container | Unobserved] = []
    for engine in engines:
        found += _of(look, engine)
    for others in (_others(look, engines), _of_users(look) if engines else None):
        if others is not None:
            engines, found = (*engines, others.source), [*found, others]
    isolated: bool | Unobserved = True
    for engine in engines:
        said = look.text(INFO.format(engine))
        if found and isinstance(said, str):
            isolated = isolated is True and ("name=rootless" in said or "name=userns" in said)
        elif found:
            isolated = Unobserved(Reason.NO_DATA, engine, Text("没有看到用户隔离设置", "whether users are isolated is not visible"))
    return Containers(engines, tuple(found[:MAX_CONTAINERS]), isolated)


def _others(look: Look, engines: tuple[str, ...]) -> Unobserved | None:
    up = look.fact(units.up)
    if isinstance(up, Unobserved):
        return unseen(look, next(look.names(units.SHOW), units.SHOW))
    stems = ("kubelet", "k3s", "k3s-agent", "rke2-server", "rke2-agent", "crio") + (() if engines else ("containerd",))
    for unit in up.running(*stems):
        return Unobserved(Reason.NO_ANSWER, unit, Text("由它管理的容器没有接口可查", "no interface to the containers it runs"))
    return None


def _of_users(look: Look) -> Unobserved | None:
    """Engines of ordinary users (rootless): root's own engine does not know of their containers."""
    running = bound.processes(look)
    if isinstance(running, Unobserved):
        return running
    for one in running:
        if one.name in ("conmon", *DAEMONS) and one.uid not in (None, 0):
            return Unobserved(
                Reason.NO_ANSWER, bound.PROCESSES, Text("普通用户自己的容器没有查看", "containers that an ordinary user's engine runs are not looked at")
            )
    return None


def _stopped(look: Look, engine: str) -> bool:
    """Docker without its daemon runs nothing; a daemon set to keep containers alive leaves them to containerd."""
    said, running = look.source(PS.format(engine)), bound.processes(look)
    if said.status is not Status.FAILED or said.content not in (b"no socket", b"no daemon") or isinstance(running, Unobserved):
        return False
    return not any(one.name in (*DAEMONS, "containerd") for one in running)


def _of(look: Look, engine: str) -> list[Container | Unobserved]:
    listed = look.text(PS.format(engine))
    if isinstance(listed, Unobserved):
        return [] if _stopped(look, engine) else [listed]
    if not listed.strip():
        return []
    text = look.text(INSPECT.format(engine))
    if isinstance(text, Unobserved):
        return [text]
    ages = _ages(look, engine)
    rows: list[Container | Unobserved] = []
    for line in text.split("\n")[:MAX_CONTAINERS]:
        fields = line.split("\t")
        if len(fields) != 11 or fields[2] not in ("true", "false"):
            if line:
                rows.append(Unobserved(Reason.FORMAT, INSPECT.format(engine), Text("无法理解的输出", "output that is not understood")))
            continue
        network = fields[3] == "host"
        rows.append(
            Container(
                name=fields[1].lstrip("/")[:80],
                engine=engine,
                privileged=fields[2] == "true" or bool({"ALL", "CAP_ALL"} & set(fields[9].upper().split("|"))),
                engine_socket=_reaches_engine(fields[8].split("|"), fields[6]),
                host_network=network,
                host_pid=fields[4] == "host",
                exposed=network or _published(fields[10]),
                image_days=ages.get(fields[7].removeprefix("sha256:"), Unobserved(Reason.NO_DATA, fields[1], Text("没有镜像的日期", "no date of its image"))),
            )
        )
    return rows


def _reaches_engine(sources: list[str], user: str) -> bool:
    """The socket itself is mounted, or a directory that holds it, where only root of the container can use it."""
    above = user.partition(":")[0] in ("", "0", "root") and any(ABOVE.fullmatch(source) for source in sources if source)
    return above or any(SOCKETS.search(source) for source in sources)


def _published(words: str) -> bool:
    """`{"80/tcp":[{"HostIp":"0.0.0.0","HostPort":"8080"}],"81/tcp":null}`; what is not understood counts as published."""
    try:
        ports = json.loads(words)
    except (ValueError, RecursionError):
        return True
    if ports is None or not isinstance(ports, dict):
        return ports is not None
    for bindings in ports.values():
        for one in bindings if isinstance(bindings, list) else ():
            address = one.get("HostIp", "") if isinstance(one, dict) else ""
            if not str(address).startswith("127.") and address != "::1":
                return True
    return False


def _ages(look: Look, engine: str) -> dict[str, int | Unobserved]:
    text = look.text(IMAGES.format(engine))
    ages: dict[str, int | Unobserved] = {}
    for line in text.split("\n")[:MAX_CONTAINERS] if isinstance(text, str) else ():
        found = re.match(r"(?:sha256:)?([0-9a-f]{12,64})\t(\d{4}-\d{2}-\d{2})", line)
        if found is not None:
            try:
                made = datetime.strptime(found[2], "%Y-%m-%d").replace(tzinfo=UTC)
            except ValueError:
                continue
            # Reproducible builds date their images 1970 or 1980: no age at all.
            if made.year > 1990:
                ages[found[1]] = max((look.now - made).days, 0)
    return ages
