"""Encryption at rest: which mounts lie on an encrypted layer, how good it is, and whether swap is.

Sources: lsblk(8), /proc/self/mountinfo, /proc/swaps, crypttab(5), cryptsetup(8) luksDump (ciphers and derivation only, NC2), zfs-get(8).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from tutela.evidence import Reason, Status, Unobserved
from tutela.facts import mounts, mysql
from tutela.facts.look import Look
from tutela.facts.mounts import Mount, Mounts, under
from tutela.facts.unseen import unseen
from tutela.language import Text
from tutela.record import record

LSBLK = "lsblk -J -o NAME,TYPE,FSTYPE,MAJ:MIN,TRAN"
DUMP = "cryptsetup luksDump --disable-locks /dev/"
ZFS = "zfs get -H -o name,property,value encryption,mountpoint"
SWAPS = "/proc/swaps"
CRYPTTAB = "/etc/crypttab"
FSCRYPT = "ls -d */.fscrypt (mounts)"
NEEDS = (LSBLK, SWAPS, CRYPTTAB, ZFS, FSCRYPT, *mounts.NEEDS, *mysql.FILES)
TABLES = "/var/lib/mysql"
"""Where MySQL and MariaDB keep their tables."""
SENSITIVE = ("sensitive", "core")
MAX_DEPTH = 30
ENCRYPTED_TYPES = frozenset({"ecryptfs", "fuse.gocryptfs", "fuse.encfs", "fuse.cryfs"})
IMAGES = frozenset({"squashfs", "erofs", "iso9660"})
"""Packed software; nobody writes data there."""
MEMORY_TYPES = frozenset({"tmpfs", "ramfs", "devtmpfs"})


@record
class Device:
    """Device(name='vda3', type='part', fstype='crypto_LUKS', number='254:3', above=('vda',))"""

    name: str
    type: str
    """disk | part | crypt | lvm | raid1 | loop…"""
    fstype: str | None
    number: str
    layers: tuple[str, ...]
    """Types from the disk up to this one: ('disk', 'part', 'crypt', 'lvm')."""
    transport: str | None
    """sata | sas | nvme | usb | virtio…"""


@record
class Luks:
    """Luks(device='vda3', version=2, ciphers=('aes-xts-plain64',), key_bits=512, derivations=('argon2id',))"""

    device: str
    version: int | Unobserved
    ciphers: tuple[str, ...]
    key_bits: int | Unobserved
    derivations: tuple[str, ...]
    good: bool | Unobserved
    """LUKS2, AES-XTS with 512 bits (two keys of 256) or SM4-XTS, and a slow derivation of the key."""


@record
class Place:
    """Place(path='/srv/db', encrypted=True, mount='/srv')"""

    path: str
    encrypted: bool | Unobserved
    mount: str | None
    declared: str = ""
    """What encrypts it out of the host's sight, by the site's word and with its evidence."""


@record
class KeyFile:
    """KeyFile(volume='data', path='/boot/key', clear=True)"""

    volume: str
    path: str
    clear: bool | Unobserved
    """Whether it lies on a file system that is not encrypted."""


@record
class Encryption:
    """Encryption(sensitive=True, places=(Place(…),), luks=(Luks(…),), keys=(), swaps=(Place(…),))"""

    sensitive: bool | Unobserved
    """Whether data of class sensitive or core lie here, by declaration."""
    places: tuple[Place, ...]
    """Where these data lie, file systems mounted below included; `/` where only the host's class is declared."""
    luks: tuple[Luks, ...] | Unobserved
    keys: tuple[KeyFile, ...] | Unobserved
    """Key files of crypttab."""
    swaps: tuple[Place, ...] | Unobserved


def parse(look: Look) -> Encryption | Unobserved:
    """The fact; what a plain user may not see is a hole in its own place."""
    mounted = look.fact(mounts.parse)
    if isinstance(mounted, Unobserved):
        return mounted
    listed = devices(look)
    layers = _Layers(mounted, listed, _zfs(look))
    sensitive, paths = _declared(look)
    return Encryption(
        sensitive=sensitive,
        places=tuple(_by_declaration(look, _above(look, layers.place(place)), path) for path in paths for place in (path, *layers.below(path))),
        luks=listed if isinstance(listed, Unobserved) else tuple(_luks(look, one) for one in listed if one.fstype == "crypto_LUKS"),
        keys=_keys(look, layers),
        swaps=_swaps(look, layers),
    )


def _declared(look: Look) -> tuple[bool | Unobserved, tuple[str, ...]]:
    site = look.site
    paths = tuple(one.path for one in site.data_sets or () if one.data_class in SENSITIVE)
    if paths:
        return True, paths
    if site.data_class in SENSITIVE:
        return True, ("/",)
    if site.data_class is None and not site.data_sets:
        return Unobserved(Reason.NOT_LODGED, "data_class", Text("没有登记数据级别", "the class of data is not declared")), ()
    return False, ()


