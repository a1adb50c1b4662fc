"""etcd and Kubernetes: where their ports listen, whether they take clients without a certificate or a name.

Sources: running command lines and the manifests of static pods (kubelet(8), kube-apiserver(8), etcd's flags), /etc/etcd/etcd.conf (ETCD_… as environment), etcd.conf.yml, /var/lib/kubelet/config.yaml (KubeletConfiguration).
Defaults count: the API server lets anonymous requests in (to what RBAC gives them) unless --anonymous-auth=false; a KubeletConfiguration refuses them, the kubelet's flags do not; etcd asks for a certificate only with --client-cert-auth.
"""

from __future__ import annotations

from tutela.evidence import Reason, Unobserved
from tutela.facts import bound, plain_yaml
from tutela.facts.bound import Endpoint, Process, Service
from tutela.facts.look import Look
from tutela.language import Text
from tutela.record import record

ETCD = ("etcd",)
KUBELET = ("kubelet",)
APISERVER = ("kube-apiserver",)
BUNDLED = ("k3s", "k3s-server", "k3s-agent", "k0s", "rke2")
SERVICE = Service(
    processes=(*ETCD, *KUBELET, *APISERVER, "kube-scheduler", "kube-controller", "kube-controller-manager", "kube-controller-", *BUNDLED),
    ports=(2379, 2380, 6443, 10250, 10255, 10257, 10259, 10251, 10252),
    packages=("etcd", "etcd-server", "kubelet", "kubernetes-node", "kubernetes-master", "k3s"),
)
PORTS = SERVICE.ports
PLAIN = {10255: "kubelet read-only", 10251: "kube-scheduler insecure", 10252: "kube-controller-manager insecure"}
"""Ports that never ask."""
KUBELET_FILE = "/var/lib/kubelet/config.yaml"
ETCD_FILES = ("/etc/etcd/etcd.conf", "/etc/default/etcd")
ETCD_YAML = "/etc/etcd/etcd.conf.yml"
MANIFESTS = "/etc/kubernetes/manifests"
NEEDS = (*bound.NEEDS, KUBELET_FILE, *ETCD_FILES, ETCD_YAML, f"{MANIFESTS}/")


@record
class Component:
    """Component(name='etcd', asks=False, reached='open')"""

    name: str
    """etcd | kube-apiserver | kubelet | kubelet read-only"""
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
        found = tuple(one for one in found if one.port in PORTS)  # health ports on loopback and node ports are not meant
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
            components.append(Component("kube-apiserver", one.option("anonymous-auth") == "false", _reached(found, (6443,))))
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


def _etcd(look: Look, one: Process) -> tuple[bool, bool] | Unobserved:
    """Whether the clients' port demands a certificate, and whether the members' does."""
    client, peer = one.option("client-cert-auth"), one.option("peer-client-cert-auth")
    if client is not None or peer is not None:
        return client in ("", "true"), peer in ("", "true")
    if one.option("config-file") is not None:
        text = look.text(ETCD_YAML) if one.option("config-file") == ETCD_YAML else _other(one)
        if isinstance(text, Unobserved):
            return text
        settings = plain_yaml.read(text)
        if settings is None:
            return Unobserved(Reason.FORMAT, ETCD_YAML, Text("看不懂的 YAML", "YAML that is not understood"))
        told = [settings.get(f"{part}.client-cert-auth", ("false",))[-1] == "true" for part in ("client-transport-security", "peer-transport-security")]
        return told[0], told[1]
    if one.container:
        return False, False  # its flags are its whole configuration
    values: dict[str, str] = {}
    for name in ETCD_FILES:
        text_or_none = look.text_or_none(name)
        if isinstance(text_or_none, Unobserved):
            return text_or_none
        for line in (text_or_none or "").split("\n"):
            key, _, value = line.partition("=")
            values[key.strip()] = value.strip().strip("\"'").lower()
    return values.get("ETCD_CLIENT_CERT_AUTH") == "true", values.get("ETCD_PEER_CLIENT_CERT_AUTH") == "true"


def _other(one: Process) -> Unobserved:
    return Unobserved(Reason.FORMAT, bound.PROCESSES, Text(f"{one.name} 使用别的配置文件", f"{one.name} uses another configuration file"))


def _kubelet(look: Look, one: Process) -> bool | Unobserved:
    flag = one.option("anonymous-auth")
    if flag is not None:
        return flag == "false"
    config = one.option("config")
    if config is None:
        return False  # the flags' own default takes anonymous requests
    text = look.text(KUBELET_FILE) if config == KUBELET_FILE else _other(one)
    if isinstance(text, Unobserved):
        return text
    settings = plain_yaml.read(text)
    if settings is None:
        return Unobserved(Reason.FORMAT, KUBELET_FILE, Text("看不懂的 YAML", "YAML that is not understood"))
    anonymous = settings.get("authentication.anonymous.enabled", ("false",))[-1]
    allow_all = settings.get("authorization.mode", ("Webhook",))[-1] == "AlwaysAllow"
    return anonymous == "false" and not allow_all
