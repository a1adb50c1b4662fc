"""`tutela scan` as a person meets it: wrong words, files that cannot be read or written, closed output, progress, exit status.

What is scanned here is one port of this test's own on loopback, and a host in a namespace.
"""

import csv
import io
import json
import os
import pty
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from tests.exposure.net import TARGET, Net, dropping
from tutela.cli import main
from tutela.cli.parser import build
from tutela.cli.scan import read_request
from tutela.language import Lang

ROOT = Path(__file__).parents[2]
ENVIRONMENT = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT / "src"), "LC_ALL": "C.UTF-8"}


@pytest.fixture(scope="module")
def port():
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield str(listening.getsockname()[1])


def complaint(capsys, lang, *words):
    try:
        status = main(["scan", *words, "--lang", lang])
    except SystemExit as ended:
        status = int(ended.code or 0)
    said = capsys.readouterr()
    assert (status, said.out) == (1, "")
    assert said.err.startswith("tutela")
    assert "Traceback" not in said.err
    return said.err


@pytest.mark.parametrize(
    ("words", "zh", "en"),
    [
        ([], "缺少参数", "required: TARGET"),
        (["127.0.0.1", "-p", "0"], "端口 '0' 不能识别", "ports '0' not understood"),
        (["127.0.0.1", "-p", "22,ssh"], "端口 'ssh' 不能识别", "ports 'ssh' not understood"),
        (["127.0.0.1", "-p", "90-80"], "端口 '90-80' 不能识别", "ports '90-80' not understood"),
        (["127.0.0.1", "-p", "65536"], "端口 '65536' 不能识别", "ports '65536' not understood"),
        (["127.0.0.1", "-p", ""], "端口 '' 不能识别", "ports '' not understood"),
        (["127.0.0.1", "--rate", "0"], "'0' 不是从 1 起的整数", "'0' is no whole number from 1 on"),
        (["127.0.0.1", "--method", "magic"], "'magic' 不在可选值中", "'magic'"),
        (["127.0.0.1", "--format", "xml"], "'xml' 不在可选值中", "'xml'"),
        (["127.0.0.1", "--frobnicate"], "不认识的参数：--frobnicate", "unrecognized arguments: --frobnicate"),
        (["198.51.100.7/24"], "不是网段", "is no prefix"),
        (["no such host"], "既不是地址也不是能解析的主机名", "neither an address nor a name that resolves"),
        (["0.0.0.0/0"], "0.0.0.0/0", "0.0.0.0/0"),
        (["@/no/such/list"], "无法读取 /no/such/list", "cannot read /no/such/list"),
        (["127.0.0.1", "--allow", "/no/such/list"], "无法读取 /no/such/list", "cannot read /no/such/list"),
        (["127.0.0.1", "--opt-out", "/no/such/list"], "无法读取 /no/such/list", "cannot read /no/such/list"),
        (["127.0.0.1", "-o", "/no/such/folder/report"], "无法写入 /no/such/folder/report：没有这个文件", "cannot write /no/such/folder/report: No such file"),
    ],
)
def test_a_wrong_word_is_named_and_nothing_is_sent(words, zh, en, capsys, monkeypatch):
    monkeypatch.setattr("tutela.exposure.scan._look", lambda *_: pytest.fail("a scan began"))
    assert zh in complaint(capsys, "zh", *words)
    assert en in complaint(capsys, "en", *words)


def test_lists_that_are_empty_binary_or_foreign_are_refused(capsys, tmp_path):
    (tmp_path / "empty").write_text("# nothing yet\n")
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "ours").write_text("192.0.2.0/24\n")
    assert "nothing to scan" in complaint(capsys, "en", f"@{tmp_path}/empty")
    assert "UTF-8" in complaint(capsys, "en", f"@{tmp_path}/binary")
    assert "nothing was sent" in complaint(capsys, "en", "198.51.100.1", "--allow", f"{tmp_path}/ours")
    assert "没有发送任何探测包" in complaint(capsys, "zh", "198.51.100.1", "--allow", f"{tmp_path}/ours")


