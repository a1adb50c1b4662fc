"""Kernel settings: as they are now, and as the next boot will make them.

Sources: /proc/sys; sysctl.d(5): files of /etc, /run, /usr/local/lib and /usr/lib, an earlier directory hiding a file of the same name in a later one, all in the order of their names, the last value of a key winning; a plain key beats a pattern wherever it stands; `-key` without a value takes a key out of patterns.
systemd reads /etc/sysctl.conf only through a link in one of those directories (Debian 13 has none any more).
ufw writes the file that IPT_SYSCTL in /etc/default/ufw names over all of it when it starts.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from fnmatch import fnmatchcase

from tutela.evidence import Reason, Status, Unobserved
from tutela.facts import machine, units
from tutela.facts.listing import below, entries
from tutela.facts.look import Look
from tutela.facts.unseen import unseen
from tutela.language import Text
from tutela.record import record

DIRECTORIES = ("/etc/sysctl.d", "/run/sysctl.d", "/usr/local/lib/sysctl.d", "/usr/lib/sysctl.d", "/lib/sysctl.d")
"""Highest priority first."""
NETWORK = (
    "net.ipv4.tcp_syncookies",
    "net.ipv4.ip_forward",
    "net.ipv4.icmp_echo_ignore_broadcasts",
    "net.core.somaxconn",
    "net.ipv4.conf.all.rp_filter",
    "net.ipv4.conf.default.rp_filter",
    "net.ipv4.conf.all.accept_redirects",
    "net.ipv4.conf.default.accept_redirects",
    "net.ipv4.conf.all.send_redirects",
    "net.ipv4.conf.default.send_redirects",
    "net.ipv4.conf.all.accept_source_route",
    "net.ipv4.conf.default.accept_source_route",
    "net.ipv4.conf.all.log_martians",
    "net.ipv4.conf.default.log_martians",
    "net.ipv6.conf.all.accept_redirects",
    "net.ipv6.conf.default.accept_redirects",
    "net.ipv6.conf.all.accept_source_route",
    "net.ipv6.conf.default.accept_source_route",
)
KERNEL = (
    "kernel.randomize_va_space",
    "kernel.kptr_restrict",
    "kernel.dmesg_restrict",
    "kernel.yama.ptrace_scope",
    "kernel.unprivileged_bpf_disabled",
    "kernel.sysrq",
    "fs.protected_hardlinks",
    "fs.protected_symlinks",
    "fs.protected_fifos",
    "fs.protected_regular",
    "fs.suid_dumpable",
)
BUILT_IN = {
    "net.ipv4.tcp_syncookies": 1,
    "net.ipv4.ip_forward": 0,
    "net.ipv4.icmp_echo_ignore_broadcasts": 1,
    "net.ipv4.conf.all.rp_filter": 0,
    "net.ipv4.conf.default.rp_filter": 0,
    "net.ipv4.conf.all.accept_redirects": 1,
    "net.ipv4.conf.default.accept_redirects": 1,
    "net.ipv4.conf.all.send_redirects": 1,
    "net.ipv4.conf.default.send_redirects": 1,
    "net.ipv4.conf.all.accept_source_route": 0,
    "net.ipv4.conf.default.accept_source_route": 1,
    "net.ipv4.conf.all.log_martians": 0,
    "net.ipv4.conf.default.log_martians": 0,
    "net.ipv6.conf.all.accept_redirects": 1,
    "net.ipv6.conf.default.accept_redirects": 1,
    "net.ipv6.conf.all.accept_source_route": 0,
    "net.ipv6.conf.default.accept_source_route": 0,
    "kernel.randomize_va_space": 2,
    "fs.suid_dumpable": 0,
}
"""What the kernel starts with where no file says anything (Documentation/networking/ip-sysctl.rst, admin-guide/sysctl).

