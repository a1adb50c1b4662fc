"""Who can log in over SSH, from where, and with what.

`ssh.profiles` says what holds for some users from some sources: the grid users × addresses of the catalogue (H.0.3), cells that are alike joined.
`ssh.logins` says it account by account: the addresses from which a login gets past the packet filter, TCP wrappers, pam_access and AllowUsers, and whether it takes two factors.
`ssh.ports` are the ports on which an SSH server can be reached.

A server older than its files counts as not observed: what stands in the files is not what it does.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

from tutela.evidence import Reason, Unobserved
from tutela.facts import accounts, exposure, outside, pam, source_limits, ssh_keys, ssh_servers, sshd_config
from tutela.facts.accounts import Account, Accounts
from tutela.facts.exposure import Reached
from tutela.facts.firewall import strangers
from tutela.facts.look import Look
from tutela.facts.netfilter.addresses import NOBODY, Addresses, of_networks, of_words, union
from tutela.facts.outside import OpenPort
from tutela.facts.pam import Pam, PamRule
from tutela.facts.ssh_servers import Server, SshServers
from tutela.facts.sshd_config import Client
from tutela.language import Text
from tutela.record import record, replace
from tutela.site import Site

NEEDS = (*ssh_servers.NEEDS, *exposure.NEEDS, *accounts.NEEDS, *source_limits.NEEDS, *ssh_keys.NEEDS, *outside.NEEDS)
STRANGER = "*"
"""Stands for every account that is not named."""
GRID_NAME = "tutela-stranger"
"""Its name in the probe's grid."""
MAX_USERS = 200
ALLOWED_IPV4, ALLOWED_IPV6 = 256, 256
"""Derived default ssh.allowed_size: a /24 in total; of IPv6 as many networks of /64."""

FACTORS = frozenset(
    [
        "pam_google_authenticator",
        "pam_oath",
        "pam_duo",
        "pam_yubico",
        "pam_u2f",
        "pam_privacyidea",
        "pam_python",
        "pam_radius_auth",
        "pam_radius",
        "pam_otpw",
        "pam_totp",
        "pam_authy",
        "pam_multiotp",
        "pam_rublon",
        "pam_securid",
        "pam_fido2",
        "pam_linotp",
    ]
)
"""PAM modules that ask for a second factor."""
WEAK = (
    ("ciphers", re.compile(r"3des|arcfour|-cbc|blowfish|cast128|des-|none$")),
    ("macs", re.compile(r"md5|-96|ripemd|none$")),
    ("kexalgorithms", re.compile(r"group1-sha1|group14-sha1|group-exchange-sha1|gss-.*-sha1")),
    ("hostkeyalgorithms", re.compile(r"^ssh-dss|^ssh-rsa($|-cert)")),
    ("pubkeyacceptedalgorithms", re.compile(r"^ssh-dss|^ssh-rsa($|-cert)")),
)
SEVERAL = re.compile(r"hmac-sha1(-etm@openssh\.com)?$")


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


def parse(look: Look) -> Ssh | Unobserved:
    """The fact; without servers it is empty."""
    found, reached = look.fact(_renumbered)
    if isinstance(found, Unobserved):
        return found
    grid = _Grid(look, reached)
    profiles: list[Profile | Unobserved] = []
    logins: list[Login | Unobserved] = []
    for server in found.servers:
        made, per_user = grid.server(server)
        profiles += _with_exposure(look.site, server, made, reached)
        logins += per_user
    ports = _ports(look, found.servers, reached)
    return Ssh(
        servers=tuple(_summary(server) for server in found.servers),
        duplicates=found.duplicates,
        ports=ports,
        profiles=tuple(profiles),
        logins=tuple(logins),
        factor_installed=grid.factor_installed(),
        ipv4=_total(grid.totals[4], 4),
        ipv6=_total(grid.totals[6], 6),
        password_reachable=_password_reachable(profiles),
    )


def _file_names(look: Look) -> frozenset[str] | Unobserved:
    """Files of ssh that exist."""
    found = look.fact(ssh_servers.files)
    return found if isinstance(found, Unobserved) else frozenset(found)


def _renumbered(look: Look) -> tuple[SshServers | Unobserved, tuple[Reached, ...] | Unobserved]:
    """Servers and the ports that end at them, with processes numbered 2, 3, … as they are met (1 stays 1).

    Only which socket belongs to which server counts here, so hosts on which that is alike have one fact, whatever else listens there.
    """
    found = look.fact(ssh_servers.parse)
    if isinstance(found, Unobserved):
        return found, ()
    numbers = {1: 1}

    def number(pid: int) -> int:
        return numbers.setdefault(pid, len(numbers) + 1)

    servers = tuple(replace(server, pids=tuple(number(pid) for pid in server.pids)) for server in found.servers)
    reached = look.fact(exposure.reached)
    if not isinstance(reached, Unobserved):
        theirs = [one for one in reached if any(_ends_at(one, server) for server in found.servers)]
        reached = tuple(
            replace(one, socket=replace(one.socket, pid=number(one.socket.pid))) if one.socket is not None and isinstance(one.socket.pid, int) else one
            for one in theirs
        )
    return replace(found, servers=servers), reached


# --- servers and ports -----------------------------------------------------------------------------------------------


