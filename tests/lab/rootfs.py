"""Root file systems in layers: a Debian base per suite, package sets above it, all cached.

A layer is a directory that overlayfs stacks; its name ends in a hash of everything that made it,
so a changed list is a new layer and an unchanged one is never built twice. Layers are only
written while they are built: in a directory ending in `.building`, under a lock, in namespaces
of their own (no mount of the machine is touched; the install step has no network, so that no
package can start or change anything outside).
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from tests.lab.command import run
from tests.lab.errors import CommandError
from tests.lab.mirror import Mirror, find_mirror

__all__ = ["RootCache", "Stack", "build_prefix", "cache_directory"]

_ENTER = Path(__file__).with_name("enter.sh")
_POLICY = "#!/bin/sh\nexit 101\n"
_APT = ["apt-get", "-q", "-y", "-o", "APT::Sandbox::User=root", "--no-install-recommends"]
_ENV = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "DEBIAN_FRONTEND": "noninteractive",
    "LC_ALL": "C.UTF-8",
    "HOME": "/root",
}
_LEAVE_OUT = ("/usr/share/man/*", "/usr/share/doc/*", "/usr/share/locale/*", "/usr/share/info/*")


def cache_directory() -> Path:
    """Where layers live: TUTELA_LAB_CACHE, or a directory of the lab's own under /var/cache."""
    return Path(os.environ.get("TUTELA_LAB_CACHE", "/var/cache/tutela-lab")).resolve()


@dataclass(frozen=True, slots=True)
class Stack:
    """Layers that make one root file system."""

    suite: str
    layers: tuple[Path, ...]
    """Directories, the uppermost first."""

    @property
    def lowerdir(self) -> str:
        """The value of overlayfs' option of that name."""
        return ":".join(map(str, self.layers))

    def above(self, layer: Path) -> Stack:
        """The same with one more layer on top."""
        return replace(self, layers=(layer, *self.layers))


def build_prefix(stack: Stack, place: Path, *, has_network: bool = False) -> list[str]:
    """Words that run a program as root in `stack`, writing to `place`/upper; see enter.sh."""
    for name in ("root", "upper", "work"):
        (place / name).mkdir(parents=True, exist_ok=True)
    (place / "upper").chmod(0o755)
    unshare = ["unshare", "--mount", "--pid", "--uts", "--ipc", "--fork", "--kill-child"]
    if not has_network:
        unshare += ["--net", "sh", "-c", 'ip link set lo up; exec "$@"', "sh"]
    where = [str(place / "root"), stack.lowerdir, str(place / "upper"), str(place / "work")]
    return [*unshare, "sh", str(_ENTER), "build", *where]


