"""Accounts as sshd sees them."""

from __future__ import annotations

from tutela.evidence import Reason, Unobserved
from tutela.facts import accounts
from tutela.facts.accounts import Account, Accounts
from tutela.facts.sshd.model import STRANGER
from tutela.language import Text
from tutela.record import record

MAX_USERS = 200


@record
class User:
    """An account as sshd sees it."""

    name: str
    groups: tuple[str, ...] | None
    root: bool
    exists: bool
    account: Account | None


def users(found: Accounts | Unobserved) -> list[User]:
    """root, every account with a login shell, and a stranger."""
    stranger = User(STRANGER, (), False, True, None)
    if isinstance(found, Unobserved):
        return [stranger]
    groups = found.groups
    made: list[User] = []
    for account in found.accounts:
        if not account.login_shell and account.uid != 0:
            continue
        if len(made) >= MAX_USERS:
            break
        names: tuple[str, ...] | None = None
        if not isinstance(groups, Unobserved) and not found.remote:
            names = tuple(group.name for group in groups if group.gid == account.gid or account.name in group.members)
        made.append(User(account.name, names, account.uid == 0, True, account))
    return [*made, stranger]


def unlisted(found: Accounts | Unobserved) -> Unobserved | None:
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
