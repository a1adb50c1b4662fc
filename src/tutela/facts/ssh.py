"""Who can log in over SSH, from where, and with what.

`ssh.profiles` says what holds for some users from some sources: the grid users × addresses of the catalogue (H.0.3), cells that are alike joined.
`ssh.logins` says it account by account: the addresses from which a login gets past the packet filter, TCP wrappers, pam_access and AllowUsers, and whether it takes two factors.
`ssh.ports` are the ports on which an SSH server can be reached.

A server older than its files counts as not observed: what stands in the files is not what it does.
"""

from __future__ import annotations

from tutela.evidence import Unobserved
from tutela.facts import accounts, exposure, outside, source_limits, ssh_keys, ssh_servers
from tutela.facts.exposure import Reached
from tutela.facts.look import Look
from tutela.facts.ssh_servers import SshServers
from tutela.facts.sshd.grid import Grid
from tutela.facts.sshd.model import Login, Profile, Ssh
from tutela.facts.sshd.origins import total
from tutela.facts.sshd.ports import ends_at, password_reachable, ports, with_exposure
from tutela.facts.sshd.servers import summary
from tutela.record import replace

NEEDS = (*ssh_servers.NEEDS, *exposure.NEEDS, *accounts.NEEDS, *source_limits.NEEDS, *ssh_keys.NEEDS, *outside.NEEDS)


def parse(look: Look) -> Ssh | Unobserved:
    """The fact; without servers it is empty."""
    found, reached = look.fact(_renumbered)
    if isinstance(found, Unobserved):
        return found
    grid = Grid(look, reached)
    profiles: list[Profile | Unobserved] = []
    logins: list[Login | Unobserved] = []
    for server in found.servers:
        made, per_user = grid.server(server)
        profiles += with_exposure(look.site, server, made, reached)
        logins += per_user
    return Ssh(
        servers=tuple(summary(server) for server in found.servers),
        duplicates=found.duplicates,
        ports=ports(look, found.servers, reached),
        profiles=tuple(profiles),
        logins=tuple(logins),
        factor_installed=grid.second_factor.installed(),
        ipv4=total(grid.origins[4], 4),
        ipv6=total(grid.origins[6], 6),
        password_reachable=password_reachable(profiles),
    )


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
        theirs = [one for one in reached if any(ends_at(one, server) for server in found.servers)]
        reached = tuple(
            replace(one, socket=replace(one.socket, pid=number(one.socket.pid))) if one.socket is not None and isinstance(one.socket.pid, int) else one
            for one in theirs
        )
    return replace(found, servers=servers), reached