class RootCache:
    """The layers on disk. Several labs may use one cache at the same time."""

    def __init__(self, directory: Path | None = None) -> None:
        self._directory = directory or cache_directory()
        self._directory.mkdir(parents=True, exist_ok=True)
        self._mirror: Mirror | None = None

    @property
    def archives(self) -> Path:
        """Downloaded packages, shared by all builds; the environment names it LAB_ARCHIVES."""
        path = self._directory / "archives"
        (path / "partial").mkdir(parents=True, exist_ok=True)
        return path

    @property
    def environment(self) -> dict[str, str]:
        """What programs behind `build_prefix` get as their environment."""
        return _ENV | {"LAB_ARCHIVES": str(self.archives)}

    def base(self, suite: str) -> Stack:
        """A minimal Debian of `suite`, without init system, SSH server or Python."""
        key = self._key(suite, "base", {"leave_out": _LEAVE_OUT, "edition": 1})
        with self._building(key) as place:
            if place is not None:
                self._bootstrap(suite, place / "upper")
        return Stack(suite, (self._directory / key,))

    def with_packages(self, below: Stack, packages: Sequence[str], *, debconf: str = "", bake: str = "") -> Stack:
        """`below` with packages installed and then the shell text `bake` run in it.

        `debconf` holds answers in the form of debconf-set-selections(1). Services are enabled as
        Debian does it but not started (policy-rc.d answers 101).
        """
        if not packages and not bake:
            return below
        facts = {
            "below": below.layers[0].name,
            "packages": sorted(set(packages)),
            "debconf": debconf,
            "bake": bake,
        }
        key = self._key(below.suite, "set", facts)
        with self._building(key) as place:
            if place is not None:
                self._install(below, place, sorted(set(packages)), debconf, bake)
                (place / f"{key}.json").write_text(json.dumps(facts, indent=1))
        return below.above(self._directory / key)

    def prune(self, wanted: Iterable[Stack]) -> list[str]:
        """Remove layers that are in none of `wanted`, and downloads; returns the layers' names.

        No lab may be running: its hosts could stand on one of them.
        """
        kept = {layer.name for stack in wanted for layer in stack.layers}
        removed = []
        for lock in sorted(self._directory.glob("*.lock")):
            if lock.stem in kept:
                continue
            shutil.rmtree(self._directory / lock.stem, ignore_errors=True)
            (self._directory / f"{lock.stem}.json").unlink(missing_ok=True)
            lock.unlink()
            removed.append(lock.stem)
        shutil.rmtree(self._directory / "archives", ignore_errors=True)
        return removed

    def _bootstrap(self, suite: str, target: Path) -> None:
        mirror = self._find_mirror()
        options = [f"--aptopt={option.replace('=', ' ', 1)}" for option in mirror.options]
        options += [f"--dpkgopt=path-exclude={pattern}" for pattern in _LEAVE_OUT]
        keep_lists = ["--skip=cleanup/apt/lists", "--aptopt=Acquire::GzipIndexes true"]
        isolated = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
        command = ["mmdebstrap", "--mode=root", "--variant=minbase", "--format=directory"]
        what = [suite, str(target), *mirror.sources(suite)]
        run([*isolated, *command, *keep_lists, *options, *what], timeout_s=900)
        # The proxy is the machine's affair, not the host's.
        settings = target / "etc/apt/apt.conf.d/99mmdebstrap"
        settings.write_text('Acquire::GzipIndexes "true";\n')

    def _install(self, below: Stack, place: Path, packages: Sequence[str], debconf: str, bake: str) -> None:
        options = [word for option in self._find_mirror().options for word in ("-o", option)]
        apt = [*_APT, *options]
        online = build_prefix(below, place, has_network=True)
        offline = build_prefix(below, place)
        download = [*online, *apt, "--download-only", "install", *packages]
        if packages and run(download, env=self.environment, timeout_s=900, check=False).returncode:
            # The base may be older than the mirror's present state.
            run([*online, *apt, "update"], env=self.environment, timeout_s=300)
            run(download, env=self.environment, timeout_s=900)
        # --force-unsafe-io: a layer that did not get ready is thrown away anyway.
        dpkg = ["-o", "DPkg::Options::=--force-unsafe-io", "--no-download", "install"]
        policy = "printf '%s' \"$POLICY\" >/usr/sbin/policy-rc.d; chmod 755 /usr/sbin/policy-rc.d"
        script = "\n".join(
            [
                "set -eu",
                policy,
                '[ -z "$DEBCONF" ] || printf "%s\\n" "$DEBCONF" | debconf-set-selections',
                '[ $# -eq 0 ] || "$@"',
                bake,
                "rm -f /usr/sbin/policy-rc.d /var/cache/apt/*.bin",
            ]
        )
        words = [*apt, *dpkg, *packages] if packages else []
        env = self.environment | {"POLICY": _POLICY, "DEBCONF": debconf}
        run([*offline, "sh", "-c", script, "sh", *words], env=env, timeout_s=1200)

    @contextmanager
    def _building(self, key: str) -> Iterator[Path | None]:
        """Yield a directory to build `key` in, or None if it is there; rename it when done."""
        done = self._directory / key
        with (self._directory / f"{key}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if done.is_dir():
                yield None
                return
            place = self._directory / f"{key}.building"
            shutil.rmtree(place, ignore_errors=True)
            (place / "upper").mkdir(parents=True)
            try:
                yield place
            except CommandError:
                shutil.rmtree(place, ignore_errors=True)
                raise
            for note in place.glob("*.json"):
                note.rename(self._directory / note.name)
            (place / "upper").rename(done)
            shutil.rmtree(place, ignore_errors=True)

    def _find_mirror(self) -> Mirror:
        if self._mirror is None:
            self._mirror = find_mirror()
        return self._mirror

    @staticmethod
    def _key(suite: str, kind: str, facts: object) -> str:
        digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
        return f"{suite}-{kind}-{digest[:10]}"