def _summary(server: Server) -> SshServer:
    base = server.base
    weak: tuple[str, ...] | Unobserved
    sha1: bool | Unobserved
    penalties: bool | Unobserved
    if isinstance(base, Unobserved):
        weak = sha1 = penalties = base
    elif server.kind == "dropbear":
        weak, sha1, penalties = (), False, False
    else:
        weak, sha1 = _algorithms(server, base)
        words = base.get("persourcepenalties", "").split()
        if server.each:
            penalties = False  # they are what a listener remembers of those that it started
        elif not words and server.derived is True:
            penalties = Unobserved(Reason.PRIVILEGE, "sshd -T", Text("只有 sshd 自己知道默认值", "only sshd itself knows its default"))
        else:
            penalties = bool(words) and words[0] != "no" and not _spared(words, base.get("persourcepenaltyexemptlist", "none"))
    return SshServer(
        name=server.name,
        kind=server.kind,
        ports=server.ports,
        running=server.running,
        by_socket=server.by_socket,
        each=server.each,
        stale=server.stale,
        newest=server.newest,
        valid=server.valid,
        complaint=server.complaint,
        derived=server.derived,
        weak_algorithms=weak,
        sha1_macs=sha1,
        penalties=penalties,
    )


def _spared(penalties: list[str], exempt: str) -> bool:
    """Whether failed logins cost nothing, or whole networks are excused."""
    if any(re.fullmatch(r"authfail:0+(\.0*)?[smhdw]?", word) for word in penalties):
        return True
    networks = [(word, _network(word)) for word in re.split(r"[\s,]+", exempt) if word and word != "none"]
    return any(
        re.search(r"[*?]", word) is not None if network is None else not network.is_loopback and network.prefixlen < (24 if network.version == 4 else 48)
        for word, network in networks
    )


def _algorithms(server: Server, base: Mapping[str, str]) -> tuple[tuple[str, ...] | Unobserved, bool | Unobserved]:
    weak: list[str] = []
    sha1 = False
    for keyword, pattern in WEAK:
        value = base.get(keyword)
        if value is None:
            if not server.derived:
                continue  # an old sshd that does not know the keyword
            # Without `sshd -T` the built-in list is not known; OpenSSH since 7.6 offers none of these.
            why = Text("没有 sshd -T，不知道默认算法", "without sshd -T the default algorithms are not known")
            doubt = Unobserved(Reason.PRIVILEGE, ssh_servers.EFFECTIVE, why)
            return (tuple(weak) if weak else doubt), doubt
        if value[:1] == "-":
            continue
        names = value.removeprefix("+").removeprefix("^").split(",")
        weak += [f"{keyword}: {name}" for name in names if pattern.search(name)]
        sha1 = sha1 or any(SEVERAL.match(name) for name in names)
    return tuple(weak), sha1


def _ports(look: Look, servers: tuple[Server, ...], reached: tuple[Reached, ...] | Unobserved) -> tuple[SshPort | Unobserved, ...] | Unobserved:
    if isinstance(reached, Unobserved):
        return reached if servers else ()
    measured = [one for one in look.fact(outside.parse).open if one.vantage in (outside.EXTERNAL, outside.CAMPUS) and one.protocol == "tcp"]
    made: list[SshPort | Unobserved] = []
    for server in servers:
        if (doubt := _unplaced(server, reached)) is not None:
            made.append(doubt)
        for one in _reached(server, reached):
            port = one.port
            family = 4 if port.family == "ipv4" else 6
            neutral = _more_than_few(look.site, one, family)
            places = tuple(sorted({seen.vantage for seen in measured if seen.port == port.port and _not_let_in(seen, one, neutral, family)}))
            made.append(SshPort(server.name, port.port, port.family, port.address, port.external, port.campus, port.admin, neutral, places, port.sources))
    return tuple(made)


def _not_let_in(seen: OpenPort, one: Reached, neutral: bool | Unobserved, family: int) -> bool:
    """Whether a port that was measured open lets in somebody whom the host's rules did not single out."""
    source = ip_address(seen.source)
    return ip_address(seen.address).version == family and not (neutral is False and int(source) in one.classes.sure)


def _reached(server: Server, reached: tuple[Reached, ...]) -> list[Reached]:
    """Sockets and redirects that end at this server."""
    return [one for one in reached if _ends_at(one, server)]


def _ends_at(one: Reached, server: Server) -> bool:
    socket = one.socket
    if socket is None or socket.protocol != "tcp" or one.port.local:
        return False
    own = isinstance(socket.pid, int) and socket.pid in server.pids
    # Without root no socket names its process, and systemd holds the port of a socket unit.
    same_port = isinstance(server.ports, tuple) and socket.port in server.ports
    return own or (same_port and (not isinstance(socket.pid, int) or socket.pid == 1 or not server.pids))


def _unplaced(server: Server, reached: tuple[Reached, ...]) -> Unobserved | None:
    """Why nobody can say which socket is the server's: its files are not readable, and no socket names its process."""
    return server.ports if isinstance(server.ports, Unobserved) and not _reached(server, reached) else None


