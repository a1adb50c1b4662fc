"""Real daemons in the target's namespace, as Debian builds them, each on a port that is known."""

import datetime
import ipaddress
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509 import ocsp
from cryptography.x509.oid import AuthorityInformationAccessOID, NameOID

from tests.exposure.net import TARGET, Net

NEEDED = ("sshd", "nginx", "mariadbd", "redis-server", "memcached", "mosquitto", "mosquitto_passwd", "rsync", "vsftpd", "etcd", "certutil", "selfserv")
POSTGRES = next(iter(sorted(Path("/usr/lib/postgresql").glob("*/bin"))), None) if Path("/usr/lib/postgresql").exists() else None
ENDS = datetime.datetime(2031, 5, 6, 7, 8, 9, tzinfo=datetime.UTC)


def missing() -> list[str]:
    return [name for name in NEEDED if shutil.which(name) is None] + ([] if POSTGRES else ["postgresql"])


def certificate(folder: Path, *, responder: bool = False) -> tuple[Path, Path]:
    """Self-made, for www.example.net; returns the files of certificate and key. With `responder` it names one, whose answer is in answer.der."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "www.example.net")])
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(7)
        .not_valid_before(datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC))
        .not_valid_after(ENDS)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("www.example.net"), x509.IPAddress(ipaddress.ip_address(TARGET))]), critical=False)
    )
    if responder:
        place = x509.UniformResourceIdentifier("http://ocsp.invalid/")
        builder = builder.add_extension(x509.AuthorityInformationAccess([x509.AccessDescription(AuthorityInformationAccessOID.OCSP, place)]), critical=False)
    made = builder.sign(key, hashes.SHA256())
    if responder:
        now = datetime.datetime.now(datetime.UTC)
        answer = ocsp.OCSPResponseBuilder().add_response(
            made, made, hashes.SHA256(), ocsp.OCSPCertStatus.GOOD, now, now + datetime.timedelta(days=1), revocation_time=None, revocation_reason=None
        ).responder_id(ocsp.OCSPResponderEncoding.HASH, made).sign(key, hashes.SHA256())  # fmt: skip
        (folder / "answer.der").write_bytes(answer.public_bytes(serialization.Encoding.DER))
    files = folder / "cert.pem", folder / "key.pem"
    files[0].write_bytes(made.public_bytes(serialization.Encoding.PEM))
    files[1].write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
    return files


def start(net: Net, folder: Path) -> None:
    """All of them; returns when all listen."""
    folder.chmod(0o755)
    cert, key = certificate(folder)

    def run(name: str, *argv: str) -> None:
        # What a daemon prints goes to a file, since nobody reads a pipe.
        net.start_on_target(["sh", "-c", f'exec "$@" >{folder}/{name}.log 2>&1', name, *argv], cwd=folder)

    def conf(name: str, text: str) -> str:
        path = folder / name
        path.write_text(text)
        return str(path)

    # sshd wants /run/sshd, which is made where only it sees it.
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / "host"], check=True)
    sshd = f"mount -t tmpfs none /run && mkdir /run/sshd && exec /usr/sbin/sshd -D -e -f /dev/null -p 22 -h {folder}/host"
    run("sshd", "unshare", "--mount", "sh", "-c", sshd)
    server = f"ssl_certificate {cert}; ssl_certificate_key {key}; ssl_ciphers ALL:@SECLEVEL=0;"
    (folder / "responder").mkdir()
    cert2, key2 = certificate(folder / "responder", responder=True)
    named = f"ssl_certificate {cert2}; ssl_certificate_key {key2};"
    answer = folder / "responder/answer.der"
    nginx = f"""
        daemon off; master_process off; user root; pid {folder}/nginx.pid; error_log {folder}/nginx-errors.log;
        events {{ worker_connections 200; }}
        http {{
            access_log off; client_body_temp_path {folder}/b; proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
            server {{ listen 80; return 200 "hello"; }}
            server {{ listen 443 ssl; {server} ssl_protocols TLSv1.2 TLSv1.3; add_header Strict-Transport-Security "max-age=31536000" always; return 404; }}
            server {{ listen 8444 ssl; {server} ssl_protocols TLSv1; return 200 "old"; }}
            server {{ listen 8446 ssl; {named} ssl_protocols TLSv1.2 TLSv1.3; ssl_stapling on; ssl_stapling_file {answer}; return 200 "stapled"; }}
            server {{ listen 8447 ssl; {named} ssl_protocols TLSv1.2 TLSv1.3; return 200 "not stapled"; }}
            server {{ listen 8445 ssl; {server} ssl_protocols TLSv1.3; return 200 "new"; }}
        }}"""
    run("nginx", "nginx", "-c", conf("nginx.conf", nginx), "-p", str(folder))
    _ssl3(run, folder / "nss")
    for port, more in ((6379, ["--protected-mode", "no"]), (6380, ["--requirepass", "secret"]), (7777, ["--protected-mode", "no"]), (26379, [])):
        run(f"redis{port}", "redis-server", "--port", str(port), "--bind", "0.0.0.0", "--save", "", "--dir", str(folder), *more)
    run("memcached", "memcached", "-u", "nobody", "-p", "11211", "-l", "0.0.0.0")
    users = folder / "mosquitto.users"
    subprocess.run(["mosquitto_passwd", "-c", "-b", users, "somebody", "secret"], check=True)
    users.chmod(0o644)
    run("mosquitto", "mosquitto", "-c", conf("mosquitto.conf", "listener 1883\nallow_anonymous true\n"))
    run("mosquitto2", "mosquitto", "-c", conf("mosquitto2.conf", f"listener 18830\nallow_anonymous false\npassword_file {users}\n"))
    secrets = folder / "rsyncd.secrets"
    secrets.write_text("somebody:secret\n")
    secrets.chmod(0o600)
    modules = f"[guarded]\npath = {folder}\nauth users = somebody\nsecrets file = {secrets}\n[everybody]\npath = {folder}\n"
    run("rsync", "rsync", "--daemon", "--no-detach", "--port", "873", "--config", conf("rsyncd.conf", modules))
    (folder / "empty").mkdir()
    ftp = f"listen=YES\nbackground=NO\nanonymous_enable=NO\nlocal_enable=YES\nsecure_chroot_dir={folder}/empty\nftpd_banner=Files of the institute\nssl_enable=YES\nrsa_cert_file={cert}\nrsa_private_key_file={key}\n"
    run("vsftpd", "vsftpd", conf("vsftpd.conf", ftp))
    for port, peer in ((2379, 12380), (4001, 12381)):
        here, other = f"http://0.0.0.0:{port}", f"http://127.0.0.1:{peer}"
        run(f"etcd{port}", "etcd", "--data-dir", str(folder / f"etcd{port}"), "--listen-client-urls", here, "--advertise-client-urls", here,
            "--listen-peer-urls", other, "--initial-advertise-peer-urls", other, "--initial-cluster", f"default={other}")  # fmt: skip
    maria = folder / "mariadb"
    maria.mkdir()
    run("mariadb", "mariadbd", "--no-defaults", "--user=root", f"--datadir={maria}", "--skip-grant-tables", "--port=3306", f"--socket={maria}/socket",
        "--innodb-log-file-size=8M", "--innodb-fast-shutdown=2", "--lc-messages-dir=/usr/share/mysql", "--skip-name-resolve")  # fmt: skip
    _postgres(run, folder / "postgres", {5432: "host trust", 5433: "host scram-sha-256", 5434: "hostssl trust"})
    wait_for(net, (22, 80, 443, 8448, 6379, 6380, 7777, 26379, 11211, 1883, 18830, 873, 21, 2379, 3306, 5432, 5433, 5434, 4001), folder)
    _demand_accounts(net)


def _ssl3(run, folder: Path) -> None:
    """NSS, which takes SSL 3.0 to TLS 1.2 here. With RSA: SSL 3.0 knows no elliptic curves."""
    folder.mkdir()
    (folder / "noise").write_bytes(os.urandom(64))
    there = ["-d", f"sql:{folder}"]
    make = ["certutil", *there, "-S", "-x", "-n", "web", "-s", "CN=www.example.net", "-t", ",,", "-g", "2048", "-z", folder / "noise"]
    subprocess.run(["certutil", *there, "-N", "--empty-password"], check=True)
    subprocess.run(make, check=True, capture_output=True)
    run("selfserv", "selfserv", *there, "-n", "web", "-p", "8448", "-V", "ssl3:tls1.2")


def _demand_accounts(net: Net) -> None:
    """The etcd on 4001 gets a user root, and authentication is switched on."""
    post = """