def test_few_hosts_are_asked_all_ports_and_prefixes_the_popular_ones():
    parser = build(Lang.EN, ["scan"])
    assert len(read_request(parser.parse_args(["scan", "192.0.2.1"])).ports) == 65535
    assert len(read_request(parser.parse_args(["scan", "192.0.2.0/24"])).ports) < 100
    assert read_request(parser.parse_args(["scan", "192.0.2.0/24", "-p", "22,80-82"])).ports == (22, 80, 81, 82)


def scan(port, *words, shell='exec "$@"', environment=None):
    """A process of its own, with connections to one port on loopback."""
    return subprocess.run(
        ["sh", "-c", shell, "sh", sys.executable, "-m", "tutela", "scan", "127.0.0.1", "-p", port, "--method", "connect", "--no-identify", *words],
        capture_output=True, text=True, cwd=ROOT, env=ENVIRONMENT | {"TUTELA_LANG": "en"} | (environment or {}), check=False,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("words", "identifies"),
    [([], True), (["--host-rate", "50"], False), (["--network-rate", "50"], False), (["--host-rate", "50", "--identify"], True), (["--no-identify"], False)],
)
def test_a_host_that_is_to_be_asked_slowly_is_not_identified_unasked(words, identifies):
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listening:
        listening.setblocking(False)
        port = str(listening.getsockname()[1])
        subprocess.run(
            [sys.executable, "-m", "tutela", "scan", "127.0.0.1", "-p", port, "--method", "connect", *words],
            capture_output=True, cwd=ROOT, env=ENVIRONMENT, check=True,
        )  # fmt: skip
        connections = 0
        with suppress(BlockingIOError):
            while True:
                listening.accept()[0].close()
                connections += 1
    assert (connections > 1) is identifies


def test_a_scan_that_went_to_its_end_is_status_0_whatever_is_open(port):
    done = scan(port)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"{port:>5}/tcp  open\n127.0.0.1: 1 open, 0 closed")
    assert done.stdout.endswith("UDP: not tested (--udp tests it)\n")


@pytest.mark.parametrize("lang,words", [("zh", "UDP：未测试"), ("en", "UDP: not tested")])
def test_the_language_is_chosen(port, lang, words):
    assert words in scan(port, "--lang", lang).stdout
    assert words in scan(port, environment={"TUTELA_LANG": lang}).stdout


def test_the_forms(port, tmp_path):
    lines = [json.loads(line) for line in scan(port, "-f", "jsonl").stdout.splitlines()]
    assert [(line["schema"], line["event"]) for line in lines if line["event"] == "open"] == [("tutela/scan/1", "open")]
    assert lines[-1]["event"] == "summary"
    assert [row["port"] for row in csv.DictReader(io.StringIO(scan(port, "-f", "csv").stdout))] == [port]
    assert scan(port, "-f", "csv", "-o", str(tmp_path / "report")).stdout == ""
    assert (tmp_path / "report").read_bytes().startswith(b"address,protocol,port,state,")
    assert (tmp_path / "report").read_bytes().endswith(b",,\r\n")


@pytest.mark.parametrize(
    ("shell", "words", "said"),
    [
        ('exec "$@" >/dev/full', [], "tutela: 标准输出：磁盘已满\n"),
        ('exec "$@" >&-', [], "tutela: 标准输出：没有打开\n"),
        ('exec "$@"', ["-o", "/dev/full"], "tutela: 无法写入 /dev/full：磁盘已满\n"),
        ('exec "$@"', ["-o", "/"], "tutela: 无法写入 /：这是文件夹，不是文件\n"),
    ],
)
def test_a_report_that_nobody_gets_is_an_error_in_one_line(port, shell, words, said):
    done = scan(port, *words, shell=shell, environment={"TUTELA_LANG": "zh"})
    assert (done.returncode, done.stderr, done.stdout) == (1, said, "")


def test_a_reader_that_leaves_ends_it_without_a_word(port):
    done = scan(port, shell='"$@" | true')
    assert (done.stdout, done.stderr) == ("", "")


def test_closed_standard_error_changes_no_report(port):
    assert scan(port, shell='exec "$@" 2>&-').stdout.startswith(f"{port:>5}/tcp  open\n")


