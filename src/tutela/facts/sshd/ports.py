"""Ports on which an SSH server can be reached, and by whom."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_address

from tutela.evidence import Unobserved
from tutela.evidence.observed import all_of, any_of
from tutela.facts import outside
from tutela.facts.exposure import Reached
from tutela.facts.firewall import strangers
from tutela.facts.look import Look
from tutela.facts.netfilter.addresses import NOBODY, of_networks
from tutela.facts.outside import OpenPort
from tutela.facts.ssh_servers import Server
from tutela.facts.sshd.model import Profile, SshPort
from tutela.facts.sshd.origins import ALLOWED, count, network
from tutela.record import replace
from tutela.site import Site


def ports(look: Look, servers: tuple[Server, ...], reached: tuple[Reached, ...] | Unobserved) -> tuple[SshPort | Unobserved, ...] | Unobserved:
    """Sockets and redirects that end at these servers, and from where each is reached."""
    if isinstance(reached, Unobserved):
        return reached if servers else ()
    measured = [one for one in look.fact(outside.parse).open if one.vantage in (outside.EXTERNAL, outside.CAMPUS) and one.protocol == "tcp"]
    made: list[SshPort | Unobserved] = []
    for server in servers:
        if (doubt := unplaced(server, reached)) is not None:
            made.append(doubt)
        for one in reached_at(server, reached):
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


def reached_at(server: Server, reached: tuple[Reached, ...]) -> list[Reached]:
    """Sockets and redirects that end at this server."""
    return [one for one in reached if ends_at(one, server)]


def ends_at(one: Reached, server: Server) -> bool:
    """Whether a socket is this server's."""
    socket = one.socket
    if socket is None or socket.protocol != "tcp" or one.port.local:
        return False
    own = isinstance(socket.pid, int) and socket.pid in server.pids
    # Without root no socket names its process, and systemd holds the port of a socket unit.
    same_port = isinstance(server.ports, tuple) and socket.port in server.ports
    return own or (same_port and (not isinstance(socket.pid, int) or socket.pid == 1 or not server.pids))


def unplaced(server: Server, reached: tuple[Reached, ...]) -> Unobserved | None:
    """Why nobody can say which socket is the server's: its files are not readable, and no socket names its process."""
    return server.ports if isinstance(server.ports, Unobserved) and not reached_at(server, reached) else None


def _more_than_few(site: Site, one: Reached, family: int) -> bool | Unobserved:
    outsiders = strangers(family) - of_networks(site.networks.admin or (), family)
    if count(one.classes.sure & outsiders, family) > ALLOWED[family]:
        return True
    if one.classes.doubt is not None and count((one.classes.sure | one.classes.maybe) & outsiders, family) > ALLOWED[family]:
        return one.classes.doubt
    return False


def with_exposure(
    site: Site, server: Server, profiles: list[Profile | Unobserved], reached: tuple[Reached, ...] | Unobserved
) -> Iterator[Profile | Unobserved]:
    """The profiles, each with whether its own sources get to the server: what holds from one place must not be rated by another."""
    prefixes = [prefix for one in profiles if isinstance(one, Profile) for prefix in map(network, one.sources) if prefix is not None]
    admin = {family: of_networks(site.networks.admin or (), family) & strangers(family) for family in (4, 6)}
    campus = {family: of_networks(site.networks.campus or (), family) & strangers(family) - admin[family] for family in (4, 6)}
    classes = {"external": {family: strangers(family) - admin[family] - campus[family] for family in (4, 6)}, "campus": campus}
    for profile in profiles:
        if not isinstance(profile, Profile):
            yield profile
        elif isinstance(reached, Unobserved):
            yield replace(profile, exposed=reached)
        else:
            doubt = unplaced(server, reached)
            answers: list[bool | Unobserved] = [] if doubt is None else [doubt]
            for one in reached_at(server, reached):
                family = 4 if one.port.family == "ipv4" else 6
                for label in profile.sources:
                    prefix = network(label)
                    if prefix is not None:
                        these = of_networks((prefix,), family) & strangers(family) - admin[family]
                    else:
                        these = classes[label][family] - of_networks(prefixes, family) if label in classes else NOBODY
                    answers.append(one.classes.reaches(these))
            yield replace(profile, exposed=any_of(answers))


def password_reachable(profiles: list[Profile | Unobserved]) -> bool | Unobserved:
    """Whether anybody gets in with a password alone over a port that is reached from outside."""
    return any_of(one if isinstance(one, Unobserved) else all_of([one.password_only, one.exposed]) for one in profiles)