import json, sys, time, urllib.error, urllib.request
for path, body in json.load(sys.stdin):
    for _ in range(50):
        try:
            urllib.request.urlopen(urllib.request.Request("http://127.0.0.1:4001/v3/auth/" + path, json.dumps(body).encode()), timeout=5).read()
            break
        except (urllib.error.URLError, OSError):
            # It has no leader yet.
            time.sleep(0.2)
    else:
        sys.exit(path)
"""
    calls = [
        ("user/add", {"name": "root", "password": "secret"}),
        ("role/add", {"name": "root"}),
        ("user/grant", {"user": "root", "role": "root"}),
        ("enable", {}),
    ]
    net.target([sys.executable, "-c", post], stdin=json.dumps(calls))


def _postgres(run, folder: Path, rules: dict[int, str]) -> None:
    assert POSTGRES is not None
    folder.mkdir()
    shutil.chown(folder, "nobody")
    nobody = ["setpriv", "--reuid", "nobody", "--regid", "nogroup", "--clear-groups"]
    first = folder / "first"
    subprocess.run(
        [*nobody, POSTGRES / "initdb", "-D", first, "-U", "postgres", "--no-sync", "--no-locale", "-E", "UTF8"],
        check=True, capture_output=True, cwd=folder, env=os.environ | {"LC_ALL": "C"},
    )  # fmt: skip
    for port, rule in rules.items():
        data = folder / str(port)
        subprocess.run(["cp", "-a", first, data], check=True)
        kind, method = rule.split()
        (data / "pg_hba.conf").write_text(f"{kind} all all 0.0.0.0/0 {method}\n")
        if kind == "hostssl":
            for name in ("cert.pem", "key.pem"):
                shutil.copy(folder.parent / name, data)
                shutil.chown(data / name, "nobody")
                (data / name).chmod(0o600)
            (data / "postgresql.auto.conf").write_text("ssl = on\nssl_cert_file = 'cert.pem'\nssl_key_file = 'key.pem'\n")
        # Its shared memory goes with the namespace or with its folder, however it ends.
        run(
            f"postgres{port}",
            "unshare",
            "--ipc",
            *nobody,
            str(POSTGRES / "postgres"),
            "-D",
            str(data),
            "-p",
            str(port),
            "-h",
            "0.0.0.0",
            "-k",
            str(folder),
            "-F",
            "-c",
            "dynamic_shared_memory_type=mmap",
        )


def wait_for(net: Net, ports: tuple[int, ...], folder: Path, seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    left = set(ports)
    while left and time.monotonic() < end:
        listening = {int(line.split()[3].rpartition(":")[2]) for line in net.target(["ss", "-Htln"]).stdout.splitlines()}
        left -= listening
        time.sleep(0.05)
    assert not left, f"not listening: {left}\n" + "\n".join(f"{path.name}: {path.read_text()[-500:]}" for path in sorted(folder.glob("*.log")))
