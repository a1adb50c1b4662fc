"""What holds for a user of Dropbear, by its command line: dropbear(8)."""

from __future__ import annotations

import re

from tutela.facts.ssh_servers import Server
from tutela.facts.sshd.model import Profile
from tutela.facts.sshd.users import User


def profile(server: Server, user: User) -> Profile:
    """The same from everywhere: Dropbear has no settings by address."""
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