def _more_than_few(site: Site, one: Reached, family: int) -> bool | Unobserved:
    outsiders = strangers(family) - of_networks(site.networks.admin or (), family)
    most = ALLOWED_IPV4 if family == 4 else ALLOWED_IPV6
    if _count(one.classes.sure & outsiders, family) > most:
        return True
    if one.classes.doubt is not None and _count((one.classes.sure | one.classes.maybe) & outsiders, family) > most:
        return one.classes.doubt
    return False


def _count(addresses: Addresses, family: int) -> int:
    """Addresses of IPv4; networks of /64 of IPv6, each begun one counted."""
    if family == 4:
        return addresses.count
    return sum((high >> 64) - (low >> 64) + 1 for low, high in addresses.spans)


def _with_exposure(
    site: Site, server: Server, profiles: list[Profile | Unobserved], reached: tuple[Reached, ...] | Unobserved
) -> Iterator[Profile | Unobserved]:
    """The profiles, each with whether its own sources get to the server: what holds from one place must not be rated by another."""
    prefixes = [network for one in profiles if isinstance(one, Profile) for network in map(_network, one.sources) if network is not None]
    admin = {family: of_networks(site.networks.admin or (), family) & strangers(family) for family in (4, 6)}
    campus = {family: of_networks(site.networks.campus or (), family) & strangers(family) - admin[family] for family in (4, 6)}
    classes = {"external": {family: strangers(family) - admin[family] - campus[family] for family in (4, 6)}, "campus": campus}
    for profile in profiles:
        if not isinstance(profile, Profile):
            yield profile
        elif isinstance(reached, Unobserved):
            yield replace(profile, exposed=reached)
        else:
            doubt = _unplaced(server, reached)
            answers: list[bool | Unobserved] = [] if doubt is None else [doubt]
            for one in _reached(server, reached):
                family = 4 if one.port.family == "ipv4" else 6
                for label in profile.sources:
                    network = _network(label)
                    if network is not None:
                        these = of_networks((network,), family) & strangers(family) - admin[family]
                    else:
                        these = classes[label][family] - of_networks(prefixes, family) if label in classes else NOBODY
                    answers.append(one.classes.reaches(these))
            yield replace(profile, exposed=_any(answers))


def _password_reachable(profiles: list[Profile | Unobserved]) -> bool | Unobserved:
    return _any(one if isinstance(one, Unobserved) else _all([one.password_only, one.exposed]) for one in profiles)


# --- the grid --------------------------------------------------------------------------------------------------------


@record
class _User:
    """An account as sshd sees it."""

    name: str
    groups: tuple[str, ...] | None
    root: bool
    exists: bool
    account: Account | None


