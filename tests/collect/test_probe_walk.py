"""The walk over the file systems: no name hides a file, and what the time limit cut is never taken for all there was."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from tests.collect.probe import AWKS, PROBE, SHELLS, Stage, frames, instead_of_lanes
from tutela.evidence import Evidence, Status
from tutela.facts.file_walk import ABOVE, CAPABILITIES, PACKAGED


def walked(tmp_path: Path, stage: Stage, shell: list[str], change: tuple[str, str] = ("", "")) -> dict[str, Evidence]:
    """The walk alone, over /home/walked and /srv/walked of a staged host."""
    text = PROBE.read_text("utf-8")
    for old, new in (("set -- $starts", "set -- /home/walked /srv/walked"), change):
        assert old in text
        text = text.replace(old, new)
    script = tmp_path / "probe.sh"
    script.write_text(instead_of_lanes(text, "collect walk"), "utf-8")
    lines = "\n".join([*stage.lines, "mkdir -p /home/walked /srv/walked", 'exec "$@"'])
    argv = ["unshare", "-m", "sh", "-c", lines, "sh", *shell, str(script)]
    done = subprocess.run(argv, capture_output=True, timeout=60, check=False, stdin=subprocess.DEVNULL)
    assert (done.returncode, done.stderr) == (0, b"")
    return frames(done.stdout)


def rows(found: dict[str, Evidence], name: str) -> set[bytes]:
    return {line for line in found[name].content.split(b"\n") if line and not line.startswith((b"start", b"skipped"))}


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    folder = tmp_path / "stage"
    folder.mkdir()
    return Stage(folder)


PLANTED = r"""
cd /srv/walked
cp /bin/true gains; chmod 4755 gains
cp /bin/true "$(printf 'ta\tb \377')"; chmod 2755 ta*
mkdir open "$(printf 'new\nline')" sticky; chmod 777 open; chmod 1777 sticky
cp /bin/true "$(printf 'new\nline')/gains"; chmod 4755 new*/gains
cp /bin/true able; setcap cap_net_raw+ep able
cp /bin/true idle
mkdir of-nobody; touch of-nobody/inside; chown -R 4999:4999 of-nobody
cd /home/walked
echo DB_PASSWORD=canary >"$(printf 'ta\tb.env')"
echo DB_PASSWORD=canary >"$(printf '\377.env')"
mkdir -p .aws .docker node_modules/x
echo aws_secret_access_key = canary >.aws/deep
echo '{"auth": "Y2FuYXJ5"}' >.docker/config.json
cp .aws/deep node_modules/x/id_rsa; cp .aws/deep id_rsa.pub; cp .aws/deep holiday.txt
cp .aws/deep id_mine; cp .aws/deep id_own; chmod 600 id_own
mkdir closed; cp .aws/deep closed/credentials; chmod 700 closed
echo DATABASE_URL=postgres://app:canary@db/app >url.env; echo 'DATABASE_URL=postgres://app:${WORD}@db/app' >filled-in.env
echo DB_PASS=canary >short.env; printf 'MAIL_PASSWORD=null\nSMS_TOKEN=""\nBYPASS=1\nDB_PASSWORD_FILE=/run/secrets/db\nTOKEN_TTL=60\n' >empty.env; cp short.env .env.example
mkdir testdata; cp .aws/deep testdata/credentials
"""
STORES = (
    "/srv/walked/docker/overlay2/0f" + 31 * "a1" + "/diff",
    "/srv/walked/docker/overlay2/k2jx7w0yq1m5n8b3v6c9z4a7s/diff",
    "/srv/walked/k3s/agent/containerd/io.containerd.snapshotter.v1.overlayfs/snapshots/7/fs",
    "/home/walked/.local/share/containers/storage/overlay/" + 32 * "b7" + "/diff",
    "/home/walked/.local/share/containers/storage/volumes/data/_data",
    "/srv/walked/rpool/data/subvol-101-disk-0/usr/bin",
)
"""Where engines keep images and volumes that are told to, or that have no root; where Proxmox VE keeps containers."""


@pytest.mark.root
@pytest.mark.parametrize("shell", SHELLS.values(), ids=SHELLS)
@pytest.mark.parametrize("awk", AWKS)
def test_the_walk_finds_what_was_planted_and_nothing_else(tmp_path: Path, stage: Stage, shell: list[str], awk: str) -> None:
    found = walked(tmp_path, stage.do("umask 022", "mkdir -p /srv/walked /home/walked", PLANTED).awk(awk), shell)

    assert rows(found, "tutela walk") == {
        b"S\t4755\t0\t0\tf\t/srv/walked/gains",
        b"S\t2755\t0\t0\tf\t/srv/walked/ta\tb \xff",
        b"W\t777\t0\t0\td\t/srv/walked/open",
        b"U\t755\t4999\t4999\td\t/srv/walked/of-nobody",
        b"N\t755\t0\t0\td\t/srv/walked",
    }
    assert rows(found, CAPABILITIES) == {b"/srv/walked/able cap_net_raw=ep"}
    assert rows(found, "tutela secret-files") == {
        b"password\t644\t0\t0\t/home/walked/ta\tb.env",
        b"password\t644\t0\t0\t/home/walked/\xff.env",
        b"cloud-credentials\t644\t0\t0\t/home/walked/.aws/deep",
        b"cloud-credentials\t644\t0\t0\t/home/walked/id_mine",
        b"token\t644\t0\t0\t/home/walked/.docker/config.json",
        b"cloud-credentials\t644\t0\t0\t/home/walked/closed/credentials",
        b"password\t644\t0\t0\t/home/walked/url.env",
        b"password\t644\t0\t0\t/home/walked/short.env",
    }
    assert rows(found, ABOVE) == {
        b"755 0 0 /home",
        b"755 0 0 /home/walked",
        b"755 0 0 /home/walked/.aws",
        b"755 0 0 /home/walked/.docker",
        b"700 0 0 /home/walked/closed",
    }
    assert {one.status for one in found.values()} == {Status.OK}


@pytest.mark.root
def test_what_engines_keep_of_containers_is_left_out_wherever_it_lies(tmp_path: Path, stage: Stage) -> None:
    plant = [f"mkdir -p {place}; cp /bin/true {place}/su; chmod 4755 {place}/su" for place in (*STORES, "/srv/walked/overlay2/mine/diff")]
    found = walked(tmp_path, stage.do("umask 022", *plant), ["sh"])

    assert rows(found, "tutela walk") == {b"S\t4755\t0\t0\tf\t/srv/walked/overlay2/mine/diff/su"}


@pytest.mark.parametrize(
    ("path", "looked_into"),
    [
        ("/root/.aws/credentials", True),
        ("/etc/rancher/k3s/k3s.yaml", True),
        ("/etc/kubernetes/admin.conf", True),
        ("/www/wwwroot/shop/.env", True),
        ("/data1/app/config/prod.env", True),
        ("/usr/local/nginx/conf/cert/site.key", True),
        ("/usr/local/src/openssl-3.0.15/test/certs/ca-key.pem", False),
        ("/srv/app/vendor/firebase/php-jwt/tests/data/rsa1-private.pem", False),
        ("/srv/app/.env.example", False),
        ("/opt/gitlab/embedded/lib/ruby/gems/3.2.0/gems/openid-1.1.3/spec/fixtures/id_rsa.pem", False),
        ("/home/zhang/.cargo/registry/src/index/rustls-0.23.1/tests/rsa.key", False),
        ("/usr/lib/ssl/misc.key", False),
    ],
)
def test_names_behind_which_secrets_are_looked_for(path: str, looked_into: bool) -> None:
    text = PROBE.read_text("utf-8")
    wanted, not_wanted = (re.search(f"^{name}='(.*)'$", text, re.MULTILINE) for name in ("SECRET_NAMES", "NO_SECRETS"))
    assert wanted is not None
    assert not_wanted is not None

    assert (re.fullmatch(wanted[1], path) is not None and re.fullmatch(not_wanted[1], path) is None) is looked_into


@pytest.mark.root
def test_a_socket_that_gives_all_the_host_is_found(tmp_path: Path, stage: Stage) -> None:
    made = "import socket; socket.socket(socket.AF_UNIX).bind('/run/docker.sock')"
    stage.do("mount -t tmpfs tmpfs /run", f'python3 -c "{made}"', "chmod 666 /run/docker.sock")

    assert rows(walked(tmp_path, stage, ["sh"]), "tutela walk") == {b"W\t666\t0\t0\ts\t/run/docker.sock"}


@pytest.mark.root
def test_programs_with_capabilities_are_looked_for_in_packages_too(tmp_path: Path, stage: Stage) -> None:
    listed = "/srv/walked/able\n/srv/walked/gains\n"
    stage.do(
        "umask 022", "mkdir -p /srv/walked", "cd /srv/walked", "cp /bin/true able; setcap cap_net_raw+ep able", "cp able able2; setcap cap_net_raw+ep able2"
    )
    found = walked(tmp_path, stage.do("cp able gains; chmod 4755 gains").plant("/var/lib/dpkg/info/aa-walked.list", listed, "644"), ["sh"])

    assert rows(found, PACKAGED) == {b"/srv/walked/able", b"/srv/walked/gains"}


@pytest.mark.root
@pytest.mark.parametrize("shell", SHELLS.values(), ids=SHELLS)
def test_a_walk_that_was_cut_in_mid_line_is_truncated(tmp_path: Path, stage: Stage, shell: list[str]) -> None:
    # A tree of nobody, of which only the top is kept: the cut line is one of those that are left out.
    cut = r"""find() { case $* in *-maxdepth*) ;; *) printf 'S\t4755\t0\t0\tf\t/srv/a\nU\t755\t4999\t0\td\t/srv/b\nU\t755\t4999\t0\td\t/srv/b/in'; return 124 ;; esac; }
