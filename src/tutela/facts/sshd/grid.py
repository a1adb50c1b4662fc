"""Users × addresses (H.0.3): what each server makes of every account from every place that a setting may treat differently."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from ipaddress import ip_address
from itertools import pairwise

from tutela.evidence import Reason, Unobserved
from tutela.evidence.observed import all_of, any_of
from tutela.facts import accounts, exposure, source_limits, ssh_servers, sshd_config
from tutela.facts.exposure import Reached
from tutela.facts.firewall import strangers
from tutela.facts.look import Look
from tutela.facts.netfilter.addresses import NOBODY, Addresses, of_networks, of_words, union
from tutela.facts.ssh_servers import Server
from tutela.facts.sshd import dropbear
from tutela.facts.sshd.model import STRANGER, Login, Profile
from tutela.facts.sshd.origins import Origins, beyond, network, restricted, total
from tutela.facts.sshd.ports import reached_at, unplaced
from tutela.facts.sshd.second_factor import SecondFactor
from tutela.facts.sshd.settings import key_only, normal, number, password_methods, plain, seconds, ways
from tutela.facts.sshd.users import User, unlisted, users
from tutela.facts.sshd_config import Client
from tutela.language import Text
from tutela.record import replace

GRID_NAME = "tutela-stranger"
"""Name of a stranger in the probe's grid."""
MAX_MENTIONS = 200
DECIDING = ("passwordauthentication", "kbdinteractiveauthentication", "permitrootlogin", "authenticationmethods", "pubkeyauthentication")
"""Settings that must be as the probe's grid says."""