class _Grid:
    """Users and addresses of one look, and what each server makes of them."""

    def __init__(self, look: Look, reached: tuple[Reached, ...] | Unobserved) -> None:
        self.look = look
        self.site = look.site
        found = look.fact(accounts.ageless)
        self.accounts: Accounts | Unobserved = found
        self.users = _users(found)
        self.unlisted = _unlisted(found)
        self.pam = look.fact(pam.parse)
        self.stack = _stack(self.pam)
        self.limits = look.fact(source_limits.parse)
        self.files = look.fact(_file_names)
        self.keys = look.fact(ssh_keys.parse)
        self.reached = reached
        self.totals: dict[int, list[tuple[Addresses, Addresses, Unobserved | None]]] = {4: [], 6: []}

    # --- one server

    def server(self, server: Server) -> tuple[list[Profile | Unobserved], list[Login | Unobserved]]:
        """Profiles and logins; a server whose effect is not known gives one hole in each."""
        doubt = self._doubt(server)
        if doubt is not None:
            self._lose(doubt)
            return [doubt], [doubt]
        clients = self._clients(server)
        rows: dict[tuple[object, ...], tuple[Profile, list[str], list[str]]] = {}
        logins: list[Login | Unobserved] = []
        for user in self.users:
            by_profile: dict[Profile, list[str]] = {}
            for label, address, port in clients:
                profile = self.profile(server, user, address, port)
                if isinstance(profile, Unobserved):
                    self._lose(profile)
                    return [profile], [profile]
                by_profile.setdefault(profile, []).append(label)
            for profile, labels in by_profile.items():
                key = (profile, tuple(labels))
                rows.setdefault(key, (profile, [], list(dict.fromkeys(labels))))[1].append(user.name)
            doors = tuple(by_profile)
            opens = user.account is not None and user.account.can_log_in
            if isinstance(opens, Unobserved):
                logins += self._perhaps(server, user, doors, opens)
            elif opens:
                login = self.login(server, user, doors)
                if login is not None:
                    logins.append(login)
            if user.name == STRANGER and self.unlisted is not None:
                logins += self._perhaps(server, replace(user, groups=None), doors, self.unlisted)
        profiles: list[Profile | Unobserved] = [_with(profile, tuple(users), tuple(labels)) for profile, users, labels in rows.values()]
        if self.unlisted is not None and self.unlisted.code is Reason.NO_DATA and self._names_accounts(server):
            profiles.append(self.unlisted)
            logins.append(self.unlisted)
            self._lose(self.unlisted)
        return profiles, logins

    def _names_accounts(self, server: Server) -> bool:
        """Whether any setting is about some accounts or groups, so that a stranger cannot stand for those that were left out."""
        if isinstance(server.config, Unobserved) or self.limits.access_rules is not None:
            return True
        settings = server.config.settings
        lists = {"allowusers", "denyusers", "allowgroups", "denygroups"}
        return any(one.keyword in lists or any(name in ("user", "group") for match in one.matches for name, _ in match.criteria) for one in settings)

    def _doubt(self, server: Server) -> Unobserved | None:
        if server.stale is True:
            why = Text(
                f"运行中的服务早于配置文件 {server.newest}，实际效果未知", f"the running server is older than {server.newest}: what it does is not known"
            )
            return Unobserved(Reason.NO_DATA, server.name, why)
        if isinstance(server.stale, Unobserved):
            return server.stale
        if isinstance(server.base, Unobserved):
            return server.base
        if server.valid is False:
            why = Text(f"配置文件有错：{server.complaint}", f"the files are not valid: {server.complaint}")
            return Unobserved(Reason.FORMAT, server.name, why)
        if isinstance(server.config, Unobserved):
            return server.config
        if isinstance(self.accounts, Unobserved):
            return self.accounts
        return self._contradiction(server) if server.kind == "openssh" else None

    def _lose(self, doubt: Unobserved) -> None:
        for family in (4, 6):
            self.totals[family].append((NOBODY, strangers(family), doubt))

    def _contradiction(self, server: Server) -> Unobserved | None:
        """Cells of the probe's own grid, against what is made of the files here; where they differ nothing is claimed."""
        suffix = "" if server.path in (ssh_servers.CONFIG, ssh_servers.VENDOR_CONFIG) else f" -f {server.path}"
        if server.options:
            return None  # `sshd -T -C` was run without the options of the running server
        for name in self.look.names(f"{ssh_servers.EFFECTIVE}{suffix} -C "):
            text = self.look.text(name)
            fields = dict(word.partition("=")[::2] for word in name.rpartition(" ")[2].split(","))
            if isinstance(text, Unobserved) or not text.strip() or not re.fullmatch(r"[0-9]{1,5}", fields.get("lport", "")):
                continue
            user = next((one for one in self.users if one.name == fields.get("user")), None)
            if user is None and fields.get("user") == GRID_NAME:
                user = next(one for one in self.users if one.name == STRANGER)
            if user is None:
                continue
            mine = self._settings(server, user, fields.get("addr", ""), int(fields["lport"]), fields.get("laddr"))
            if isinstance(mine, Unobserved):
                continue
            said = self.look.fact(ssh_servers.Effective(name))
            if isinstance(said, Unobserved):
                continue
            for keyword in ("passwordauthentication", "kbdinteractiveauthentication", "permitrootlogin", "authenticationmethods", "pubkeyauthentication"):
                if keyword in said and _normal(said[keyword]) != _normal(mine.get(keyword, "")):
                    why = Text(f"{keyword} 与配置文件推算的不一致", f"{keyword} differs from what the files say")
                    return Unobserved(Reason.FORMAT, name, why)
        return None

    # --- cells

    def _clients(self, server: Server) -> list[tuple[str, str, int]]:
        """Addresses and ports to try, with what to call them: one of each class and family, loopback, one of each prefix that a setting mentions."""
        config = server.config
        ports = server.ports if isinstance(server.ports, tuple) and server.ports else (22,)
        if isinstance(config, Unobserved) or not any(name == "localport" for one in config.settings for match in one.matches for name, _ in match.criteria):
            ports = ports[:1]
        mentions = self._mentions(server)
        found = [("loopback", "127.0.0.1")]
        taken = [network for network in (_network(words) for words in mentions) if network is not None]
        for family in (4, 6):
            admin = of_networks(self.site.networks.admin or (), family) & strangers(family)
            campus = of_networks(self.site.networks.campus or (), family) & strangers(family) - admin
            for label, group in (("external", strangers(family) - admin - campus), ("campus", campus), ("admin", admin)):
                free = group - of_networks(taken, family)
                for low, _ in (free or group).spans[:1]:
                    found.append((label, str(ip_address(low.to_bytes(4 if family == 4 else 16, "big")))))
        found += [(words, str(network.network_address)) for words, network in ((words, _network(words)) for words in mentions) if network is not None]
        return [(label, address, port) for label, address in found for port in ports]

    def _mentions(self, server: Server) -> list[str]:
        config = server.config
        if isinstance(config, Unobserved):
            return []

        def words() -> Iterator[str]:
            for setting in config.settings:
                if setting.keyword in ("allowusers", "denyusers"):
                    yield setting.value
                for match in setting.matches:
                    for name, value in match.criteria:
                        if name in ("address", "host"):
                            yield value

        return list(dict.fromkeys(sshd_config.prefixes_of(words)))[:200]

    def _settings(self, server: Server, user: _User, address: str, port: int, local: str | None = None) -> dict[str, str] | Unobserved:
        assert not isinstance(server.base, Unobserved)
        assert not isinstance(server.config, Unobserved)
        if not server.config.has_match:
            return server.base
        client = Client(GRID_NAME if user.name == STRANGER else user.name, user.groups, address, port, local, user.exists)
        stated = server.config.stated(client)
        if isinstance(stated, Unobserved):
            return stated
        everywhere = server.config.stated()
        assert not isinstance(everywhere, Unobserved)
        # Only what a Match block changes is taken from the files; everything else is as sshd says.
        return server.base | {keyword: value for keyword, value in stated.items() if everywhere.get(keyword) != value}

    def _admits(self, server: Server, settings: Mapping[str, str], user: _User, address: str, port: int) -> bool | Unobserved:
        client = Client(GRID_NAME if user.name == STRANGER else user.name, user.groups, address, port)
        if user.root and _normal(settings.get("permitrootlogin", "")) == "no":
            return False
        return sshd_config.admits(settings, client, server.path)

    def profile(self, server: Server, user: _User, address: str, port: int) -> Profile | Unobserved:
        """What holds for one user from one address."""
        if server.kind == "dropbear":
            return _dropbear(server, user)
        settings = self._settings(server, user, address, port)
        if isinstance(settings, Unobserved):
            return settings
        admitted = self._admits(server, settings, user, address, port)
        root_login = _normal(settings.get("permitrootlogin", "prohibit-password"))
        return Profile(
            server=server.name,
            users=(),
            sources=(),
            root=user.root,
            admitted=admitted,
            password_only=self._password_only(settings, user, admitted, root_login),
            permit_root_login=root_login,
            pubkey=settings.get("pubkeyauthentication") == "yes",
            permit_empty_passwords=settings.get("permitemptypasswords") == "yes",
            max_auth_tries=_number(settings.get("maxauthtries", "6")),
            login_grace_seconds=_seconds(settings.get("logingracetime", "120")),
            x11_forwarding=settings.get("x11forwarding") == "yes" and settings.get("disableforwarding") != "yes",
            tcp_forwarding="no" if settings.get("disableforwarding") == "yes" else settings.get("allowtcpforwarding", "yes"),
            user_environment=settings.get("permituserenvironment", "no"),
            strict_modes=settings.get("strictmodes", "yes") == "yes",
            keys_command=(settings.get("authorizedkeyscommand", "none").split() or ["none"])[0],
            keys_files=tuple(settings.get("authorizedkeysfile", "").split()),
            key_only=_key_only(settings, root=user.root, root_login=root_login),
            two_factor=self._two_factor(settings, user, root_login),
        )

    def _password_only(self, settings: Mapping[str, str], user: _User, admitted: bool | Unobserved, root_login: str) -> bool | Unobserved:
        """Whether some way to log in asks for nothing but a password."""
        if admitted is False:
            return False
        enabled = _password_methods(settings, root=user.root, root_login=root_login)
        if not any(all(_plain(method) in enabled for method in way) for way in _ways(settings)):
            return False
        if settings.get("usepam") == "yes":
            enough = self._password_enough(user)
            if enough is not True:
                return enough
        return admitted

    def _password_enough(self, user: _User) -> bool | Unobserved:
        """Whether sshd's PAM stack lets in who knows the password and nothing else; of whom has not enrolled it may ask nothing else (nullok)."""
        stack = self.stack
        if isinstance(stack, Unobserved) or stack.without_factor or not stack.unenrolled:
            return stack if isinstance(stack, Unobserved) else stack.without_factor
        if user.account is None:
            return self.unlisted or False  # nobody has this name
        if user.account.password == "locked":
            return False
        enrolled = self._enrolled(user)
        return enrolled if isinstance(enrolled, Unobserved) else not enrolled

    # --- logins

    def login(self, server: Server, user: _User, profiles: tuple[Profile, ...]) -> Login | None:
        """One account, all layers together; None when it is refused everywhere."""
        if all(profile.admitted is False for profile in profiles):
            return None
        sets = {family: self._from_where(server, user, family) for family in (4, 6)}
        for family in (4, 6):
            self.totals[family].append(sets[family])
        ipv4, ipv6 = _total([sets[4]], 4), _total([sets[6]], 6)
        passwords = [profile.password_only for profile in profiles if profile.admitted is not False]
        doubt = next((one for one in (ipv4, ipv6) if isinstance(one, Unobserved)), None)
        sources: tuple[str, ...] | Unobserved = doubt if doubt is not None else (*exposure.words(sets[4][0], 4), *exposure.words(sets[6][0], 6))
        return Login(
            server=server.name,
            user=user.name,
            sources=sources,
            ipv4=ipv4,
            ipv6=ipv6,
            restricted=_restricted(ipv4, ipv6),
            admin_only=_within(sets, {family: of_networks(self.site.networks.admin or (), family) for family in (4, 6)}),
            external=_touches(sets, self.site),
            password_only=_any(passwords),
            key_only=all(profile.key_only for profile in profiles if profile.admitted is not False),
            two_factor=_all([profile.two_factor for profile in profiles if profile.admitted is not False]),
            root=user.root,
            enrolled=self._enrolled(user),
        )

    def _perhaps(self, server: Server, user: _User, profiles: tuple[Profile, ...], doubt: Unobserved) -> Iterator[Login]:
        """An account that perhaps nothing opens, or a stranger for those that are not listed and that there may be: what is not good is a doubt."""
        before = {family: list(self.totals[family]) for family in (4, 6)}
        login = self.login(server, user, profiles)
        for family in (4, 6):
            gained = self.totals[family][len(before[family]) :]
            self.totals[family] = [*before[family], *((NOBODY, least | most, why or doubt) for least, most, why in gained)]
        if login is None or (login.restricted is True and login.two_factor is True):
            return
        wide = login.restricted is not True
        yield replace(
            login,
            sources=doubt if wide else login.sources,
            ipv4=doubt if wide else login.ipv4,
            ipv6=doubt if wide else login.ipv6,
            restricted=doubt if wide else True,
            admin_only=True if login.admin_only is True else doubt,
            external=False if login.external is False else doubt,
            password_only=False if login.password_only is False else doubt,
            two_factor=True if login.two_factor is True else doubt,
            enrolled=login.enrolled or doubt if login.enrolled is not None else None,
        )

    def _from_where(self, server: Server, user: _User, family: int) -> tuple[Addresses, Addresses, Unobserved | None]:
        """Addresses from which the account surely and perhaps can log in, and what leaves it open."""
        most = least = NOBODY
        doubt: Unobserved | None = None
        if isinstance(self.reached, Unobserved):
            most, doubt = strangers(family), self.reached
        elif (unplaced := _unplaced(server, self.reached)) is not None:
            most, doubt = strangers(family), unplaced
        else:
            for one in _reached(server, self.reached):
                if one.port.family == f"ipv{family}":
                    most = most | one.classes.sure | one.classes.maybe
                    least = least | one.classes.sure
                    doubt = doubt or one.classes.doubt
        layers = [self.limits.wrappers if server.kind == "openssh" else source_limits.ALL]
        if server.kind == "openssh" and isinstance(server.base, dict) and server.base.get("usepam") == "yes":
            layers.append(self.limits.access(user.name, user.groups or ()))
        for layer in layers:
            if isinstance(layer, Unobserved):
                least, doubt = NOBODY, doubt or layer
            else:
                most, least = most & layer[family], least & layer[family]
        if server.kind == "openssh":
            admitted, maybe, why = self._admitted(server, user, family)
            most, least = most & (admitted | maybe), least & admitted
            doubt = doubt or why
        return least, most, doubt

    def _admitted(self, server: Server, user: _User, family: int) -> tuple[Addresses, Addresses, Unobserved | None]:
        """Addresses from which AllowUsers, DenyUsers and PermitRootLogin let the account in, piece by piece of the address space."""
        sure, maybe, doubt = NOBODY, NOBODY, None
        everyone = strangers(family)
        port = server.ports[0] if isinstance(server.ports, tuple) and server.ports else 22
        cuts = {low for low, _ in everyone.spans} | {high + 1 for _, high in everyone.spans}
        for words in self._mentions(server):
            for low, high in (of_words(words, family) or NOBODY).spans:
                cuts |= {low, high + 1}
        ordered = sorted(cuts)
        for low, high in zip(ordered, (*ordered[1:], ordered[-1]), strict=True):
            piece = union(((low, high - 1),)) & everyone if high > low else NOBODY
            if not piece:
                continue
            address = str(ip_address(low.to_bytes(4 if family == 4 else 16, "big")))
            settings = self._settings(server, user, address, port)
            answer = settings if isinstance(settings, Unobserved) else self._admits(server, settings, user, address, port)
            if answer is True:
                sure = sure | piece
            elif answer is not False:
                maybe, doubt = maybe | piece, doubt or answer
        return sure, maybe, doubt

    def _two_factor(self, settings: Mapping[str, str], user: _User, root_login: str) -> bool | Unobserved:
        """Whether every way in takes two factors."""
        pam_on = settings.get("usepam") == "yes"
        enrolled = self._enrolled(user)
        enabled = _password_methods(settings, root=user.root, root_login=root_login)
        hardware = self._hardware(user, everywhere="verify-required" in settings.get("pubkeyauthoptions", ""))
        answers: list[bool | Unobserved] = []
        for way in _ways(settings):
            methods = {_plain(method) for method in way}
            if "publickey" in methods and settings.get("pubkeyauthentication") != "yes":
                continue
            if methods & {"password", "keyboard-interactive"} and not methods & {"password", "keyboard-interactive"} <= enabled:
                continue
            if methods == {"publickey"}:
                answers.append(hardware)
                continue
            if methods & {"hostbased", "gssapi-with-mic", "none"}:
                answers.append(False)
                continue
            if not pam_on:
                answers.append(False)
                continue
            answers.append(self._needs_factor(enrolled, alone="publickey" not in methods))
        return _all(answers)

    def _hardware(self, user: _User, *, everywhere: bool) -> bool | Unobserved:
        """Whether all keys of an account are hardware keys that ask for a PIN or a fingerprint."""
        if user.account is None:
            return False
        if isinstance(self.keys, Unobserved):
            return self.keys
        mine = self.keys.of(user.name)
        doubt = next((one for one in mine if isinstance(one, Unobserved)), None)
        known = [one for one in mine if not isinstance(one, Unobserved)]
        if any(not one.type.startswith("sk-") or not (everywhere or "verify-required" in one.options) for one in known):
            return False
        return doubt or bool(known)

    def _needs_factor(self, enrolled: bool | Unobserved | None, *, alone: bool) -> bool | Unobserved:
        """Whether PAM refuses without the second factor; `alone`: it must also refuse without the password."""
        stack = self.stack
        if isinstance(stack, Unobserved):
            return stack
        if stack.without_factor or (alone and stack.without_password):
            return False
        if stack.unenrolled:
            return enrolled if enrolled is not None else False
        return True

    def _enrolled(self, user: _User) -> bool | Unobserved | None:
        """Only Google Authenticator keeps its secret in the home; of the others it is not known."""
        stack = _auth_stack(self.pam)
        asked = () if isinstance(stack, Unobserved) else tuple(rule for rule in stack if rule.module in FACTORS)
        if not asked:
            return None
        if any(rule.module == "pam_google_authenticator" for rule in asked) and not any(rule.argument("secret") for rule in asked) and user.account:
            if isinstance(self.files, Unobserved):
                return self.files
            return f"{user.account.home.rstrip('/')}/.google_authenticator" in self.files
        return Unobserved(Reason.NO_ANSWER, asked[0].file, Text("不知道谁登记了第二因素", "who has enrolled a second factor is not known"))

    def factor_installed(self) -> bool | Unobserved:
        """Whether anything asks for a second factor."""
        stack = _auth_stack(self.pam)
        if isinstance(stack, Unobserved):
            return stack
        return any(rule.module in FACTORS for rule in stack)