limit() { shift; case $1 in nice) shift 3 ;; esac; "$@"; }
walk_files() {"""
    found = walked(tmp_path, stage, shell, ("walk_files() {", cut))

    assert found["tutela walk"].status is found["tutela secret-files"].status is found[CAPABILITIES].status is Status.TRUNCATED
    assert rows(found, "tutela walk") == {b"S\t4755\t0\t0\tf\t/srv/a", b"U\t755\t4999\t0\td\t/srv/b"}


@pytest.mark.root
def test_more_files_than_are_looked_into_are_truncated(tmp_path: Path, stage: Stage) -> None:
    many = "mkdir -p /home/walked; cd /home/walked; i=0; while [ $i -lt 3001 ]; do : >$i.key; i=$((i + 1)); done; chmod 644 *"
    found = walked(tmp_path, stage.do(many), ["sh"])

    assert found["tutela secret-files"].status is Status.TRUNCATED
    assert found["tutela walk"].status is Status.OK


@pytest.mark.root
def test_without_getcap_the_rest_is_found(tmp_path: Path, stage: Stage) -> None:
    found = walked(tmp_path, stage.do("mkdir -p /srv/walked; cp /bin/true /srv/walked/gains; chmod 4755 /srv/walked/gains"), ["sh"], ("have getcap", "false"))

    assert found[CAPABILITIES].status is Status.ABSENT
    assert rows(found, "tutela walk") == {b"S\t4755\t0\t0\tf\t/srv/walked/gains"}


@pytest.mark.root
def test_each_local_file_system_and_each_subvolume_is_walked_once(tmp_path: Path, stage: Stage) -> None:
    mounts = tmp_path / "mountinfo"
    mounts.write_text(
        "22 1 0:20 /@ / rw shared:1 - btrfs /dev/vda2 rw,subvol=/@\n"
        "23 22 0:20 /@home /home rw shared:2 - btrfs /dev/vda2 rw,subvol=/@home\n"
        "24 22 8:1 / /data rw - ext4 /dev/sda1 rw\n"
        "25 22 8:1 /part /srv/part rw - ext4 /dev/sda1 rw\n"
        "26 22 0:30 / /mnt/far rw - nfs4 centre:/x rw\n"
        "27 22 0:31 / /run rw - tmpfs tmpfs rw\n"
        "28 22 0:32 / /tmp rw - tmpfs tmpfs rw\n"
        "29 22 0:33 / /dev/shm rw - tmpfs tmpfs rw\n",
        "utf-8",
    )
    found = walked(tmp_path, stage, ["sh"], ("/proc/self/mountinfo", str(mounts)))

    assert set(found["tutela walk"].content.split(b"\n")) - {b""} == {
        b"start\t/",
        b"start\t/home",
        b"start\t/data",
        b"start\t/tmp",
        b"skipped\t/mnt/far",
    }


@pytest.mark.root
@pytest.mark.parametrize(
    ("rows", "said"),
    [
        pytest.param("22 1 0:20 / / rw - tmpfs tmpfs rw\n", {b"start\t/"}, id="in memory"),
        pytest.param("22 1 0:20 / / rw - nfs4 centre:/x rw\n", {b"skipped\t/"}, id="over the network"),
        pytest.param(
            "22 1 8:1 /lxc/one/rootfs / rw - ext4 /dev/sda1 rw\n23 22 8:1 /data /srv/data rw - ext4 /dev/sda1 rw\n24 22 8:1 /lxc /mnt rw - ext4 /dev/sda1 rw\n",
            {b"start\t/"},
            id="a container",
        ),
    ],
)
def test_the_root_file_system_is_walked_whatever_it_is_unless_it_is_far(tmp_path: Path, stage: Stage, rows: str, said: set[bytes]) -> None:
    mounts = tmp_path / "mountinfo"
    mounts.write_text(rows, "utf-8")
    found = walked(tmp_path, stage, ["sh"], ("/proc/self/mountinfo", str(mounts)))

    assert set(found["tutela walk"].content.split(b"\n")) - {b""} == said
