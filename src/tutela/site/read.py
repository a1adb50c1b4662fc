"""Read a site file.

Raises ContentError with file:line:column; nothing is guessed, unknown keys are refused.
"""

from __future__ import annotations

from datetime import timedelta
from ipaddress import ip_network
from typing import Any

from tutela.documents import Node, read_yaml
from tutela.evidence import digest_of
from tutela.record import fields
from tutela.site.model import Accounts, ApprovedPort, Attestation, DataSet, Drill, Network, Networks, Site, Waiver

DATA_CLASSES = ("public", "internal", "sensitive", "core")
SSH_MEASURES = ("source", "knock", "two-factor", "keys", "ban")
MAX_WAIVER_DAYS = 365
SCHEMA = "tutela/site/1"


def read_site(raw: bytes, file: str) -> Site:
    """The site that a YAML file declares."""
    known = frozenset(f.name for f in fields(Site)) - {"digest", "variant"} | {"schema"}
    root = read_yaml(raw, file).root
    if root.data is None:
        root.wrong("文件是空的", "the file is empty")
    root.mapping(known=known)
    root.get("schema").one_of((SCHEMA,))
    made: dict[str, Any] = {"digest": digest_of(raw)}
    for key, node in root.items():
        if key == "schema" or node.data is None:
            continue
        made[key] = _READERS[key](node)
    return Site(**made)


def _networks(node: Node) -> Networks:
    node.mapping(known=frozenset(f.name for f in fields(Networks)))
    return Networks(**{key: tuple(_network(item) for item in value.each()) for key, value in node.items() if value.data is not None})


def _network(node: Node) -> Network:
    words = node.text()
    try:
        return ip_network(words)
    except ValueError as problem:
        node.wrong(f"不是网段：{words!r}（写作 地址/前缀长度，主机位为零）", f"not a network: {problem}")


def _port(node: Node) -> ApprovedPort:
    node.mapping(known=frozenset({"port", "protocol", "application", "reason", "hosts"}))
    port = node.get("port").integer()
    if not 0 < port < 65536:
        node.get("port").wrong("端口应在 1–65535", "a port is 1-65535")
    return ApprovedPort(
        port=port,
        protocol=node.get("protocol", "tcp").one_of(("tcp", "udp")),
        application=node.get("application").text(),
        reason=node.get("reason").text(),
        hosts=node.get("hosts", ["*"]).texts(),
    )


def _data_set(node: Node) -> DataSet:
    node.mapping(known=frozenset({"path", "important", "data_class", "reason", "backup_by", "rpo_hours", "off_site", "immutable", "drills", "encrypted_by"}))
    important = node.get("important").boolean()
    if not important:
        node.get("reason").text()
    return DataSet(
        path=node.get("path").text(),
        important=important,
        data_class=node.get("data_class", "internal").one_of(DATA_CLASSES),
        reason=_text(node, "reason"),
        backup_by=_text(node, "backup_by"),
        rpo_hours=None if node.get("rpo_hours", None).data is None else node.get("rpo_hours").integer(),
        off_site=node.get("off_site", False).boolean(),
        immutable=node.get("immutable", False).boolean(),
        drills=tuple(_drill(item) for item in node.get("drills", []).each()),
        encrypted_by=_text(node, "encrypted_by"),
    )


def _text(node: Node, key: str) -> str:
    """A text that may be left out, or left blank; never the word for nothing, which would declare something."""
    return "" if node.get(key, None).data is None else node.get(key).text()


def _drill(node: Node) -> Drill:
    node.mapping(known=frozenset({"on", "intact", "reference"}))
    return Drill(on=node.get("on").date(), intact=node.get("intact").boolean(), reference=_text(node, "reference"))


def _waiver(node: Node) -> Waiver:
    node.mapping(known=frozenset({"target", "subjects", "reason", "approver", "party", "granted", "expires"}))
    granted, expires = node.get("granted").date(), node.get("expires").date()
    if expires <= granted or expires - granted > timedelta(days=MAX_WAIVER_DAYS):
        node.get("expires").wrong(
            f"豁免须晚于批准日且不超过 {MAX_WAIVER_DAYS} 天", f"a waiver ends after it was granted and lasts {MAX_WAIVER_DAYS} days at most"
        )
    return Waiver(
        target=node.get("target").text(),
        party=node.get("party").one_of(("provider", "owner")),
        subjects=node.get("subjects", ["*"]).texts(),
        reason=node.get("reason").text(),
        approver=node.get("approver").text(),
        granted=granted,
        expires=expires,
    )