@record
class _Stack:
    """Whom sshd's PAM stack lets in."""

    without_factor: bool
    """Somebody who knows the password and does not have the second factor."""
    without_password: bool
    unenrolled: bool
    """Somebody who knows the password and never set up a second factor."""


def _stack(services: Pam | Unobserved) -> _Stack | Unobserved:
    stack = _auth_stack(services)
    if isinstance(stack, Unobserved):
        return stack
    return _Stack(
        without_factor=pam.may_succeed(stack, pam.supposing(**dict.fromkeys(FACTORS, "auth_err"))),
        without_password=pam.may_succeed(stack, pam.supposing(**dict.fromkeys(pam.PASSWORD_MODULES, "auth_err"))),
        unenrolled=pam.may_succeed(stack, _unenrolled),
    )


def _unenrolled(rule: PamRule) -> str:
    """The answers of a stack for somebody who knows the password and has not enrolled: pam_u2f has nouserok, pam_oath does not know him."""
    if rule.module in FACTORS:
        if rule.argument("nullok") is not None:
            return "ignore"
        if rule.argument("nouserok") is not None:
            return "success"
        return "user_unknown" if rule.module == "pam_oath" else "auth_err"
    return pam.ALWAYS.get(rule.module, "success")


def _auth_stack(services: Pam | Unobserved) -> pam.Stack | Unobserved:
    return services if isinstance(services, Unobserved) else services.stack("sshd", "auth")


