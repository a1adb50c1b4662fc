"""Look at a lab host over SSH, as a user would from the centre, and judge what came back."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

from tests import scenes
from tests.lab.host import Host
from tests.lab.lab import Lab
from tutela.agreement.rulebook import Rulebook, resolve
from tutela.assess import Assessment, assess
from tutela.collect.archive import read_bundle
from tutela.evidence import Bundle
from tutela.site import Site, read_site

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
LOG_CENTRE = """
import socketserver
class Swallow(socketserver.BaseRequestHandler):
    def handle(self):
        while self.request.recv(65536):
            pass
class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
Server(("198.18.0.5", 514), Swallow).serve_forever()
"""


@contextmanager
def log_centre(lab: Lab) -> Iterator[None]:
    """Somebody who takes every message. Enter it before the first host starts: rsyslog notes each target that it finds shut."""
    listening = subprocess.Popen(lab.centre.exec_argv([sys.executable, "-I", "-c", LOG_CENTRE]))
    try:
        yield
    finally:
        listening.terminate()
        listening.wait(timeout=10)


@cache
def rulebook(profile: str = "campus-L1") -> Rulebook:
    content = scenes.content()
    return resolve(content, (content.profiles[profile],))


def site_text(changes: Mapping[str, str] | None = None) -> str:
    """The site file, with some of its words replaced; its days are counted from today, so that no declaration grows old."""
    text = (HERE / "site.yaml").read_text("utf-8")
    for old, new in (changes or {}).items():
        assert old in text, f"site.yaml does not say {old}"
        text = text.replace(old, new)
    today = datetime.now(UTC).date()
    return re.sub(r'"@DAYS_AGO_(-?\d+)@"', lambda found: str(today - timedelta(days=int(found[1]))), text)


def site(changes: Mapping[str, str] | None = None) -> Site:
    return read_site(site_text(changes).encode(), str(HERE / "site.yaml"))


def collect(host: Host, user: str = "root", *more: str) -> Bundle:
    """A bundle of the host, over SSH from the centre."""
    with tempfile.TemporaryDirectory() as folder:
        path, declared = Path(folder) / "host.bundle", Path(folder) / "site.yaml"
        declared.write_text(site_text(), "utf-8")
        words = ["collect", f"ssh://{user}@{host.name}", "-o", path, "--site", declared, "--ssh-config", host.ssh_config_file, *more]
        argv = host.centre.exec_argv([sys.executable, "-m", "tutela", *map(str, words)])
        environment = os.environ | {"PYTHONPATH": str(ROOT / "src"), "LC_ALL": "C.UTF-8"}
        run = subprocess.run(argv, capture_output=True, text=True, env=environment, check=False, timeout=300)
        assert run.returncode == 0, run.stderr
        return read_bundle(path)


def judge(bundle: Bundle, declared: Site | None = None, profile: str = "campus-L1") -> Assessment:
    return assess(bundle, rulebook(profile), declared or site())