def _attestation(node: Node) -> Attestation:
    node.mapping(known=frozenset({"clause", "subjects", "by", "on", "expires", "reference", "answer"}))
    return Attestation(
        clause=node.get("clause").text(),
        subjects=node.get("subjects", ["*"]).texts(),
        by=node.get("by").text(),
        on=node.get("on").date(),
        expires=node.get("expires").date(),
        reference=node.get("reference").text(),
        answer=_answer(node.get("answer", "yes")),
    )


def _answer(node: Node) -> str:
    """Yes or no; without quotes YAML takes these words for true and false."""
    return ("yes" if node.data else "no") if isinstance(node.data, bool) else node.one_of(("yes", "no"))


def _accounts(node: Node) -> Accounts:
    node.mapping(known=frozenset(f.name for f in fields(Accounts)))
    return Accounts(**{key: value.texts() for key, value in node.items() if value.data is not None})


def _contact(node: Node) -> dict[str, str]:
    node.mapping(known=frozenset({"name", "role", "phone", "mail"}))
    return {key: value.text() for key, value in node.items()}


def _parameters(node: Node) -> Node:
    for check in node.mapping().data:
        node.get(check).mapping()
    return node


def _host(node: Node) -> tuple[str, dict[str, object]]:
    node.mapping(known=_PER_HOST | {"match"})
    made = {key: _READERS[key](value) for key, value in node.items() if key != "match" and value.data is not None}
    return node.get("match").text(), made


def _years(node: Node) -> tuple[int, int]:
    years = [item.integer() for item in node.each()]
    if len(years) != 2 or not 1900 <= years[0] <= years[1] <= 2100:
        node.wrong("应为两个年份 [起, 止]", "two years are expected: [first, last]")
    return years[0], years[1]


_PER_HOST = frozenset(
    {"networks", "approved_ports", "hostname_pattern", "inventory_name", "accounts", "data_sets", "data_class", "mlps_level", "roles"}
    | {
        "ssh_measures",
        "patch_tool",
        "allowed_suid",
        "allowed_world_writable",
        "allowed_services",
        "allowed_unpackaged",
        "unpackaged_versions",
        "edr",
        "external_firewall",
        "integrity_reviewed",
        "contacts",
        "sample_logs",
        "log_servers",
    }
)
"""What may differ from host to host."""

_READERS: dict[str, Any] = {
    "name": Node.text,
    "profile": Node.text,
    "networks": _networks,
    "log_servers": Node.texts,
    "approved_ports": lambda node: tuple(_port(item) for item in node.each()),
    "weak_tokens": Node.texts,
    "birth_years": _years,
    "hostname_pattern": Node.text,
    "inventory_name": Node.text,
    "contacts": lambda node: tuple(_contact(item) for item in node.each()),
    "accounts": _accounts,
    "data_sets": lambda node: tuple(_data_set(item) for item in node.each()),
    "data_class": lambda node: node.one_of(DATA_CLASSES),
    "mlps_level": Node.integer,
    "roles": Node.texts,
    "ssh_measures": lambda node: tuple(item.one_of(SSH_MEASURES) for item in node.each()),
    "package_hosts": Node.texts,
    "patch_tool": Node.text,
    "os_support": lambda node: {name: value.date() for name, value in node.items()},
    "allowed_suid": Node.texts,
    "allowed_world_writable": Node.texts,
    "allowed_services": Node.texts,
    "allowed_unpackaged": Node.texts,
    "unpackaged_versions": lambda node: {path: value.date() for path, value in node.items()},
    "edr": Node.text,
    "external_firewall": Node.text,
    "integrity_reviewed": Node.date,
    "sample_logs": Node.boolean,
    "parameters": _parameters,
    "waivers": lambda node: tuple(_waiver(item) for item in node.each()),
    "hosts": lambda node: tuple(_host(item) for item in node.each()),
    "attestations": lambda node: tuple(_attestation(item) for item in node.each()),
}