def _unlisted(found: Accounts | Unobserved) -> Unobserved | None:
    """Why there may be accounts that log in and are not in the grid."""
    if isinstance(found, Unobserved):
        return None
    if sum(account.login_shell or account.uid == 0 for account in found.accounts) > MAX_USERS:
        return Unobserved(
            Reason.NO_DATA, accounts.NEEDS[0], Text(f"只逐个判断了前 {MAX_USERS} 个账户", f"only the first {MAX_USERS} accounts were looked at one by one")
        )
    for source in found.remote:
        why = Text(f"目录服务（{source}）的账户看不到", f"accounts of a directory service ({source}) are not seen here")
        return Unobserved(Reason.NO_VANTAGE, "/etc/nsswitch.conf passwd", why)
    return None


def _users(found: Accounts | Unobserved) -> list[_User]:
    """root, every account with a login shell, and a stranger."""
    stranger = _User(STRANGER, (), False, True, None)
    if isinstance(found, Unobserved):
        return [stranger]
    groups = found.groups
    made: list[_User] = []
    for account in found.accounts:
        if not account.login_shell and account.uid != 0:
            continue
        if len(made) >= MAX_USERS:
            break
        names: tuple[str, ...] | None = None
        if not isinstance(groups, Unobserved) and not found.remote:
            names = tuple(group.name for group in groups if group.gid == account.gid or account.name in group.members)
        made.append(_User(account.name, names, account.uid == 0, True, account))
    return [*made, stranger]


