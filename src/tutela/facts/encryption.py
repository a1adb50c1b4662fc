"""Encryption at rest: which mounts lie on an encrypted layer, how good it is, and whether swap is.

Sources: lsblk(8), /proc/self/mountinfo, /proc/swaps, crypttab(5), cryptsetup(8) luksDump (ciphers and derivation only, NC2), zfs-get(8), /sys/fs/btrfs.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from tutela.evidence import Reason, Status, Unobserved
from tutela.facts import mounts, mysql
from tutela.facts.listing import entries
from tutela.facts.look import Look
from tutela.facts.mounts import Mount, Mounts, under
from tutela.facts.unseen import unseen
from tutela.language import Text
from tutela.record import record

LSBLK = "lsblk -J -o NAME,TYPE,FSTYPE,MAJ:MIN,TRAN"
DUMP = "cryptsetup luksDump --disable-locks /dev/"
MAPPED = DUMP + "mapper/"
"""A logical volume is not found in /dev by the name that lsblk gives it."""
ZFS = "zfs get -H -o name,property,value encryption,mountpoint"
SWAPS = "/proc/swaps"
CRYPTTAB = "/etc/crypttab"
KEYS = "/etc/cryptsetup-keys.d"
"""Where systemd looks for the key file of a volume that names none, by the name of the volume."""
FSCRYPT = "ls -d */.fscrypt (mounts)"
LINKS = "readlink -f (links above data)"
"""Links in the usual places of data, with where they lead."""
BTRFS = "/sys/fs/btrfs/*/devices/*/dev"
"""Of each btrfs the devices it lies on: a row has the UUID and major:minor."""
NEEDS = (LSBLK, SWAPS, CRYPTTAB, KEYS + "/", ZFS, FSCRYPT, LINKS, BTRFS, *mounts.NEEDS, *mysql.FILES)
TABLES = "/var/lib/mysql"
"""Where MySQL and MariaDB keep their tables."""
SENSITIVE = ("sensitive", "core")
MAX_DEPTH = 30
MAX_LINES = 200
"""Of crypttab: each may ask which of many mounts holds a path."""
ENCRYPTED_TYPES = frozenset({"ecryptfs", "fuse.gocryptfs", "fuse.encfs", "fuse.cryfs"})
IMAGES = frozenset({"squashfs", "erofs", "iso9660"})
"""Packed software; nobody writes data there."""
HOLLOW = re.compile(r"loop|zd[0-9]|drbd")
"""Devices above a file, a ZFS volume or a copy over the network: lsblk shows nothing below them."""
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
    names: tuple[str, ...]
    """Their names: ('vda', 'vda3', 'vda3_crypt', 'vg-root')."""
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
    layers = _Layers(mounted, listed, _zfs(look), _btrfs(look))
    sensitive, paths = _declared(look)
    return Encryption(
        sensitive=sensitive,
        places=tuple(place for path in paths for place in _places(look, layers, path)),
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


def _places(look: Look, layers: _Layers, path: str) -> Iterator[Place]:
    """Where declared data lie: at the end of links, and on what is mounted below."""
    real = _real(look, path)
    if isinstance(real, Unobserved):
        yield _by_declaration(look, Place(path, real, None), path)
        return
    for one in (real, *layers.below(real)):
        yield _by_declaration(look, _above(look, layers.place(one)), path)


def _real(look: Look, path: str) -> str | Unobserved:
    if path == "/":
        return path
    lines = look.lines(LINKS)
    if isinstance(lines, Unobserved):
        return lines
    links = dict(line.split("\t", 1) for line in lines if "\t" in line)
    for _ in range(10):
        link = next((one for one in links if under(path, one)), None)
        if link is None:
            return path
        if not links[link].startswith("/"):
            return Unobserved(Reason.NO_ANSWER, link, Text("链接指向何处看不到", "where the link leads is not to be seen"))
        path = links[link] + path[len(link) :]
    return Unobserved(Reason.NO_ANSWER, path, Text("链接成环", "the links lead in a circle"))


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
    todo: list[tuple[Any, tuple[str, ...], tuple[str, ...], str | None, int]] = [(one, (), (), None, 0) for one in top]
    while todo:
        one, below, under_it, transport, depth = todo.pop()
        if not isinstance(one, dict) or depth > MAX_DEPTH:
            continue
        name, kind, fstype, number = (one.get(key) for key in ("name", "type", "fstype", "maj:min"))
        if not isinstance(name, str) or not isinstance(kind, str):
            continue
        transport = one.get("tran") if isinstance(one.get("tran"), str) else transport
        layers, names = (*below, kind), (*under_it, name)
        yield Device(name, kind, fstype if isinstance(fstype, str) else None, number if isinstance(number, str) else "", layers, names, transport)
        children = one.get("children")
        if isinstance(children, list):
            todo += [(child, layers, names, transport, depth + 1) for child in children]


class _Layers:
    """From a path down to the disks."""

    def __init__(self, mounted: Mounts, listed: tuple[Device, ...] | Unobserved, zfs: dict[str, bool], btrfs: tuple[frozenset[str], ...] | Unobserved) -> None:
        self.mounted = mounted
        self.listed = listed
        self.zfs = zfs
        self.btrfs = btrfs

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
            if known is None:
                return Unobserved(Reason.NO_ANSWER, ZFS, Text("没有此数据集的加密属性", "the encryption of the dataset is not known"))
            return known or self._pools()
        if mount.type == "overlay":
            return Unobserved(
                Reason.NO_VANTAGE, mount.path, Text("容器的叠加文件系统，看不到下面的磁盘", "an overlay of a container: the disk below cannot be seen")
            )
        encrypted = self.device(mount.device, mount.number)
        return self._whole(mount) if mount.type == "btrfs" and encrypted is True else encrypted

    def _whole(self, mount: Mount) -> bool | Unobserved:
        """A btrfs whose one device that the mount shows is encrypted: whether the others are."""
        if isinstance(self.btrfs, Unobserved):
            return self.btrfs
        numbers = {one.number for one in self.named(mount.device)}
        together = next((group for group in self.btrfs if numbers & group), None)
        if together is None:
            return Unobserved(Reason.NO_ANSWER, BTRFS, Text("看不到此 btrfs 的各个磁盘", "the disks of this btrfs are not to be seen"))
        ways = [one for one in self.listed if one.number in together] if isinstance(self.listed, tuple) else []
        if any("crypt" not in one.layers for one in ways):
            return False
        if together - {one.number for one in ways}:
            return Unobserved(Reason.NO_ANSWER, LSBLK, Text("btrfs 的一块磁盘没有列出", "a disk of the btrfs is not listed"))
        return True

    def _pools(self) -> bool | Unobserved:
        """A dataset that ZFS itself leaves plain: whether all its disks lie above an encrypted layer. Which pool a disk belongs to is not listed."""
        if isinstance(self.listed, Unobserved):
            return self.listed
        states = {"crypt" in one.layers for one in self.listed if one.fstype == "zfs_member"}
        if len(states) == 2:
            return Unobserved(Reason.NO_ANSWER, LSBLK, Text("有的 ZFS 磁盘已加密，有的没有", "some disks of ZFS are encrypted and some are not"))
        return states == {True}

    def named(self, path: str, number: str = "") -> list[Device]:
        """What lsblk lists of a device, once for every way to it. The kernel calls what device-mapper makes dm-N, by its minor number."""
        listed = () if isinstance(self.listed, Unobserved) else self.listed
        name = path.rpartition("/")[2]
        if re.fullmatch(r"dm-[0-9]{1,7}", name):
            major = next((one.number.partition(":")[0] for one in listed if one.type in ("crypt", "lvm", "mpath", "dm")), "")
            number = number if major in ("", number.partition(":")[0]) else f"{major}:{name[3:]}"
        return [one for one in listed if (number and one.number == number) or (name and one.name == name)]

    def device(self, path: str, number: str = "") -> bool | Unobserved:
        """Whether every way to a device passes an encrypted layer."""
        if isinstance(self.listed, Unobserved):
            return self.listed
        found = self.named(path, number)
        if not found:
            name = path.rpartition("/")[2] or number
            return Unobserved(Reason.NO_ANSWER, LSBLK, Text(f"没有列出设备 {name}", f"the device {name} is not listed"))
        plain = [one for one in found if "crypt" not in one.layers]
        if plain and all(HOLLOW.match(one.names[0]) for one in plain):
            why = Text(f"看不到 {plain[0].names[0]} 的数据存放在哪块磁盘上", f"on which disk the data of {plain[0].names[0]} lie is not seen")
            return Unobserved(Reason.NO_ANSWER, LSBLK, why)
        return not plain


def _zfs(look: Look) -> dict[str, bool]:
    text = look.text(ZFS)
    found = {}
    for line in [] if isinstance(text, Unobserved) else text.split("\n"):
        words = line.split("\t")
        if len(words) == 3 and words[1] == "encryption" and words[2] != "-":
            found[words[0]] = words[2] != "off"
    return found


def _btrfs(look: Look) -> tuple[frozenset[str], ...] | Unobserved:
    """Of each btrfs the numbers of its devices."""
    lines = look.lines(BTRFS)
    if isinstance(lines, Unobserved):
        return lines
    found: dict[str, list[str]] = {}
    for line in lines:
        uuid, _, number = line.partition(" ")
        found.setdefault(uuid, []).append(number)
    return tuple(frozenset(one) for one in found.values())


def _luks(look: Look, device: Device) -> Luks:
    source = DUMP + device.name
    if look.source(source).status is Status.MISSING and look.source(MAPPED + device.name).status is not Status.MISSING:
        source = MAPPED + device.name
    text = look.text(source)
    if isinstance(text, Unobserved):
        return Luks(device.name, text, (), text, (), text)
    version = re.search(r"(?m)^Version:[ \t]*([12])[ \t]*$", text)
    if version is None:
        doubt = Unobserved(Reason.FORMAT, source, Text("无法理解的 LUKS 头", "a LUKS header that is not understood"))
        return Luks(device.name, doubt, (), doubt, (), doubt)
    number = int(version[1])
    if number == 2:
        # Keyslots have "Cipher:" and "Cipher key:" of their own; the data's cipher stands in lower case in its segment, its key is what a keyslot holds.
        ciphers = tuple(dict.fromkeys(re.findall(r"(?m)^[ \t]+cipher:[ \t]*(\S{1,60})[ \t]*$", text)))
        bits = [int(one) for one in re.findall(r"(?m)^[ \t]+Key:[ \t]*(\d{1,5}) bits", text)]
        derivations = tuple(dict.fromkeys(re.findall(r"(?m)^[ \t]+PBKDF:[ \t]*(\S{1,30})[ \t]*$", text)))
    else:
        name, mode = re.search(r"(?m)^Cipher name:\s*(\S{1,30})", text), re.search(r"(?m)^Cipher mode:\s*(\S{1,30})", text)
        ciphers = (f"{name[1]}-{mode[1]}",) if name and mode else ()
        bits = [int(one) for one in re.findall(r"(?m)^MK bits:\s*(\d{1,5})", text)]
        derivations = ("pbkdf2",)
    if not ciphers or not bits:
        doubt = Unobserved(Reason.FORMAT, source, Text("LUKS 头中没有加密算法", "the header names no cipher"))
        return Luks(device.name, number, ciphers, doubt, derivations, doubt)
    strong = all((one.startswith("aes-xts") and min(bits) >= 512) or one.startswith("sm4-xts") for one in ciphers)
    # argon2i is the older sister of argon2id: as slow, and the default of cryptsetup 2.0 to 2.3.
    slow = bool(derivations) and all(one in ("argon2id", "argon2i", "pbkdf2") for one in derivations)
    return Luks(device.name, number, ciphers, min(bits), derivations, number == 2 and strong and slow)


def _keys(look: Look, layers: _Layers) -> tuple[KeyFile, ...] | Unobserved:
    text = look.text_or_none(CRYPTTAB)
    if isinstance(text, Unobserved):
        return text
    lines = (text or "").split("\n")
    if len(lines) > MAX_LINES:
        return Unobserved(Reason.FORMAT, CRYPTTAB, Text("行数过多", "more lines than are looked at"))
    found = []
    doubt: Unobserved | None = None
    for line in lines:
        words = line.split("#", 1)[0].split()
        if len(words) < 2:
            continue
        volume, path, options = words[0], words[2] if len(words) > 2 else "none", words[3] if len(words) > 3 else ""
        if path in ("none", "-"):
            names = entries(look, KEYS)
            if isinstance(names, Unobserved):
                doubt = doubt or names
            if isinstance(names, Unobserved) or f"{volume}.key" not in names:
                continue
            path = f"{KEYS}/{volume}.key"
        if path.startswith("/") and not path.startswith("/dev/"):
            found.append(KeyFile(volume, path.split(":", 1)[0], _in_clear(layers, volume, path, options)))
    return doubt if doubt is not None and not any(one.clear is True for one in found) else tuple(found)


def _in_clear(layers: _Layers, volume: str, path: str, options: str) -> bool | Unobserved:
    if ":" in path:
        why = Text("密钥文件在另一个设备上，看不到那里是否加密", "the key file lies on a device of its own; whether that is encrypted is not seen")
        return Unobserved(Reason.NO_ANSWER, CRYPTTAB, why)
    encrypted = layers.place(path).encrypted
    if isinstance(encrypted, Unobserved):
        return encrypted
    if encrypted:
        mount = layers.mounted.of(path)
        itself = mount is not None and any(volume in one.names for one in layers.named(mount.device, mount.number))
        early = re.search(r"(?:^|,)(?:initramfs|x-initrd\.attach)(?:,|$)", options)
        if (itself or early) and layers.place("/boot").encrypted is not True:
            why = Text(
                "打开此卷早于密钥文件所在的卷，密钥只能来自明文 /boot 里的 initramfs",
                "the volume is opened before the one that holds its key, which can only come from the initramfs on a plain /boot",
            )
            return Unobserved(Reason.NO_ANSWER, path, why)
        return False
    if re.search(r"(?:^|,)(?:keyscript|tpm2-device|pkcs11-uri|fido2-device)=", options):
        why = Text("文件要经过脚本或安全芯片才成为密钥", "a script or a token makes the key out of what the file holds")
        return Unobserved(Reason.NO_ANSWER, CRYPTTAB, why)
    return True


def _swaps(look: Look, layers: _Layers) -> tuple[Place, ...] | Unobserved:
    if look.source(SWAPS).status is Status.ABSENT:
        return ()
    lines = look.lines(SWAPS)
    if isinstance(lines, Unobserved):
        return lines
    found = []
    for line in lines[1:40]:
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