def _above(look: Look, place: Place) -> Place:
    """Directories that the file system encrypts, and tables that the database encrypts, lie on plain disks: which ones is not seen."""
    if place.encrypted is not False:
        return place
    doubt = unseen(look, FSCRYPT)
    if doubt is not None:
        return Place(place.path, doubt, place.mount)
    directories = look.text(FSCRYPT)
    if isinstance(directories, str) and place.mount in directories.split("\n"):
        why = Text("此文件系统启用了 fscrypt，看不出哪些目录已加密", "fscrypt is set up on this file system; which directories it encrypts is not seen")
        return Place(place.path, Unobserved(Reason.NO_ANSWER, FSCRYPT, why), place.mount)
    if under(place.path, TABLES) or (place.path != "/" and under(TABLES, place.path)):
        options = look.fact(mysql.server_options)
        keys = ("innodb-encrypt-tables", "default-table-encryption")
        if isinstance(options, Unobserved):
            return Place(place.path, options, place.mount)
        if any(options.get(key, "off").lower() not in ("off", "0") for key in keys):
            why = Text("数据库自己加密数据表，看不出哪些表已加密", "the database encrypts tables itself; which ones is not seen")
            return Place(place.path, Unobserved(Reason.NO_ANSWER, mysql.FILES[0], why), place.mount)
    return place


def _by_declaration(look: Look, place: Place, path: str) -> Place:
    """What the host sees as plain may be encrypted below or above it; that counts where the site says by what, and where its evidence lies."""
    said = next((one.encrypted_by for one in look.site.data_sets or () if one.path == path and one.encrypted_by), "")
    return place if place.encrypted is True or not said else Place(place.path, True, place.mount, said)


def devices(look: Look) -> tuple[Device, ...] | Unobserved:
    """All block devices, each once for every way to it."""
    text = look.text(LSBLK)
    if isinstance(text, Unobserved):
        return text
    unreadable = Unobserved(Reason.FORMAT, LSBLK, Text("无法理解的输出", "output that is not understood"))
    try:
        data = json.loads(text)
    except (ValueError, RecursionError):
        return unreadable
    top = data.get("blockdevices") if isinstance(data, dict) else None
    if not isinstance(top, list):
        return unreadable
    return tuple(_devices(top))


def _devices(top: list[Any]) -> Iterator[Device]:
    todo: list[tuple[Any, tuple[str, ...], str | None, int]] = [(one, (), None, 0) for one in top]
    while todo:
        one, below, transport, depth = todo.pop()
        if not isinstance(one, dict) or depth > MAX_DEPTH:
            continue
        name, kind, fstype, number = (one.get(key) for key in ("name", "type", "fstype", "maj:min"))
        if not isinstance(name, str) or not isinstance(kind, str):
            continue
        transport = one.get("tran") if isinstance(one.get("tran"), str) else transport
        layers = (*below, kind)
        yield Device(name, kind, fstype if isinstance(fstype, str) else None, number if isinstance(number, str) else "", layers, transport)
        children = one.get("children")
        if isinstance(children, list):
            todo += [(child, layers, transport, depth + 1) for child in children]


class _Layers:
    """From a path down to the disks."""

    def __init__(self, mounted: Mounts, listed: tuple[Device, ...] | Unobserved, zfs: dict[str, bool]) -> None:
        self.mounted = mounted
        self.listed = listed
        self.zfs = zfs

    def place(self, path: str) -> Place:
        mount = self.mounted.of(path)
        if mount is None:
            return Place(path, Unobserved(Reason.NO_ANSWER, path, Text("找不到所在的挂载", "the mount that holds it is not known")), None)
        return Place(path, self._mount(mount), mount.path)

    def below(self, path: str) -> tuple[str, ...]:
        """File systems of disks that are mounted below a path, so that data of it lie on them; what boots the host holds none."""
        top = self.mounted.of(path)
        if top is not None and top.type == "overlay":
            return ()  # what a container's engine lays over files of its own
        return tuple(
            dict.fromkeys(
                mount.path
                for mount in self.mounted.all
                if under(mount.path, path)
                and mount.path.rstrip("/") != path.rstrip("/")
                and (mount.device.startswith("/dev/") or mount.type == "zfs")
                and mount.type not in IMAGES
                and not any(under(mount.path, one) for one in ("/boot", "/efi"))
            )
        )

    def _mount(self, mount: Mount) -> bool | Unobserved:
        if mount.type in ENCRYPTED_TYPES or mount.type in MEMORY_TYPES:
            return True
        if mount.remote:
            return Unobserved(Reason.NO_VANTAGE, mount.device, Text("数据在另一台机器上", "the data lie on another machine"))
        if mount.type == "zfs":
            known = self.zfs.get(mount.device)
            return (
                known if known is not None else Unobserved(Reason.NO_ANSWER, ZFS, Text("没有此数据集的加密属性", "the encryption of the dataset is not known"))
            )
        if mount.type == "overlay":
            return Unobserved(
                Reason.NO_VANTAGE, mount.path, Text("容器的叠加文件系统，看不到下面的磁盘", "an overlay of a container: the disk below cannot be seen")
            )
        return self.device(mount.device, mount.number)

    def device(self, path: str, number: str = "") -> bool | Unobserved:
        """Whether every way to a device passes an encrypted layer."""
        if isinstance(self.listed, Unobserved):
            return self.listed
        name = path.rpartition("/")[2]
        found = [one for one in self.listed if (number and one.number == number) or one.name == name]
        if not found:
            return Unobserved(Reason.NO_ANSWER, LSBLK, Text(f"没有列出设备 {name}", f"the device {name} is not listed"))
        return all("crypt" in one.layers for one in found)