def _dropbear(server: Server, user: _User) -> Profile:
    flags = server.options
    password = "-s" not in flags and "-t" not in flags and not (user.root and "-g" in flags)
    admitted = not (user.root and "-w" in flags)
    root_login = "no" if "-w" in flags else "yes" if "-s" not in flags and "-g" not in flags and "-t" not in flags else "prohibit-password"
    tcp = "no" if {"-j", "-k"} <= set(flags) else "yes"
    return Profile(
        server=server.name,
        users=(),
        sources=(),
        root=user.root,
        admitted=admitted,
        password_only=password and admitted,
        permit_root_login=root_login,
        pubkey=True,
        permit_empty_passwords="-B" in flags,
        max_auth_tries=_flag_number(flags, "-T", 10),
        login_grace_seconds=60,
        x11_forwarding=False,
        tcp_forwarding=tcp,
        user_environment="no",
        strict_modes=True,
        keys_command="none",
        keys_files=(".ssh/authorized_keys",),
        key_only="-s" in flags or (user.root and "-g" in flags),
        two_factor=False,
    )


def _flag_number(flags: tuple[str, ...], flag: str, default: int) -> int:
    found = [flags[at + 1] for at, word in enumerate(flags[:-1]) if word == flag]
    return int(found[-1]) if found and re.fullmatch(r"[0-9]{1,6}", found[-1]) else default


