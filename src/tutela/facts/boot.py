"""Who can bend the start of the machine: GRUB's password, Secure Boot, the rescue shell.

Sources: GRUB manual, "Security"; grub2-setpassword(8) (user.cfg); the SecureBoot variable of UEFI; systemd-sulogin-shell(8).
Of GRUB's configuration only the presence of a superuser and a password is collected (NC1).
"""

from __future__ import annotations

import re

from tutela.evidence import Reason, Status, Unobserved
from tutela.facts import listing, units
from tutela.facts.look import Look
from tutela.facts.unseen import unseen
from tutela.language import Text
from tutela.record import record

GRUB = ("/boot/grub/grub.cfg", "/boot/grub2/grub.cfg")
EFI = "/boot/efi/EFI/"
"""On UEFI RHEL 8 and openEuler keep GRUB's configuration in a directory of their own below."""
SECURE_BOOT = "od -An -tu1 /sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c"
RESCUE = ("/etc/systemd/system/rescue.service.d/", "/etc/systemd/system/emergency.service.d/")
NEEDS = (*GRUB, "/boot/grub2/user.cfg", SECURE_BOOT, "/etc/shadow", "/proc/cmdline", *units.NEEDS, *RESCUE)
ROOM_CLAUSES = ("HL-1.3", "HL-1.3a", "HL-1.3b")


@record
class Boot:
    """Boot(grub_password=False, secure_boot='on', rescue_open=(), room=None)"""

    grub_password: bool | Unobserved
    secure_boot: str | Unobserved
    """on | off | no-efi"""
    rescue_open: tuple[str, ...] | Unobserved
    """Ways to a root shell at the console without a password."""
    room: str | None
    """Reference of evidence, still valid, that only authorised people reach the machine."""


def parse(look: Look) -> Boot | Unobserved:
    """The fact."""
    if all(look.source(name).status is Status.MISSING for name in (*GRUB, SECURE_BOOT)):
        missing = look.text(GRUB[0])
        assert isinstance(missing, Unobserved)
        return missing
    return Boot(_grub(look), _secure_boot(look), _rescue(look), _room(look))


def _grub(look: Look) -> bool | Unobserved:
    here = [name for name in GRUB if look.source(name).status is not Status.ABSENT]
    # Where one of them is, the one below EFI does no more than lead to it.
    names = here or [name for name in look.names(EFI) if name.endswith("/grub.cfg") and look.source(name).status is not Status.ABSENT]
    for name in names:
        text = look.text(name)
        if isinstance(text, Unobserved):
            return text
        if "set superusers=" in text and "password ***" in text:
            return True
        if "set superusers=" in text and "password from user.cfg" in text:
            user = look.text_or_none(name.removesuffix("grub.cfg") + "user.cfg")
            if isinstance(user, Unobserved):
                return user
            if user is not None and "GRUB2_PASSWORD=" in user:
                return True
    if not names:
        return Unobserved(Reason.FORMAT, GRUB[0], Text("没有 GRUB 配置，引导程序未知", "no GRUB configuration: the boot loader is not known"))
    return False


def _secure_boot(look: Look) -> str | Unobserved:
    text = look.text_or_none(SECURE_BOOT)
    if text is None:
        return "no-efi"
    if isinstance(text, Unobserved):
        return text
    numbers = re.findall(r"\d{1,3}", text[:200])
    if len(numbers) != 5:
        return Unobserved(Reason.FORMAT, SECURE_BOOT, Text("不是预期的五个字节", "not the five bytes that are expected"))
    return "on" if numbers[4] == "1" else "off"


def _rescue(look: Look) -> tuple[str, ...] | Unobserved:
    found = []
    doubt = unseen(look, "/proc/cmdline")
    command_line = look.text("/proc/cmdline")
    if isinstance(command_line, str):
        found += [word for word in command_line.split() if re.fullmatch(r"(systemd\.debug[-_]shell(=1|=yes)?|init=/bin/\w+|rd\.break)", word)]
    up = look.fact(units.up)
    if isinstance(up, Unobserved):
        doubt = doubt or up
    else:
        found += up.running("debug-shell")
    shadow = look.text("/etc/shadow")
    if isinstance(shadow, Unobserved):
        return shadow
    if re.search(r"(?m)^root:empty:", shadow):
        found.append("/etc/shadow: root")
    for directory in RESCUE:
        names = listing.matching(look, f"{directory}*.conf")
        if isinstance(names, Unobserved):
            doubt = doubt or names
            continue
        for name in names:
            text = look.text(name)
            doubt = doubt or unseen(look, name)
            if isinstance(text, str) and re.search(r"SYSTEMD_SULOGIN_FORCE=(1|yes|true)", text):
                found.append(name)
    return doubt if doubt is not None and not found else tuple(found)


def _room(look: Look) -> str | None:
    today = look.today
    for one in look.site.attestations:
        if one.clause in ROOM_CLAUSES and one.answer == "yes" and one.on <= today <= one.expires and "*" in one.subjects:
            return one.reference
    return None
