"""A time-stamping authority of the tests' own: OpenSSL's `ts -reply` behind a small web server on the loopback interface."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

CONFIG = """
[ tsa ]
dir = {dir}
serial = $dir/serial
signer_digest = sha256
default_policy = 1.2.3.4.1
digests = sha256
accuracy = secs:1
ordering = yes
ess_cert_id_alg = sha256
[ req ]
distinguished_name = name
[ name ]
[ root ]
basicConstraints = critical,CA:TRUE
keyUsage = critical,keyCertSign
subjectKeyIdentifier = hash
[ stamper ]
basicConstraints = CA:FALSE
keyUsage = critical,digitalSignature
extendedKeyUsage = critical,timeStamping
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
"""


class Authority:
    """A root, and a certificate under it that may stamp times."""

    def __init__(self, folder: Path, days: int = 30) -> None:
        self.folder = folder
        folder.mkdir(parents=True)
        (folder / "conf").write_text(CONFIG.format(dir=folder))
        (folder / "serial").write_text("01\n")
        key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-config", "conf")
        self._openssl("req", "-x509", *key, "-keyout", "root.key", "-out", "root.pem", "-subj", "/CN=Root of the tests", "-extensions", "root", "-days", "300")
        self._openssl("req", "-new", *key, "-keyout", "key", "-out", "csr", "-subj", "/CN=Authority of the tests")
        self._openssl(
            "x509", "-req", "-in", "csr", "-CA", "root.pem", "-CAkey", "root.key", "-set_serial", "2", "-days", str(days),
            "-extfile", "conf", "-extensions", "stamper", "-out", "cert.pem",
        )  # fmt: skip

    @property
    def root(self) -> Path:
        return self.folder / "root.pem"

    def reply(self, query: bytes, *more: str) -> bytes:
        (self.folder / "query").write_bytes(query)
        self._openssl(
            "ts", "-reply", "-config", "conf", "-section", "tsa", "-queryfile", "query", "-signer", "cert.pem", "-inkey", "key", *more, "-out", "reply"
        )
        return (self.folder / "reply").read_bytes()

    def _openssl(self, *words: str) -> None:
        subprocess.run(["openssl", *words], cwd=self.folder, check=True, capture_output=True)

    @contextmanager
    def served(self) -> Iterator[str]:
        """Its URL, while it answers."""
        authority = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                content = authority.reply(self.rfile.read(int(self.headers["Content-Length"])))
                self.send_response(200)
                self.send_header("Content-Type", "application/timestamp-reply")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: object) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/tsa"
        finally:
            server.shutdown()
            server.server_close()
            thread.join()