def _with(profile: Profile, users: tuple[str, ...], sources: tuple[str, ...]) -> Profile:
    return replace(profile, users=users, sources=sources)


# --- settings --------------------------------------------------------------------------------------------------------


def _normal(value: str) -> str:
    """`without-password` is the old name of `prohibit-password`."""
    low = value.strip().lower()
    return "prohibit-password" if low == "without-password" else low


def _ways(settings: Mapping[str, str]) -> list[tuple[str, ...]]:
    """The sequences of methods of which one must be passed."""
    value = settings.get("authenticationmethods", "any").strip()
    if value.lower() == "any" or not value:
        return [("publickey",), ("password",), ("keyboard-interactive",)]
    return [tuple(way.split(",")) for way in value.split()]


def _plain(method: str) -> str:
    """`keyboard-interactive:pam` -> `keyboard-interactive`."""
    return method.partition(":")[0].lower()


def _password_methods(settings: Mapping[str, str], *, root: bool, root_login: str) -> set[str]:
    """Methods that ask for a password and are switched on."""
    if root and root_login != "yes":
        return set()
    found = set()
    if settings.get("passwordauthentication") == "yes":
        found.add("password")
    if settings.get("kbdinteractiveauthentication") == "yes" and settings.get("usepam") == "yes":
        found.add("keyboard-interactive")
    return found


def _key_only(settings: Mapping[str, str], *, root: bool, root_login: str) -> bool:
    """Whether the only way in is a public key, perhaps with more beside it."""
    enabled = _password_methods(settings, root=root, root_login=root_login)
    if settings.get("gssapiauthentication") == "yes" or settings.get("hostbasedauthentication") == "yes":
        return False
    return not any("publickey" not in {_plain(method) for method in way} and all(_plain(method) in enabled for method in way) for way in _ways(settings))


_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}


def _seconds(words: str) -> int:
    """sshd_config(5) TIME FORMATS: `2m`, `1h30m`, `120`."""
    parts = re.findall(r"([0-9]{1,9})([smhdw]?)", words.strip().lower())
    return sum(int(number) * _UNITS[unit] for number, unit in parts)


def _number(words: str) -> int:
    return int(words) if re.fullmatch(r"[0-9]{1,9}", words.strip()) else 0


def _network(words: str) -> IPv4Network | IPv6Network | None:
    try:
        return ip_network(words, strict=False)
    except ValueError:
        return None


# --- sets and three-valued answers -----------------------------------------------------------------------------------


def _total(sets: list[tuple[Addresses, Addresses, Unobserved | None]], family: int) -> int | Unobserved:
    """How many addresses all these are together; a doubt counts only when it changes the number."""
    least = most = NOBODY
    doubt: Unobserved | None = None
    for sure, perhaps, why in sets:
        least, most = least | sure, most | perhaps
        doubt = doubt or why
    if doubt is None or not most - least:
        return _count(least, family)
    few = ALLOWED_IPV4 if family == 4 else ALLOWED_IPV6
    if _count(most, family) <= few:
        return _count(most, family)
    return _count(least, family) if _count(least, family) > few else doubt


def _restricted(ipv4: int | Unobserved, ipv6: int | Unobserved) -> bool | Unobserved:
    if (isinstance(ipv4, int) and ipv4 > ALLOWED_IPV4) or (isinstance(ipv6, int) and ipv6 > ALLOWED_IPV6):
        return False
    return next((one for one in (ipv4, ipv6) if isinstance(one, Unobserved)), True)


def _within(sets: Mapping[int, tuple[Addresses, Addresses, Unobserved | None]], allowed: Mapping[int, Addresses]) -> bool | Unobserved:
    if any(sets[family][0] - allowed[family] for family in (4, 6)):
        return False
    open_ones = [sets[family][2] for family in (4, 6) if sets[family][1] - allowed[family]]
    return next((one for one in open_ones if one is not None), not open_ones)


def _touches(sets: Mapping[int, tuple[Addresses, Addresses, Unobserved | None]], site: Site) -> bool | Unobserved:
    networks = (*(site.networks.admin or ()), *(site.networks.campus or ()))
    outside = {family: strangers(family) - of_networks(networks, family) for family in (4, 6)}
    if any(sets[family][0] & outside[family] for family in (4, 6)):
        return True
    open_ones = [sets[family][2] for family in (4, 6) if sets[family][1] & outside[family]]
    return next((one for one in open_ones if one is not None), bool(open_ones))


def _any(answers: Iterable[bool | Unobserved]) -> bool | Unobserved:
    doubt: Unobserved | None = None
    for answer in answers:
        if answer is True:
            return True
        if isinstance(answer, Unobserved):
            doubt = doubt or answer
    return doubt if doubt is not None else False


def _all(answers: list[bool | Unobserved]) -> bool | Unobserved:
    """Whether all hold; of none at all nothing is claimed to hold."""
    if not answers or any(answer is False for answer in answers):
        return False
    return next((answer for answer in answers if isinstance(answer, Unobserved)), True)