def _zfs(look: Look) -> dict[str, bool]:
    text = look.text(ZFS)
    found = {}
    for line in [] if isinstance(text, Unobserved) else text.split("\n"):
        words = line.split("\t")
        if len(words) == 3 and words[1] == "encryption" and words[2] != "-":
            found[words[0]] = words[2] != "off"
    return found


def _luks(look: Look, device: Device) -> Luks:
    text = look.text(DUMP + device.name)
    if isinstance(text, Unobserved):
        return Luks(device.name, text, (), text, (), text)
    version = re.search(r"(?m)^Version:[ \t]*([12])[ \t]*$", text)
    if version is None:
        doubt = Unobserved(Reason.FORMAT, DUMP + device.name, Text("无法理解的 LUKS 头", "a LUKS header that is not understood"))
        return Luks(device.name, doubt, (), doubt, (), doubt)
    number = int(version[1])
    if number == 2:
        # Keyslots have "Cipher:" of their own; the data's cipher stands in lower case in its segment.
        ciphers = tuple(dict.fromkeys(re.findall(r"(?m)^[ \t]+cipher:[ \t]*(\S{1,60})[ \t]*$", text)))
        bits = [int(one) for one in re.findall(r"(?m)^[ \t]+Cipher key:[ \t]*(\d{1,5}) bits", text)]
        derivations = tuple(dict.fromkeys(re.findall(r"(?m)^[ \t]+PBKDF:[ \t]*(\S{1,30})[ \t]*$", text)))
    else:
        name, mode = re.search(r"(?m)^Cipher name:\s*(\S{1,30})", text), re.search(r"(?m)^Cipher mode:\s*(\S{1,30})", text)
        ciphers = (f"{name[1]}-{mode[1]}",) if name and mode else ()
        bits = [int(one) for one in re.findall(r"(?m)^MK bits:\s*(\d{1,5})", text)]
        derivations = ("pbkdf2",)
    if not ciphers or not bits:
        doubt = Unobserved(Reason.FORMAT, DUMP + device.name, Text("LUKS 头中没有加密算法", "the header names no cipher"))
        return Luks(device.name, number, ciphers, doubt, derivations, doubt)
    strong = all((one.startswith("aes-xts") and min(bits) >= 512) or one.startswith("sm4-xts") for one in ciphers)
    # argon2i is the older sister of argon2id: as slow, and the default of cryptsetup 2.0 to 2.3.
    slow = bool(derivations) and all(one in ("argon2id", "argon2i", "pbkdf2") for one in derivations)
    return Luks(device.name, number, ciphers, min(bits), derivations, number == 2 and strong and slow)


def _keys(look: Look, layers: _Layers) -> tuple[KeyFile, ...] | Unobserved:
    text = look.text_or_none(CRYPTTAB)
    if isinstance(text, Unobserved):
        return text
    found = []
    for line in (text or "").split("\n")[:1000]:
        words = line.split("#", 1)[0].split()
        if len(words) >= 3 and words[2].startswith("/") and not words[2].startswith("/dev/"):
            path = words[2].split(":", 1)[0]
            encrypted = layers.place(path).encrypted
            found.append(KeyFile(words[0], path, encrypted if isinstance(encrypted, Unobserved) else not encrypted))
    return tuple(found)


def _swaps(look: Look, layers: _Layers) -> tuple[Place, ...] | Unobserved:
    if look.source(SWAPS).status is Status.ABSENT:
        return ()
    lines = look.lines(SWAPS)
    if isinstance(lines, Unobserved):
        return lines
    found = []
    for line in lines[1:1000]:
        words = line.split()
        if len(words) < 2:
            continue
        if words[1] == "file":
            found.append(layers.place(words[0]))
        elif words[0].startswith("/dev/zram"):
            found.append(Place(words[0], True, None))
        else:
            found.append(Place(words[0], layers.device(words[0]), None))
    return tuple(found)
