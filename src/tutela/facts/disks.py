"""Health of disks and arrays.

Sources: /proc/mdstat (md(4)), `smartctl -H` (smartctl(8)), `zpool status -x`, `dmsetup status` for the mirrors of LVM, which md does not list (dm-raid in the kernel's documentation); a hardware RAID controller hides its disks and needs the tool of its vendor.
"""

from __future__ import annotations

import json
import re

from tutela.evidence import Reason, Status, Unobserved
from tutela.facts.encryption import LSBLK, devices
from tutela.facts.listing import below
from tutela.facts.look import Look
from tutela.language import Text
from tutela.record import record

MDSTAT = "/proc/mdstat"
SMART = "smartctl -n standby -H -j /dev/"
ZPOOL = "zpool status -x"
LVM = "dmsetup status --target raid"
HOSTS = "/sys/class/scsi_host"
NEEDS = (MDSTAT, LSBLK, ZPOOL, LVM)
CONTROLLERS = frozenset({"megaraid_sas", "megaraid_mbox", "aacraid", "smartpqi", "hpsa", "cciss", "arcmsr", "3w-sas", "3w-9xxx", "mpi3mr"})
"""Kernel drivers of RAID controllers."""
NO_DISKS = re.compile(r"zram|loop|ram|sr|fd|vd|xvd|nbd|rbd|md|zd|drbd|bcache")
"""What lsblk calls a disk and what no disk stands behind alone: ZFS volumes (zd), copies over the network, caches."""


@record
class Disk:
    """Disk(name='sda', healthy=True)"""

    name: str
    healthy: bool | Unobserved


@record
class Array:
    """Array(name='md0', level='raid1', state='[2/1] [U_]', healthy=False)"""

    name: str
    level: str
    state: str
    healthy: bool | Unobserved


@record
class Disks:
    """Disks(disks=(Disk(…),), arrays=(Array(…),), controllers=())"""

    disks: tuple[Disk, ...] | Unobserved
    arrays: tuple[Array, ...] | Unobserved
    controllers: tuple[str | Unobserved, ...]
    """Hardware RAID controllers by their drivers."""


def parse(look: Look) -> Disks | Unobserved:
    """The fact."""
    if look.source(LSBLK).status is Status.MISSING and look.source(MDSTAT).status is Status.MISSING:
        missing = look.text(LSBLK)
        assert isinstance(missing, Unobserved)
        return missing
    disks, arrays = _disks(look), _arrays(look)
    if disks == () and arrays == ():
        disks = Unobserved(Reason.NO_VANTAGE, LSBLK, Text("没有可以询问的磁盘", "no disk that could be asked"))
    return Disks(disks, arrays, _controllers(look))


def _disks(look: Look) -> tuple[Disk, ...] | Unobserved:
    listed = devices(look)
    if isinstance(listed, Unobserved):
        return listed
    names = dict.fromkeys(one.name for one in listed if one.type == "disk" and not NO_DISKS.match(one.name) and one.transport != "usb")
    return tuple(Disk(name, _smart(look, name)) for name in names)


def _smart(look: Look, name: str) -> bool | Unobserved:
    source = look.source(SMART + name)
    text = look.text(SMART + name)
    if isinstance(text, Unobserved):
        return text
    try:
        said = json.loads(text)
    except (ValueError, RecursionError):
        said = None
    status = said.get("smart_status") if isinstance(said, dict) else None
    passed = status.get("passed") if isinstance(status, dict) else None
    if isinstance(passed, bool):
        return passed
    return Unobserved(Reason.NO_ANSWER, source.name, Text("硬盘没有给出健康状态", "the disk says nothing about its health"))


_ARRAY = re.compile(r"(md\S{1,40}) : (active|inactive|broken)(?: \((?:auto-)?read-only\))?(?: (linear|raid\d{1,2}|multipath))?(.{0,4000})")


def _arrays(look: Look) -> tuple[Array, ...] | Unobserved:
    text = look.text_or_none(MDSTAT)
    if isinstance(text, Unobserved):
        return text
    arrays: list[Array] = []
    lines = (text or "").split("\n")[:5000]
    for number, line in enumerate(lines):
        found = _ARRAY.match(line)
        if found is None:
            continue
        name, state, level, members = found.groups()
        below_it = lines[number + 1] if number + 1 < len(lines) else ""
        if state == "inactive" and re.search(r"super external:[a-z]", below_it):
            continue  # what the firmware (IMSM, DDF) calls a container: the arrays in it are listed for themselves
        counted = re.search(r"\[\d{1,4}/\d{1,4}\] \[[U_]{1,4096}\]", below_it)
        word = counted[0] if counted else state
        healthy = state == "active" and "(F)" not in members and (counted is None or "_" not in counted[0])
        arrays.append(Array(name, level or "?", word, healthy))
    pools = look.text_or_none(ZPOOL)
    if isinstance(pools, Unobserved):
        if _of_zfs(look):
            arrays.append(Array("zpool", "zfs", "?", pools))
    elif pools is not None:
        good = pools.strip() in ("all pools are healthy", "no pools available")
        if not good or "healthy" in pools:
            said = " ".join(re.findall(r"(?m)^ *((?:pool|state): \S{1,60})", pools)[:2]) or pools.strip()[:60]
            arrays.append(Array("zpool", "zfs", said, good))
    return (*arrays, *_volumes(look))


def _volumes(look: Look) -> tuple[Array, ...]:
    """Logical volumes over several disks; of each disk a letter: A alive, a alive and not yet in step, D dead."""
    listed = devices(look)
    if isinstance(listed, Unobserved) or not any("_rimage_" in one.name for one in listed):
        return ()
    lines = look.lines(LVM)
    if isinstance(lines, Unobserved):
        return (Array("LVM", "raid", "?", lines),)
    found = [re.match(r"(\S{1,200}): [0-9]{1,20} [0-9]{1,20} raid (\S{1,30}) [0-9]{1,4} ([AaD-]{1,300}) ", line) for line in lines[:1000]]
    if None in found or not found:
        return (Array("LVM", "raid", "?", Unobserved(Reason.FORMAT, LVM, Text("无法理解的输出", "output that is not understood"))),)
    return tuple(Array(one[1], one[2], one[3], set(one[3]) <= {*"Aa"}) for one in found if one is not None)


def _of_zfs(look: Look) -> bool:
    """Whether a disk holds a part of a ZFS pool."""
    listed = devices(look)
    return not isinstance(listed, Unobserved) and any(one.fstype == "zfs_member" for one in listed)


def _controllers(look: Look) -> tuple[str | Unobserved, ...]:
    found: list[str | Unobserved] = []
    names = below(look, HOSTS, "proc_name")
    if isinstance(names, Unobserved):
        return (names,)
    for name in names:
        text = look.text(name)
        if isinstance(text, Unobserved) or text.strip() in CONTROLLERS:
            found.append(text if isinstance(text, Unobserved) else text.strip())
    return tuple(dict.fromkeys(found))
