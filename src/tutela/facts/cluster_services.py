"""etcd and Kubernetes: where their ports listen, whether they take clients without a certificate or a name.

Sources: running command lines and the manifests of static pods (kubelet(8), kube-apiserver(8), etcd's flags), /etc/etcd/etcd.conf (ETCD_… as environment), etcd.conf.yml, /var/lib/kubelet/config.yaml (KubeletConfiguration).
Defaults count: the API server lets anonymous requests in (to what RBAC gives them) unless --anonymous-auth=false; a KubeletConfiguration refuses them, the kubelet's flags do not; etcd asks for a certificate only with --client-cert-auth.
"""

from __future__ import annotations

import re

from tutela.evidence import Reason, Unobserved
from tutela.facts import bound, plain_yaml
from tutela.facts.bound import Endpoint, Process, Service
from tutela.facts.look import Look
from tutela.language import Text
from tutela.record import record

ETCD = ("etcd",)
KUBELET = ("kubelet",)
APISERVER = ("kube-apiserver",)
BUNDLED = ("k3s", "k3s-server", "k3s-agent", "k0s", "rke2", "kubelite")
"""Programs that are several components in one; kubelite is MicroK8s."""
SERVICE = Service(
    processes=(*ETCD, *KUBELET, *APISERVER, "kube-scheduler", "kube-controller", "kube-controller-manager", "kube-controller-", *BUNDLED),
    ports=(2379, 2380, 6443, 16443, 10250, 10255, 10257, 10259, 10251, 10252),
    packages=("etcd", "etcd-server", "kubelet", "kubernetes-node", "kubernetes-master", "k3s"),
)
PORTS = SERVICE.ports
PLAIN = {10255: "kubelet read-only", 10251: "kube-scheduler insecure", 10252: "kube-controller-manager insecure"}
"""Ports that never ask."""
KUBELET_FILE = "/var/lib/kubelet/config.yaml"
ETCD_FILES = ("/etc/etcd/etcd.conf", "/etc/default/etcd", "/etc/etcd.env")
ETCD_YAML = "/etc/etcd/etcd.conf.yml"
MANIFESTS = "/etc/kubernetes/manifests"
NEEDS = (*bound.NEEDS, KUBELET_FILE, *ETCD_FILES, ETCD_YAML, f"{MANIFESTS}/")


@record
class Component:
    """Component(name='etcd', asks=False, reached='open')"""

    name: str
    """etcd | kube-apiserver | kube-apiserver insecure | kubelet | kubelet read-only | …"""
    asks: bool | Unobserved
    """A stranger is refused: certificates are demanded, anonymous requests are not taken."""
    reached: str | Unobserved
    """loopback | firewall only | open | nowhere: the widest of its ports."""


@record
class ClusterServices:
    """ClusterServices(present=True, endpoints=(Endpoint(…),), components=(Component(…),))"""

    present: bool | Unobserved
    endpoints: tuple[Endpoint, ...] | Unobserved
    components: tuple[Component | Unobserved, ...] | Unobserved
    """Running ones that take requests."""


def parse(look: Look) -> ClusterServices | Unobserved:
    """The fact; Unobserved when neither processes nor sockets were seen."""
    up = bound.running(look, SERVICE)
    found = bound.endpoints(look, SERVICE)
    if isinstance(up, Unobserved) and isinstance(found, Unobserved):
        return up
    if not isinstance(found, Unobserved):
        # Health ports on loopback and node ports are not meant; the API server listens where it is told to.
        found = tuple(one for one in found if one.port in PORTS or one.process in APISERVER)
    hidden = look.fact(bound.unseen_forwarding)
    return ClusterServices(
        present=bound.present(look, SERVICE),
        endpoints=found,
        components=up if isinstance(up, Unobserved) else (*_components(look, up, found), *(() if hidden is None else (hidden,))),
    )


def _components(look: Look, up: tuple[Process, ...], found: tuple[Endpoint, ...] | Unobserved) -> list[Component]:
    components = []
    for one in up:
        if one.name in ETCD:
            asks = _etcd(look, one)
            # Members that no other host reaches need no certificates of each other.
            alone = not isinstance(asks, Unobserved) and _reached(found, (2380,)) in ("loopback", "nowhere")
            components.append(Component("etcd", asks if isinstance(asks, Unobserved) else asks[0] and (alone or asks[1]), _reached(found, (2379, 2380))))
        elif one.name in APISERVER:
            components += _apiserver(one, found)
        elif one.name in KUBELET:
            components.append(Component("kubelet", _kubelet(look, one), _reached(found, (10250,))))
        elif one.name in BUNDLED:
            doubt = Unobserved(
                Reason.FORMAT, bound.PROCESSES, Text(f"{one.name} 自带的组件，其设置没有读取", f"components inside {one.name}, whose settings are not read")
            )
            components.append(Component(one.name, doubt, _reached(found, PORTS)))
    for port, name in PLAIN.items():
        if _reached(found, (port,)) != "nowhere":
            components.append(Component(name, asks=False, reached=_reached(found, (port,))))
    return components


def _reached(found: tuple[Endpoint, ...] | Unobserved, ports: tuple[int, ...]) -> str | Unobserved:
    if isinstance(found, Unobserved):
        return found
    states = [one.state for one in found if one.port in ports]
    for wide in ("open", "firewall only"):
        if wide in states:
            return wide
    return next((one for one in states if isinstance(one, Unobserved)), "loopback" if states else "nowhere")


