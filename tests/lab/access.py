"""The lab's own way into its hosts: one key, one ops password, an ssh configuration a host."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from pathlib import Path

from tests.lab.command import run

__all__ = ["Access", "make_access"]


@dataclass(frozen=True, slots=True)
class Access:
    """What lets the lab in; made afresh for each lab and removed with it."""

    directory: Path
    ops_password: str
    """The password of the account `ops` on every host."""

    @property
    def key_file(self) -> Path:
        """The private key, readable by root alone."""
        return self.directory / "key"

    @property
    def public_key(self) -> str:
        """The line for authorized_keys."""
        return (self.directory / "key.pub").read_text().strip()

    def write_config(self, name: str, address: str, port: int, host_keys: str) -> Path:
        """Write known_hosts and ssh_config for host `name`; returns the latter's path.

        In it, `name` logs in as root and `name`-ops as ops; the addresses may be used as well.
        """
        known = self.directory / f"{name}.known_hosts"
        shown = address if port == 22 else f"[{address}]:{port}"
        lines = [f"{shown} {' '.join(key.split()[:2])}" for key in host_keys.splitlines()]
        known.write_text("\n".join(lines) + "\n")
        config = self.directory / f"{name}.ssh_config"
        config.write_text(
            f"Host {name}-ops\n"
            f"    User ops\n"
            f"Host {name} {name}-ops {address}\n"
            f"    HostName {address}\n"
            f"    Port {port}\n"
            f"    IdentityFile {self.key_file}\n"
            f"    UserKnownHostsFile {known}\n"
            f"Host *\n"
            f"    User root\n"
            f"    GlobalKnownHostsFile /dev/null\n"
            f"    IdentitiesOnly yes\n"
            f"    BatchMode yes\n"
            f"    StrictHostKeyChecking yes\n"
            f"    ConnectTimeout 5\n"
        )
        return config


def make_access(directory: Path) -> Access:
    """Make a key and a password in `directory`."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    access = Access(directory, f"Lab-{secrets.token_urlsafe(12)}-9x")
    words = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "tutela-lab"]
    run([*words, "-f", str(access.key_file)])
    return access
