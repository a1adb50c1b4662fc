"""Who is root in all but name: members of administrative groups and accounts that sudo lets do anything.

Sources: group(5), passwd(5), sudoers(5), nsswitch.conf(5). A member of docker, lxd or libvirt can mount the host's disk, so it counts as root.
"""

from __future__ import annotations

from tutela.evidence import Reason, Unobserved
from tutela.facts import accounts, platform, sudo
from tutela.facts.look import Look
from tutela.language import Text
from tutela.record import record

NEEDS = (*accounts.NEEDS, *sudo.NEEDS)
GROUPS = ("root", "sudo", "wheel", "admin", "docker", "lxd", "incus", "incus-admin", "libvirt", "libvirtd", "disk")
"""Besides the groups that the platform's data names."""


@record
class Admin:
    """Admin(user='ops', via=('sudo', 'docker'))"""

    user: str
    via: tuple[str, ...]
    """Groups, and `sudoers` for a rule of its own."""


@record
class Admins:
    """Admins(members=(Admin('ops', ('sudo',)),))"""

    members: tuple[Admin | Unobserved, ...]
    """Without accounts of uid 0; with a hole where groups come from elsewhere."""


def parse(look: Look) -> Admins | Unobserved:
    """The fact."""
    people = look.fact(accounts.ageless)
    if isinstance(people, Unobserved):
        return people
    if isinstance(people.groups, Unobserved):
        return people.groups
    row = look.fact(platform.parse)
    wanted = dict.fromkeys((*GROUPS, *(() if isinstance(row, Unobserved) else row.admin_groups)))
    via: dict[str, list[str]] = {}
    for group in people.groups:
        if group.name in wanted:
            primary = [account.name for account in people.accounts if account.gid == group.gid]
            for name in dict.fromkeys((*group.members, *primary)):
                via.setdefault(name, []).append(group.name)
    rules = look.fact(sudo.parse)
    if not isinstance(rules, Unobserved):
        for named in rules.full:
            if isinstance(named, str) and named not in via:
                via[named] = ["sudoers"]
    roots = {account.name for account in people.superusers}
    # A name that is in a group and nowhere else would be an administrator as soon as somebody creates it.
    members: list[Admin | Unobserved] = [Admin(name, tuple(groups)) for name, groups in sorted(via.items()) if name not in roots]
    members += [rules] if isinstance(rules, Unobserved) else [one for one in rules.full if isinstance(one, Unobserved)]
    if people.remote:
        why = Text(f"还有来自 {'、'.join(people.remote)} 的账户和组，无法列举", f"accounts and groups from {', '.join(people.remote)} cannot be listed here")
        members.append(Unobserved(Reason.NO_VANTAGE, "/etc/nsswitch.conf passwd", why))
    return Admins(tuple(members))