Keys whose start depends on how the kernel was built or on its version are left out.
"""
FILTERS = "/proc/sys/net/ipv4/conf"
REDIRECTS = "/proc/sys/net/ipv6/conf"
NEEDS = (
    *("/proc/sys/" + key.replace(".", "/") for key in (*NETWORK, *KERNEL)),
    *(directory + "/" for directory in DIRECTORIES),
    "/etc/sysctl.conf",
    "/etc/ufw/sysctl.conf",
    "/etc/ufw/ufw.conf",
    "/etc/default/ufw",
    "/proc/cmdline",
    *machine.NEEDS,
)
MAX_LINES = 5000


@record
class Setting:
    """Setting(key='net.ipv4.tcp_syncookies', running=1, persistent=1, file='/etc/sysctl.d/60-site.conf', drift=False)"""

    key: str
    running: int | Unobserved | None
    """None: this kernel has no such setting, or IPv6 is off."""
    persistent: int | str | Unobserved | None
    """None: no file sets it."""
    file: str | None
    """The file whose value wins."""
    drift: bool | Unobserved
    """Whether the next boot brings another value than now."""


@record
class Sysctl:
    """Sysctl(network=(Setting(…), …), kernel=(Setting(…), …), reverse_path='on')"""

    network: tuple[Setting, ...]
    kernel: tuple[Setting, ...]
    unfiltered: tuple[str, ...] | Unobserved
    """Interfaces (and `default`) on which no reverse path filter works: the kernel takes the larger value of `all` and the interface."""
    redirected: tuple[str, ...] | Unobserved
    """Interfaces that take redirects of IPv6: only their own value counts, and one that was there before `default` was set keeps its own."""
    ignored: tuple[str, ...]
    """Keys that /etc/sysctl.conf sets and that nothing reads at boot."""


def parse(look: Look) -> Sysctl | Unobserved:
    """The fact; a value that may not be read is a hole in its own place."""
    first = look.source(NEEDS[0])
    if first.status is Status.MISSING:
        missing = look.text(NEEDS[0])
        assert isinstance(missing, Unobserved)
        return missing
    layers = _Layers(look)
    return Sysctl(
        network=tuple(_setting(look, layers, key) for key in NETWORK),
        kernel=tuple(_setting(look, layers, key) for key in KERNEL),
        unfiltered=_unfiltered(look),
        redirected=_redirected(look),
        ignored=layers.ignored(),
    )


def _setting(look: Look, layers: _Layers, key: str) -> Setting:
    running = value_of(look, key)
    if key.startswith("net.ipv6.") and running != 0:
        # With IPv6 off the value of a setting counts for nothing; 0 is right either way.
        off = _ipv6_off(look)
        running = off if isinstance(off, Unobserved) else None if off else running
    persistent, file = layers.value(key)
    drift: bool | Unobserved
    if running is None:
        drift = False
    elif isinstance(running, Unobserved):
        drift = running
    elif isinstance(persistent, Unobserved):
        drift = persistent
    elif persistent is None:
        drift = key in BUILT_IN and BUILT_IN[key] != running
        if drift:
            by_itself = _by_itself(look, key, running)
            drift = by_itself if isinstance(by_itself, Unobserved) else not by_itself
    else:
        drift = persistent != running
    if drift is True:
        drift = _in_container(look, key, file)
    return Setting(key, running, persistent, file, drift)


def _in_container(look: Look, key: str, file: str | None) -> bool | Unobserved:
    """Whether a value that differs is a drift, which in a container may be the concern of its host."""
    inherited = file is None and (key == "net.ipv4.ip_forward" or key.startswith("net.ipv4.conf."))
    if not inherited and not key.startswith(("kernel.", "fs.")):
        return True
    kind = look.part(machine.parse, "kind")
    if isinstance(kind, Unobserved) or kind != "container":
        return kind if isinstance(kind, Unobserved) else True
    if inherited:
        why = Text("容器启动时的值取自宿主，看不到", "a container starts with the values of its host, which are not seen")
        return Unobserved(Reason.NO_VANTAGE, key, why)
    return False  # its own files set none of these: they are its host's, and read-only inside


def _by_itself(look: Look, key: str, running: int) -> bool | Unobserved:
    """Whether the value, which no file sets, comes again with each start."""
    if key == "net.ipv4.conf.all.accept_redirects" and running == 0:
        # The kernel turns it off at the moment at which forwarding is turned on.
        forwards = value_of(look, "net.ipv4.ip_forward")
        return forwards if isinstance(forwards, Unobserved) else forwards == 1
    if key == "net.ipv4.ip_forward":
        names = entries(look, FILTERS)
        if isinstance(names, tuple) and any(re.fullmatch(_ENGINES_BRIDGE, name) for name in names):
            return True
        return _up(look, *_FORWARD) or (names if isinstance(names, Unobserved) else False)
    if key == "fs.suid_dumpable" and running == 2:
        return _up(look, "apport")
    return False


def _up(look: Look, *services: str) -> bool | Unobserved:
    seen = look.fact(units.up)
    return seen if isinstance(seen, Unobserved) else bool(seen.running(*services))


_FORWARD = (
    *("docker", "snap.docker.dockerd", "libvirtd", "virtnetworkd", "lxd", "snap.lxd.daemon", "incus", "lxc-net"),
    *("kubelet", "k3s", "k3s-agent", "rke2-server", "rke2-agent", "snap.microk8s.daemon-kubelite"),
)
"""They turn forwarding on at each start; no file has to."""
_ENGINES_BRIDGE = r"(docker|virbr|lxdbr|incusbr|lxcbr|cni|podman)[0-9]+"
"""What they make then; libvirtd itself ends when nobody asks it for two minutes."""


def value_of(look: Look, key: str) -> int | Unobserved | None:
    """The number that a setting has now; None when the kernel has no such setting."""
    text = look.text_or_none("/proc/sys/" + key.replace(".", "/"))
    if text is None or isinstance(text, Unobserved):
        return text
    return _number(text)


def _number(text: str) -> int | None:
    found = re.fullmatch(r"\s*(-?\d{1,10})\s*", text)
    return int(found[1]) if found else None


def _ipv6_off(look: Look) -> bool | Unobserved:
    doubt = None
    for which in ("all", "default"):
        value = value_of(look, f"net.ipv6.conf.{which}.disable_ipv6")
        if isinstance(value, Unobserved):
            doubt = value
        elif value != 1:
            return False
    return doubt or True


def _unfiltered(look: Look) -> tuple[str, ...] | Unobserved:
    everywhere = value_of(look, "net.ipv4.conf.all.rp_filter")
    if isinstance(everywhere, Unobserved):
        return everywhere
    names = below(look, FILTERS, "rp_filter")
    if isinstance(names, Unobserved):
        return names
    found: list[str] = []
    doubt: Unobserved | None = None
    for name in names:
        interface = name[len(FILTERS) + 1 : -len("/rp_filter")]
        text = "" if interface in ("all", "lo") else look.text_or_none(name)
        if isinstance(text, Unobserved):
            doubt = doubt or text
        elif text and max(_number(text) or 0, everywhere or 0) not in (1, 2):
            found.append(interface)
    return doubt if doubt is not None and not found else tuple(found)


def _redirected(look: Look) -> tuple[str, ...] | Unobserved:
    if value_of(look, "net.ipv6.conf.all.forwarding") == 1 or _ipv6_off(look) is True:
        return ()  # a router takes none
    names = below(look, REDIRECTS, "accept_redirects")
    if isinstance(names, Unobserved):
        return names
    found: list[str] = []
    for name in names:
        interface = name[len(REDIRECTS) + 1 : -len("/accept_redirects")]
        text = "" if interface in ("all", "default", "lo") else look.text_or_none(name)
        if isinstance(text, Unobserved):
            return text
        if _number(text or "0"):
            found.append(interface)
    return tuple(found)


@record
class _Line:
    key: str
    """With dots; may be a pattern."""
    value: str | None
    """None: the key is only taken out of patterns."""
    file: str


class _Layers:
    """All that is applied at boot, first to last."""

    def __init__(self, look: Look) -> None:
        self.look = look
        self.holes: list[Unobserved] = []
        self.lines = [*self._command_line(), *self._files(), *self._ufw()]
        self.conf = list(self._lines("/etc/sysctl.conf"))

    def value(self, key: str) -> tuple[int | str | Unobserved | None, str | None]:
        """What a key will be, and which file says so."""
        if self.holes:
            return self.holes[0], None
        plain = [line for line in self.lines if line.key == key and line.value is not None]
        if plain:
            return _value(plain[-1].value), plain[-1].file
        if any(line.key == key for line in self.lines):
            return None, None
        patterns = [line for line in self.lines if line.value is not None and any(sign in line.key for sign in "*?[") and _stands_for(line.key, key)]
        return (_value(patterns[-1].value), patterns[-1].file) if patterns else (None, None)

    def ignored(self) -> tuple[str, ...]:
        """Keys of /etc/sysctl.conf that no directory links to."""
        if any(line.file.endswith("sysctl.conf") and "ufw" not in line.file for line in self.lines):
            return ()
        known = {line.key for line in self.lines}
        return tuple(dict.fromkeys(line.key for line in self.conf if line.key not in known))

    def _files(self) -> Iterator[_Line]:
        by_name: dict[str, str] = {}
        for directory in DIRECTORIES:
            names = entries(self.look, directory)
            if isinstance(names, Unobserved):
                # Where /lib is a link it is /usr/lib/sysctl.d, and not listed twice.
                if directory != "/lib/sysctl.d" or self.look.source(f"{directory}/").status is not Status.MISSING:
                    self.holes.append(names)
                continue
            for name in names:
                if name.endswith(".conf"):
                    by_name.setdefault(name, f"{directory}/{name}")
        for _, path in sorted(by_name.items()):
            yield from self._lines(path)
        seen = self.look.fact(units.up)
        if isinstance(seen, Unobserved):
            # Only another init than systemd reads this file.
            if any(self._lines("/etc/sysctl.conf")):
                self.holes.append(seen)
        elif not seen.systemd:
            # procps' `sysctl --system` and busybox end with this file.
            yield from self._lines("/etc/sysctl.conf")

    def _lines(self, path: str) -> Iterator[_Line]:
        """Lines of one file; a name without a readable file (a link to /dev/null) hides others and says nothing."""
        if self.look.source(path).status is Status.ABSENT:
            return
        lines = self.look.lines(path)
        if isinstance(lines, Unobserved):
            self.holes.append(lines)
            return
        for line in lines[:MAX_LINES]:
            words = line.strip()
            if not words or words[0] in "#;":
                continue
            key, equals, value = words.partition("=")
            key = key.strip()
            if not equals and not key.startswith("-"):
                continue
            yield _Line(_dotted(key.removeprefix("-").strip()), value.strip() if equals else None, path)

    def _command_line(self) -> Iterator[_Line]:
        text = self.look.text("/proc/cmdline")
        doubt = unseen(self.look, "/proc/cmdline")
        if doubt is not None:
            self.holes.append(doubt)
        for word in text.split() if isinstance(text, str) else ():
            if word.startswith("sysctl."):
                key, equals, value = word[7:].partition("=")
                if equals:
                    yield _Line(_dotted(key), value, "/proc/cmdline")

    def _ufw(self) -> Iterator[_Line]:
        conf = self._seen("/etc/ufw/ufw.conf")
        if not re.search(r"(?m)^ENABLED=[\"']?yes", conf):
            return
        found = re.findall(r"(?m)^[ \t]*IPT_SYSCTL=[\"']?([^\"'\s#]*)", self._seen("/etc/default/ufw"))
        if found and found[-1]:
            yield from self._lines(found[-1])

    def _seen(self, path: str) -> str:
        """The text of a file; nothing where there is none, and a hole where it was not seen."""
        doubt = unseen(self.look, path)
        if doubt is not None:
            self.holes.append(doubt)
        text = self.look.text(path)
        return text if isinstance(text, str) else ""


def _stands_for(pattern: str, key: str) -> bool:
    """As for names of files, no sign stands for a separator."""
    parts, names = pattern.split("."), key.split(".")
    return len(parts) == len(names) and all(map(fnmatchcase, names, parts))


def _value(words: str | None) -> int | str:
    """As the kernel takes it: hexadecimal behind 0x, octal behind 0, and of `1 # on` the number before the blank."""
    first = (words or "").partition(" ")[0]
    if re.fullmatch(r"0[xX][0-9a-fA-F]{1,8}", first):
        return int(first, 16)
    if re.fullmatch(r"0[0-7]{1,11}", first):
        return int(first, 8)
    number = _number(first)
    return " ".join((words or "").split()) if number is None else number


def _dotted(key: str) -> str:
    """The first separator of a key decides which of the two it is; with slashes, dots belong to names of interfaces."""
    slash, dot = key.find("/"), key.find(".")
    if slash >= 0 and (dot < 0 or slash < dot):
        return key.replace(".", "\0").replace("/", ".").replace("\0", "/")
    return key
