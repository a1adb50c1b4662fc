"""Whether this is a physical machine, a virtual one or a container.

Source: systemd-detect-virt(1); without it, the signs that container managers leave, and the vendor names of the firmware (SMBIOS).
"""

from __future__ import annotations

import re

from tutela.evidence import Reason, Status, Unobserved
from tutela.facts.look import Look
from tutela.language import Text
from tutela.record import record

DETECT = "systemd-detect-virt"
FIRMWARE = ("/sys/class/dmi/id/sys_vendor", "/sys/class/dmi/id/product_name")
SIGNS = ("/run/systemd/container", "/.dockerenv", "/run/.containerenv")
"""Files that container managers leave inside."""
NEEDS = (DETECT, *FIRMWARE, *SIGNS)
CONTAINERS = frozenset({"openvz", "lxc", "lxc-libvirt", "systemd-nspawn", "docker", "podman", "rkt", "wsl", "proot", "pouch", "container-other"})
VIRTUAL_FIRMWARE = re.compile(
    r"QEMU|KVM|VMware|VirtualBox|innotek|Xen|Bochs|Virtual Machine|Alibaba Cloud|Tencent Cloud|OpenStack|Amazon EC2|Google Compute|HVM domU"
)


@record
class Machine:
    """Machine(kind='virtual', by='kvm')"""

    kind: str
    """physical | virtual | container"""
    by: str
    """What said so: kvm, vmware, docker, none…"""


def parse(look: Look) -> Machine | Unobserved:
    """The fact; unknown where neither source says anything."""
    said = look.text(DETECT)
    if isinstance(said, str) and re.fullmatch(r"[a-z0-9-]{1,30}", said.strip()):
        word = said.strip()
        if word == "none":
            return Machine("physical", word)
        return Machine("container" if word in CONTAINERS else "virtual", word)
    for name in SIGNS:
        if look.source(name).status is Status.OK:
            return Machine("container", name)
    names = [text.strip() for name in FIRMWARE if isinstance(text := look.text(name), str)]
    if any(names):
        found = VIRTUAL_FIRMWARE.search(" ".join(names))
        return Machine("virtual", found[0]) if found else Machine("physical", names[0][:60])
    if look.source(DETECT).status is Status.MISSING:
        missing = look.text(DETECT)
        assert isinstance(missing, Unobserved)
        return missing
    return Unobserved(Reason.NO_ANSWER, DETECT, Text("无法判断是否虚拟机", "it is not known whether this is a virtual machine"))
