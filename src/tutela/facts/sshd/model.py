"""Who can log in over SSH: servers, ports, profiles, logins."""

from __future__ import annotations

from tutela.evidence import Unobserved
from tutela.record import record

STRANGER = "*"
"""Stands for every account that is not named."""


@record
class SshPort:
    """SshPort(server='sshd', port=22, family='ipv4', address='0.0.0.0', external=True, campus=True, admin=True, neutral=True, sources=('0.0.0.0/0',))"""

    server: str
    port: int
    family: str
    address: str
    external: bool | Unobserved
    campus: bool | Unobserved
    admin: bool | Unobserved
    neutral: bool | Unobserved
    """Addresses that nobody singled out get here: more of campus and outside than a /24."""
    measured: tuple[str, ...]
    """Places that nobody let in and from which a scan found it open: external, campus. Empty also when nobody has scanned."""
    sources: tuple[str, ...] | Unobserved


@record
class Profile:
    """Profile(server='sshd', users=('ops', '*'), sources=('external', 'campus'), root=False, admitted=True, password_only=True, …): what holds for these users from these sources."""

    server: str
    users: tuple[str, ...]
    """`*` is every account that is not named."""
    sources: tuple[str, ...]
    """external, campus, admin, loopback, or a prefix that some setting mentions."""
    root: bool
    admitted: bool | Unobserved
    """AllowUsers and its like let them in (and PermitRootLogin, for root)."""
    password_only: bool | Unobserved
    """Knowing a password is enough."""
    permit_root_login: str
    """yes | prohibit-password | forced-commands-only | no"""
    pubkey: bool
    permit_empty_passwords: bool
    max_auth_tries: int
    login_grace_seconds: int
    x11_forwarding: bool
    tcp_forwarding: str
    """yes | no | local | remote"""
    user_environment: str
    """no, yes, or patterns"""
    strict_modes: bool
    keys_command: str
    """Program of AuthorizedKeysCommand; `none` without one."""
    keys_files: tuple[str, ...]
    key_only: bool
    """Nothing but a public key opens it."""
    two_factor: bool | Unobserved
    """Every way to log in takes two factors."""
    exposed: bool | Unobserved = False
    """Some of these sources that are neither loopback nor admin networks get to a port of the server."""


@record
class Login:
    """Login(server='sshd', user='ops', sources=('192.0.2.0/28',), ipv4=16, ipv6=0, restricted=True, two_factor=False, …)"""

    server: str
    user: str
    """`*` is every account that is not listed here: of a directory service, or beyond the first 200."""
    sources: tuple[str, ...] | Unobserved
    """From where the account can log in, all layers together."""
    ipv4: int | Unobserved
    """How many IPv4 addresses these are."""
    ipv6: int | Unobserved
    """How many IPv6 networks of /64."""
    restricted: bool | Unobserved
    """No more than a /24 in total."""
    admin_only: bool | Unobserved
    """All of them are admin networks of the site."""
    external: bool | Unobserved
    password_only: bool | Unobserved
    key_only: bool
    """Only a public key opens it."""
    two_factor: bool | Unobserved
    """Every way to log in takes two factors."""
    root: bool
    enrolled: bool | Unobserved | None
    """Has set up the second factor; None where no module asks for one."""


@record
class SshServer:
    """SshServer(name='sshd', kind='openssh', ports=(22,), running=True, stale=False, valid=True, derived=False, weak_algorithms=(), sha1_macs=True)"""

    name: str
    kind: str
    ports: tuple[int, ...] | Unobserved
    running: bool
    by_socket: bool
    each: bool
    """One for each connection."""
    stale: bool | Unobserved
    newest: str | None
    """The file that is newer than the running server."""
    valid: bool | Unobserved
    complaint: str
    derived: bool
    """Read from the files without `sshd -T`."""
    weak_algorithms: tuple[str, ...] | Unobserved
    sha1_macs: bool | Unobserved
    """hmac-sha1 is offered, as OpenSSH's own defaults still do."""
    penalties: bool | Unobserved
    """PerSourcePenalties slow down who fails (OpenSSH 9.8 and later)."""


@record
class Ssh:
    """Ssh(servers=(SshServer(…),), duplicates=(), ports=(…), profiles=(…), logins=(…), factor_installed=False, exposed=True)"""

    servers: tuple[SshServer, ...]
    duplicates: tuple[str, ...]
    ports: tuple[SshPort | Unobserved, ...] | Unobserved
    profiles: tuple[Profile | Unobserved, ...]
    logins: tuple[Login | Unobserved, ...]
    """Accounts that can log in at all."""
    factor_installed: bool | Unobserved
    """sshd's PAM stack asks for a second factor, or hardware keys must be touched."""
    ipv4: int | Unobserved
    """IPv4 addresses from which some account can log in."""
    ipv6: int | Unobserved
    password_reachable: bool | Unobserved
    """Somebody can log in knowing a password only, over a port that is reached from outside."""

    @property
    def own_ports(self) -> tuple[int, ...] | Unobserved:
        """Numbers of the ports that end at these servers."""
        if isinstance(self.ports, Unobserved):
            return self.ports
        doubt = next((one for one in self.ports if isinstance(one, Unobserved)), None)
        return doubt if doubt is not None else tuple(sorted({one.port for one in self.ports if isinstance(one, SshPort)}))