@pytest.fixture(scope="module")
def net():
    with Net() as one:
        one.open(5, also=(22,))
        one.nft(dropping((22,)))
        yield one


def packets(net):
    """That left the scanner's namespace."""
    return int(net.run(["cat", "/proc/net/dev"]).stdout.split("scan0:")[1].split()[9])


def watched(net, *words, stdout=subprocess.PIPE):
    """A scan whose standard error is a terminal; returns what stood on it, and standard output."""
    ours, theirs = pty.openpty()
    running = net.start([sys.executable, "-m", "tutela", "scan", TARGET, "--no-identify", *words], env=ENVIRONMENT | {"TUTELA_LANG": "en"}, stderr=theirs)
    os.close(theirs)
    seen = b""
    while True:
        try:
            piece = os.read(ours, 4096)
        except OSError:
            break
        seen += piece
    os.close(ours)
    said = running.stdout.read()
    assert running.wait() == 0
    return seen.decode(), said


@pytest.mark.root
def test_progress_stands_on_a_terminal_and_is_gone_at_the_end(net):
    seen, said = watched(net, "-p", "1-1000", "--rate", "1000")
    assert "packets/s" in seen
    assert seen.endswith("\r\x1b[K")
    assert "packets/s" not in said
    assert "22/tcp" in said


@pytest.mark.root
def test_progress_stays_off_a_report_in_a_file(net, tmp_path):
    seen, said = watched(net, "-p", "1-1000", "--rate", "1000", "-o", str(tmp_path / "report"))
    assert "packets/s" in seen
    assert said == ""
    assert "\x1b" not in (tmp_path / "report").read_text()
    assert "22/tcp" in (tmp_path / "report").read_text()


@pytest.mark.root
def test_nobody_watching_nothing_is_drawn(net):
    done = net.run([sys.executable, "-m", "tutela", "scan", TARGET, "-p", "1-1000", "--rate", "1000"], environment=ENVIRONMENT)
    assert done.stderr == ""


@pytest.mark.root
@pytest.mark.parametrize("words", [["--rate", "2000"], ["-p", "1-1000", "--udp", "--rate", "20"]])
def test_an_interrupt_is_status_130_and_what_was_found_is_reported(net, words):
    before = packets(net)
    running = net.start(
        [sys.executable, "-m", "tutela", "scan", TARGET, "--no-identify", *words], env=ENVIRONMENT | {"TUTELA_LANG": "en", "PYTHONUNBUFFERED": "1"}
    )
    while packets(net) < before + 30:
        assert running.poll() is None
        time.sleep(0.05)
    running.terminate()
    said = running.stdout.read()
    assert running.wait() == 130
    assert f"{TARGET}: " in said
    assert "by " in said


@pytest.mark.root
def test_udp_stands_in_the_same_report_without_any_privilege(net):
    done = net.run(
        [
            "setpriv", "--reuid", "65534", "--clear-groups", "--bounding-set", "-all", "--inh-caps", "-all",
            sys.executable, "-m", "tutela", "scan", TARGET, "--udp", "-p", "22,53,123", "--no-identify",
        ],
        environment=ENVIRONMENT | {"TUTELA_LANG": "zh"},
    )  # fmt: skip
    assert "   22/tcp  开放\n" in done.stdout
    assert f"{TARGET} UDP：0 个有应答，2 个关闭" in done.stdout
    assert "没有 CAP_NET_RAW，改用普通连接" in done.stdout
    assert "UDP 载荷" in done.stdout
    assert "未测试" not in done.stdout


@pytest.mark.root
def test_udp_with_ports_that_no_question_is_known_for_says_that_nothing_was_tested(net):
    done = net.run([sys.executable, "-m", "tutela", "scan", TARGET, "--udp", "-p", "22,23"], environment=ENVIRONMENT | {"TUTELA_LANG": "en"})
    assert "no service that this program can ask" in done.stdout
    assert "not tested" in done.stdout.replace("\n  ", " ")
    assert "UDP: 0 answered" not in done.stdout