def _apiserver(one: Process, found: tuple[Endpoint, ...] | Unobserved) -> list[Component]:
    secure = one.option("secure-port") or "6443"
    port = int(secure) if re.fullmatch("[0-9]{1,5}", secure) else 6443
    asks: bool | Unobserved = one.option("anonymous-auth") == "false"
    if asks is False and one.option("authentication-config") is not None:
        asks = Unobserved(
            Reason.FORMAT, bound.PROCESSES, Text("匿名请求由没有读取的文件规定", "a file that is not read says which anonymous requests are taken")
        )
    components = [Component(one.name, asks, _reached(found, (port,)))]
    others = () if isinstance(found, Unobserved) else tuple(other.port for other in found if other.process in APISERVER and other.port != port)
    if others:  # before version 1.20 it had a second port, which never asks
        components.append(Component("kube-apiserver insecure", asks=False, reached=_reached(found, others)))
    return components


def _etcd(look: Look, one: Process) -> tuple[bool, bool] | Unobserved:
    """Whether the clients' port demands a certificate, and whether the members' does."""
    said = _etcd_settings(look, one)
    if isinstance(said, Unobserved):
        return said
    if not said.get("listen-client-urls"):
        # It listens on loopback by default; a member that others reach was told so elsewhere, in its environment.
        return Unobserved(Reason.NO_DATA, bound.PROCESSES, Text("没有看到 etcd 的设置", "the settings of etcd were not seen"))
    return _demands(said, ""), _demands(said, "peer-")


def _demands(said: dict[str, str], part: str) -> bool:
    """Certificates are demanded; over plain HTTP etcd passes over that setting."""
    urls = said.get(f"listen-{part or 'client-'}urls", "")
    plain = any(url.strip().startswith("http://") and not _LOOPBACK.match(url.strip()) for url in urls.split(","))
    return said.get(f"{part}client-cert-auth") in ("", "true") and not plain


_LOOPBACK = re.compile(r"http://(127\.|localhost:|\[::1\])")
_ETCD_SETTINGS = ("client-cert-auth", "peer-client-cert-auth", "listen-client-urls", "listen-peer-urls")


def _etcd_settings(look: Look, one: Process) -> dict[str, str] | Unobserved:
    """By their names as options: of the file it was told to use, which is then its only source, else of the command line before the environment."""
    if one.option("config-file") is not None:
        text = look.text(ETCD_YAML) if one.option("config-file") == ETCD_YAML else _other(one)
        if isinstance(text, Unobserved):
            return text
        settings = plain_yaml.read(text)
        if settings is None:
            return Unobserved(Reason.FORMAT, ETCD_YAML, Text("看不懂的 YAML", "YAML that is not understood"))
        told = {key: ",".join(settings.get(key, ())) for key in _ETCD_SETTINGS[2:]} | {
            f"{part}client-cert-auth": settings.get(f"{section}.client-cert-auth", ("false",))[-1]
            for part, section in (("", "client-transport-security"), ("peer-", "peer-transport-security"))
        }
        return told | {"listen-client-urls": told["listen-client-urls"] or "http://localhost:2379"}
    values = {key: value for key in _ETCD_SETTINGS if (value := one.option(key)) is not None}
    if one.container or "listen-client-urls" in values:
        return values  # who writes it on the command line writes all there
    for name in ETCD_FILES:
        if "listen-client-urls" in values:
            break  # each distribution has one of them
        text_or_none = look.text_or_none(name)
        if isinstance(text_or_none, Unobserved):
            return text_or_none
        for line in (text_or_none or "").split("\n"):
            key, _, value = line.partition("=")
            key = key.strip().removeprefix("ETCD_").lower().replace("_", "-")
            if key in _ETCD_SETTINGS:
                values.setdefault(key, value.strip().strip("\"'").lower())
    return values


def _other(one: Process) -> Unobserved:
    return Unobserved(Reason.FORMAT, bound.PROCESSES, Text(f"{one.name} 使用别的配置文件", f"{one.name} uses another configuration file"))


def _kubelet(look: Look, one: Process) -> bool | Unobserved:
    flag = one.option("anonymous-auth")
    if flag is not None:
        return flag == "false"
    config = one.option("config")
    if config is None:
        return False  # the flags' own default takes anonymous requests
    if one.option("config-dir") is not None:
        return _other(one)  # files in it win
    text = look.text(KUBELET_FILE) if config == KUBELET_FILE else _other(one)
    if isinstance(text, Unobserved):
        return text
    settings = plain_yaml.read(text)
    if settings is None:
        return Unobserved(Reason.FORMAT, KUBELET_FILE, Text("看不懂的 YAML", "YAML that is not understood"))
    if any(plain_yaml.hides(settings, key) for key in ("authentication.anonymous.enabled", "authorization.mode")):
        return Unobserved(Reason.FORMAT, KUBELET_FILE, Text("看不出是否接受匿名请求", "whether anonymous requests are taken is not seen"))
    anonymous = settings.get("authentication.anonymous.enabled", ("false",))[-1]
    allow_all = settings.get("authorization.mode", ("Webhook",))[-1] == "AlwaysAllow"
    return anonymous == "false" and not allow_all
