"""The declared settings of a site.

None means "not declared", which is something else than declared empty.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from fnmatch import fnmatchcase
from ipaddress import IPv4Network, IPv6Network
from typing import Any

from tutela.documents import Node
from tutela.record import field, record, replace

Network = IPv4Network | IPv6Network


@record
class Networks:
    """Source classes of H.0.2; addresses in neither are EXTERNAL."""

    admin: tuple[Network, ...] | None = None
    """From where administrators log in."""
    campus: tuple[Network, ...] | None = None
    """The organisation's own addresses."""
    assigned: tuple[Network, ...] | None = None
    """Addresses assigned to this host by the provider (HL-2.1a)."""
    clients: tuple[Network, ...] = ()
    """Declared clients of data services and NFS (application hosts)."""


@record
class ApprovedPort:
    """A port that may be reachable, with its application (form T-13)."""

    port: int
    protocol: str
    application: str
    reason: str
    hosts: tuple[str, ...] = ("*",)
    """Shell patterns of subjects."""


@record
class Drill:
    """A restore that was tried out."""

    on: datetime.date
    intact: bool
    """Whether what came back was complete and right."""
    reference: str = ""


@record
class DataSet:
    """A row of the backup plan (form T-10)."""

    path: str
    important: bool
    data_class: str
    """public | internal | sensitive | core"""
    reason: str = ""
    """Why no backup is needed, when it is unimportant."""
    backup_by: str = ""
    """An agentless backup outside the host, if any."""
    rpo_hours: int | None = None
    """How much work may be lost at most."""
    off_site: bool = False
    """A copy lies at another site."""
    immutable: bool = False
    """A copy cannot be changed or deleted from here (append-only, object lock)."""
    drills: tuple[Drill, ...] = ()
    """Restore drills that were held (form T-15)."""
    encrypted_by: str = ""
    """What encrypts it out of the host's sight (cloud volume, hypervisor, database), with where the evidence lies."""


@record
class Waiver:
    """An accepted exception; never for ever."""

    target: str
    """Check id, catalogue number or clause id."""
    party: str
    """provider | owner: whose approval it is. An owner alone cannot waive a critical check."""
    subjects: tuple[str, ...]
    """Shell patterns of subjects."""
    reason: str
    approver: str
    expires: datetime.date
    granted: datetime.date


@record
class Attestation:
    """Evidence that people lodged for a clause machines cannot see."""

    clause: str
    subjects: tuple[str, ...]
    by: str
    on: datetime.date
    expires: datetime.date
    reference: str
    """Where the evidence lies: document number, ticket."""
    answer: str = "yes"
    """yes | no: what was declared."""


@record
class Accounts:
    """Who should exist."""

    declared: tuple[str, ...] | None = None
    """All people who may log in; None: no list."""
    admins: tuple[str, ...] | None = None
    """Members allowed in sudo, wheel, docker and their like; None: no list."""
    automation: tuple[str, ...] = ()
    """Documented accounts of programs with passwordless sudo and key-only login."""
    break_glass: tuple[str, ...] = ()
    """Emergency accounts that may stay unused."""
    service: tuple[str, ...] = ()
    """Service accounts that may have a shell."""


@record
class Site:
    """Everything declared; the defaults declare nothing."""

    name: str = ""
    profile: str | None = None
    networks: Networks = field(default_factory=Networks)
    log_servers: tuple[str, ...] | None = None
    approved_ports: tuple[ApprovedPort, ...] | None = None
    weak_tokens: tuple[str, ...] = ()
    """Words nobody may use in a password: the institution's abbreviation, department and host names (C-46)."""
    birth_years: tuple[int, int] | None = None
    hostname_pattern: str | None = None
    """Shell pattern that host names follow."""
    inventory_name: str | None = None
    contacts: tuple[Mapping[str, str], ...] | None = None
    accounts: Accounts = field(default_factory=Accounts)
    data_sets: tuple[DataSet, ...] | None = None
    data_class: str | None = None
    """Highest class of data on the host: public | internal | sensitive | core."""
    mlps_level: int | None = None
    roles: tuple[str, ...] = ()
    """What the host is: router, container, desktop, physical, virtual…"""
    ssh_measures: tuple[str, ...] = ()
    """Measures the owner chose: source, knock, two-factor, keys, ban."""
    package_hosts: tuple[str, ...] | None = None
    """Allowed hosts of package repositories; None: no list."""
    patch_tool: str | None = None
    os_support: Mapping[str, datetime.date] = field(default_factory=dict)
    """By PRETTY_NAME or `ID VERSION_ID` of os-release, the last day of security support; only for systems that the table does not know."""
    allowed_suid: tuple[str, ...] = ()
    allowed_world_writable: tuple[str, ...] = ()
    allowed_services: tuple[str, ...] = ()
    """Services of H-090 that are approved."""
    allowed_unpackaged: tuple[str, ...] = ()
    """Executables outside packages that are registered (SBOM)."""
    unpackaged_versions: Mapping[str, datetime.date] = field(default_factory=dict)
    """By path, the day on which the registered version was released."""
    edr: str | None = None
    external_firewall: str | None = None
    """Number under which a packet filter in front of the host is registered."""
    integrity_reviewed: datetime.date | None = None
    """Day on which somebody last read the report of the comparison of files."""
    sample_logs: bool = True
    """False: the owner does not want logs sampled for sensitive data."""
    parameters: Node | None = None
    """Overrides of check parameters, {H-017: {minlen: 14}}, as they stand in the file."""
    waivers: tuple[Waiver, ...] = ()
    attestations: tuple[Attestation, ...] = ()
    hosts: tuple[tuple[str, Mapping[str, object]], ...] = ()
    """Settings of single hosts: shell pattern of the subject, and the fields it replaces; the last match wins."""
    variant: tuple[object, ...] = ()
    """Which settings of single hosts went into this; empty for the common ones."""
    digest: str = ""
    """Digest of the site file's bytes; empty without one."""

    def for_subject(self, subject: str) -> Site:
        """The settings that hold for one host: its own fields, and only the ports approved for it."""
        matched = tuple(index for index, (pattern, _) in enumerate(self.hosts) if fnmatchcase(subject, pattern))
        changes: dict[str, Any] = {}
        for index in matched:
            changes.update(self.hosts[index][1])
        ports = changes.get("approved_ports", self.approved_ports)
        mine = None if ports is None else tuple(port for port in ports if any(fnmatchcase(subject, pattern) for pattern in port.hosts))
        if not matched and mine == self.approved_ports:
            return self
        variant = (matched, () if mine is None else mine)
        return replace(self, **changes | {"approved_ports": mine, "variant": variant})
