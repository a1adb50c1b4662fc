"""What the probe says of disks and of what encrypts them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.collect.probe import SHELLS, Stage
from tutela.facts.encryption import BTRFS, DUMP, KEYS, LINKS, MAPPED

DISKS = """#!/bin/sh
echo '{"blockdevices": [
 {"name":"null", "type":"part", "fstype":"crypto_LUKS", "maj:min":"1:3", "tran":null},
 {"name":"vg0-data", "type":"lvm", "fstype":"crypto_LUKS", "maj:min":"253:0", "tran":null}]}'
"""


@pytest.mark.root
@pytest.mark.parametrize("shell", SHELLS.values(), ids=SHELLS)
def test_logical_volumes_disks_of_btrfs_names_of_keys_and_links_are_seen(tmp_path: Path, shell: list[str]) -> None:
    stage = Stage(tmp_path).plant("/etc/lsblk", DISKS, "755").plant("/etc/cryptsetup", '#!/bin/sh\necho "cipher: $*"\n', "755")
    stage.do("mount --bind /etc/lsblk /usr/bin/lsblk", "mount --bind /etc/cryptsetup /usr/sbin/cryptsetup", "mount -t tmpfs tmpfs /sys/fs/btrfs")
    stage.plant("/sys/fs/btrfs/aaf4/devices/dm-0/dev", "253:0\n").plant("/sys/fs/btrfs/aaf4/devices/sdb/dev", "8:16\n").plant(f"{KEYS}/data.key", "canary")

    stage.do("ln -s db /srv/records", "ln -s /srv/records /var/lib/mysql")

    found = stage.frames(shell, "--quick")

    assert found[BTRFS].content == b"aaf4 253:0\naaf4 8:16"
    assert found[KEYS + "/"].content == b"data.key"
    assert DUMP + "null" in found
    assert found[MAPPED + "vg0-data"].content == b"cipher: luksDump --disable-locks /dev/mapper/vg0-data"
    assert {b"/srv/records\t/srv/db", b"/var/lib/mysql\t/srv/db"} <= {*found[LINKS].content.split(b"\n")}
    assert not any(b"canary" in one.content for one in found.values())