class Grid:
    """Users and addresses of one look, and what each server makes of them."""

    def __init__(self, look: Look, reached: tuple[Reached, ...] | Unobserved) -> None:
        self.look = look
        self.site = look.site
        self.accounts = look.fact(accounts.ageless)
        self.users = users(self.accounts)
        self.unlisted = unlisted(self.accounts)
        self.second_factor = SecondFactor(look)
        self.limits = look.fact(source_limits.parse)
        self.reached = reached
        self.origins: dict[int, list[Origins]] = {4: [], 6: []}
        """From where each account that was looked at gets in, by family."""

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
                profile = self._profile(server, user, address, port)
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
                login = self._login(server, user, doors)
                if login is not None:
                    logins.append(login)
            if user.name == STRANGER and self.unlisted is not None:
                logins += self._perhaps(server, replace(user, groups=None), doors, self.unlisted)
        profiles: list[Profile | Unobserved] = [replace(profile, users=tuple(names), sources=tuple(labels)) for profile, names, labels in rows.values()]
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
            self.origins[family].append(Origins(NOBODY, strangers(family), doubt))

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
            for keyword in DECIDING:
                if keyword in said and normal(said[keyword]) != normal(mine.get(keyword, "")):
                    why = Text(f"{keyword} 与配置文件推算的不一致", f"{keyword} differs from what the files say")
                    return Unobserved(Reason.FORMAT, name, why)
        return None

    # --- one account from one place

    def _clients(self, server: Server) -> list[tuple[str, str, int]]:
        """Addresses and ports to try, with what to call them: one of each class and family, loopback, one of each prefix that a setting mentions."""
        config = server.config
        ports = server.ports if isinstance(server.ports, tuple) and server.ports else (22,)
        if isinstance(config, Unobserved) or not any(name == "localport" for one in config.settings for match in one.matches for name, _ in match.criteria):
            ports = ports[:1]
        mentioned = [(words, prefix) for words in self._mentions(server) if (prefix := network(words)) is not None]
        found = [("loopback", "127.0.0.1")]
        for family in (4, 6):
            admin = of_networks(self.site.networks.admin or (), family) & strangers(family)
            campus = of_networks(self.site.networks.campus or (), family) & strangers(family) - admin
            for label, group in (("external", strangers(family) - admin - campus), ("campus", campus), ("admin", admin)):
                free = group - of_networks((prefix for _, prefix in mentioned), family)
                found += [(label, _address(low, family)) for low, _ in (free or group).spans[:1]]
        found += [(words, str(prefix.network_address)) for words, prefix in mentioned]
        return [(label, address, port) for label, address in found for port in ports]

    def _mentions(self, server: Server) -> list[str]:
        """Prefixes that a setting mentions."""
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

        return list(dict.fromkeys(sshd_config.prefixes_of(words)))[:MAX_MENTIONS]

    def _settings(self, server: Server, user: User, address: str, port: int, local: str | None = None) -> dict[str, str] | Unobserved:
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

    def _admits(self, server: Server, settings: Mapping[str, str], user: User, address: str, port: int) -> bool | Unobserved:
        client = Client(GRID_NAME if user.name == STRANGER else user.name, user.groups, address, port)
        if user.root and normal(settings.get("permitrootlogin", "")) == "no":
            return False
        return sshd_config.admits(settings, client, server.path)

    def _profile(self, server: Server, user: User, address: str, port: int) -> Profile | Unobserved:
        """What holds for one user from one address."""
        if server.kind == "dropbear":
            return dropbear.profile(server, user)
        settings = self._settings(server, user, address, port)
        if isinstance(settings, Unobserved):
            return settings
        admitted = self._admits(server, settings, user, address, port)
        root_login = normal(settings.get("permitrootlogin", "prohibit-password"))
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
            max_auth_tries=number(settings.get("maxauthtries", "6")),
            login_grace_seconds=seconds(settings.get("logingracetime", "120")),
            x11_forwarding=settings.get("x11forwarding") == "yes" and settings.get("disableforwarding") != "yes",
            tcp_forwarding="no" if settings.get("disableforwarding") == "yes" else settings.get("allowtcpforwarding", "yes"),
            user_environment=settings.get("permituserenvironment", "no"),
            strict_modes=settings.get("strictmodes", "yes") == "yes",
            keys_command=(settings.get("authorizedkeyscommand", "none").split() or ["none"])[0],
            keys_files=tuple(settings.get("authorizedkeysfile", "").split()),
            key_only=key_only(settings, root=user.root, root_login=root_login),
            two_factor=self.second_factor.in_every_way(settings, user, root_login),
        )

    def _password_only(self, settings: Mapping[str, str], user: User, admitted: bool | Unobserved, root_login: str) -> bool | Unobserved:
        """Whether some way to log in asks for nothing but a password."""
        if admitted is False:
            return False
        enabled = password_methods(settings, root=user.root, root_login=root_login)
        if not any(all(plain(method) in enabled for method in way) for way in ways(settings)):
            return False
        if settings.get("usepam") == "yes":
            enough = self.second_factor.password_enough(user, self.unlisted)
            if enough is not True:
                return enough
        return admitted

    # --- one account from anywhere

    def _login(self, server: Server, user: User, profiles: tuple[Profile, ...]) -> Login | None:
        """One account, all layers together; None when it is refused everywhere."""
        open_to = [profile for profile in profiles if profile.admitted is not False]
        if not open_to:
            return None
        origins = {family: self._from_where(server, user, family) for family in (4, 6)}
        for family in (4, 6):
            self.origins[family].append(origins[family])
        ipv4, ipv6 = total([origins[4]], 4), total([origins[6]], 6)
        doubt = next((one for one in (ipv4, ipv6) if isinstance(one, Unobserved)), None)
        admin, campus = self.site.networks.admin or (), self.site.networks.campus or ()
        beyond_admin = beyond(origins, admin)
        return Login(
            server=server.name,
            user=user.name,
            sources=doubt if doubt is not None else (*exposure.words(origins[4].sure, 4), *exposure.words(origins[6].sure, 6)),
            ipv4=ipv4,
            ipv6=ipv6,
            restricted=restricted(ipv4, ipv6),
            admin_only=beyond_admin if isinstance(beyond_admin, Unobserved) else not beyond_admin,
            external=beyond(origins, (*admin, *campus)),
            password_only=any_of(profile.password_only for profile in open_to),
            key_only=all(profile.key_only for profile in open_to),
            two_factor=all_of(profile.two_factor for profile in open_to),
            root=user.root,
            enrolled=self.second_factor.enrolled(user),
        )

    def _perhaps(self, server: Server, user: User, profiles: tuple[Profile, ...], doubt: Unobserved) -> Iterator[Login]:
        """An account that perhaps nothing opens, or a stranger for those that are not listed and that there may be: what is not good is a doubt."""
        before = {family: list(self.origins[family]) for family in (4, 6)}
        login = self._login(server, user, profiles)
        for family in (4, 6):
            gained = self.origins[family][len(before[family]) :]
            self.origins[family] = [*before[family], *(Origins(NOBODY, one.possible, one.doubt or doubt) for one in gained)]
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

    def _from_where(self, server: Server, user: User, family: int) -> Origins:
        """Addresses from which the account gets past the packet filter, TCP wrappers, pam_access and sshd's own lists."""
        sure = possible = NOBODY
        doubt: Unobserved | None = None
        if isinstance(self.reached, Unobserved):
            possible, doubt = strangers(family), self.reached
        elif (nowhere := unplaced(server, self.reached)) is not None:
            possible, doubt = strangers(family), nowhere
        else:
            for one in reached_at(server, self.reached):
                if one.port.family == f"ipv{family}":
                    sure, possible = sure | one.classes.sure, possible | one.classes.sure | one.classes.maybe
                    doubt = doubt or one.classes.doubt
        layers = [self.limits.wrappers if server.kind == "openssh" else source_limits.ALL]
        if server.kind == "openssh" and isinstance(server.base, dict) and server.base.get("usepam") == "yes":
            layers.append(self.limits.access(user.name, user.groups or ()))
        for layer in layers:
            if isinstance(layer, Unobserved):
                sure, doubt = NOBODY, doubt or layer
            else:
                sure, possible = sure & layer[family], possible & layer[family]
        if server.kind == "openssh":
            admitted = self._admitted(server, user, family)
            sure, possible = sure & admitted.sure, possible & admitted.possible
            doubt = doubt or admitted.doubt
        return Origins(sure, possible, doubt)

    def _admitted(self, server: Server, user: User, family: int) -> Origins:
        """Addresses from which AllowUsers, DenyUsers and PermitRootLogin let the account in, piece by piece of the address space."""
        sure = possible = NOBODY
        doubt: Unobserved | None = None
        everyone = strangers(family)
        port = server.ports[0] if isinstance(server.ports, tuple) and server.ports else 22
        for low, high in _pieces(everyone, self._mentions(server), family):
            piece = union(((low, high),)) & everyone
            if not piece:
                continue
            address = _address(low, family)
            settings = self._settings(server, user, address, port)
            answer = settings if isinstance(settings, Unobserved) else self._admits(server, settings, user, address, port)
            if answer is not False:
                possible = possible | piece
            if answer is True:
                sure = sure | piece
            elif answer is not False:
                doubt = doubt or answer
        return Origins(sure, possible, doubt)


def _pieces(everyone: Addresses, mentions: list[str], family: int) -> Iterator[tuple[int, int]]:
    """First and last addresses of pieces in which no mentioned prefix begins or ends."""
    cuts = {low for low, _ in everyone.spans} | {high + 1 for _, high in everyone.spans}
    for words in mentions:
        for low, high in (of_words(words, family) or NOBODY).spans:
            cuts |= {low, high + 1}
    ordered = sorted(cuts)
    return ((low, high - 1) for low, high in pairwise(ordered))


def _address(value: int, family: int) -> str:
    return str(ip_address(value.to_bytes(4 if family == 4 else 16, "big")))
