"""The facts by the name that checks use.

A table, not discovery: one look shows every fact there is. Modules are imported when first asked for, so `tutela --help` pays nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib import import_module
from typing import Any

from tutela.facts.look import Look

MODULES: dict[str, str] = {
    "accounts": "tutela.facts.accounts",
    "addresses": "tutela.facts.addresses",
    "admins": "tutela.facts.admins",
    "antivirus": "tutela.facts.antivirus",
    "applications": "tutela.facts.applications",
    "apt_settings": "tutela.facts.apt_settings",
    "audit": "tutela.facts.audit",
    "automatic_updates": "tutela.facts.automatic_updates",
    "backups": "tutela.facts.backups",
    "bans": "tutela.facts.bans",
    "boot": "tutela.facts.boot",
    "centre": "tutela.facts.centre",
    "cluster_services": "tutela.facts.cluster_services",
    "confinement": "tutela.facts.confinement",
    "contacts": "tutela.facts.contacts",
    "containers": "tutela.facts.containers",
    "disks": "tutela.facts.disks",
    "elasticsearch": "tutela.facts.elasticsearch",
    "encryption": "tutela.facts.encryption",
    "exports": "tutela.facts.exports",
    "exposure": "tutela.facts.exposure",
    "fail2ban": "tutela.facts.fail2ban",
    "file_walk": "tutela.facts.file_walk",
    "firewall": "tutela.facts.firewall",
    "firewall_saved": "tutela.facts.firewall_saved",
    "guards": "tutela.facts.guards",
    "hostname": "tutela.facts.hostname",
    "integrity": "tutela.facts.integrity",
    "interfaces": "tutela.facts.interfaces",
    "intrusion": "tutela.facts.intrusion",
    "journal": "tutela.facts.journal",
    "key_files": "tutela.facts.key_files",
    "knock": "tutela.facts.knock",
    "last_logins": "tutela.facts.last_logins",
    "lockout": "tutela.facts.lockout",
    "log_files": "tutela.facts.log_files",
    "log_forwarding": "tutela.facts.log_forwarding",
    "log_retention": "tutela.facts.log_retention",
    "log_samples": "tutela.facts.log_samples",
    "machine": "tutela.facts.machine",
    "memcached": "tutela.facts.memcached",
    "modules": "tutela.facts.modules",
    "mongodb": "tutela.facts.mongodb",
    "mounts": "tutela.facts.mounts",
    "mysql": "tutela.facts.mysql",
    "os": "tutela.facts.os_release",
    "other_services": "tutela.facts.other_services",
    "outside": "tutela.facts.outside",
    "package_integrity": "tutela.facts.package_integrity",
    "package_sources": "tutela.facts.package_sources",
    "packages": "tutela.facts.packages",
    "pam": "tutela.facts.pam",
    "password_policy": "tutela.facts.password_policy",
    "persistence": "tutela.facts.persistence",
    "plain_services": "tutela.facts.plain_services",
    "platform": "tutela.facts.platform",
    "postgresql": "tutela.facts.postgresql",
    "reachable": "tutela.facts.reachable",
    "reboot": "tutela.facts.reboot",
    "redis": "tutela.facts.redis",
    "replaced_libraries": "tutela.facts.replaced_libraries",
    "scan_agreement": "tutela.facts.scan_agreement",
    "schedules": "tutela.facts.schedules",
    "security_updates": "tutela.facts.security_updates",
    "sessions": "tutela.facts.sessions",
    "sockets": "tutela.facts.sockets",
    "ssh": "tutela.facts.ssh",
    "ssh_keys": "tutela.facts.ssh_keys",
    "sudo": "tutela.facts.sudo",
    "support": "tutela.facts.support",
    "sysctl": "tutela.facts.sysctl",
    "time_sync": "tutela.facts.time_sync",
    "tls": "tutela.facts.tls",
    "units": "tutela.facts.units",
    "unneeded": "tutela.facts.unneeded",
    "unpackaged": "tutela.facts.unpackaged",
    "update_files": "tutela.facts.update_files",
    "weak_passwords": "tutela.facts.weak_passwords",
    "web": "tutela.facts.web",
}


@cache
def parser(fact: str) -> Callable[[Look], Any]:
    """The `parse` function of a fact. Raises KeyError for an unknown name."""
    found: Callable[[Look], Any] = import_module(MODULES[fact]).parse
    return found
