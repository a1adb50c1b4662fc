"""No secret leaves a host: canaries of every kind the catalogue forbids (NC1 to NC10), planted where people keep them.

Each canary is a word of its own. The whole probe runs on a staged host; then the raw output, and every report, is searched for each.
"""

from __future__ import annotations

import base64
import re
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests import scenes
from tests.collect.probe import AWKS, SHELLS, Stage, frames
from tutela.agreement.rulebook import resolve
from tutela.collect.answer import make_bundle
from tutela.language import Lang
from tutela.site import Site

pytestmark = pytest.mark.root

MARK = "Kanari9"
_made: list[str] = []


def canary(kind: str) -> str:
    """A word that looks like a secret and names its place: Kanari9-redis-Xq7w."""
    word = f"{MARK}{kind}Xq7wZ"
    _made.append(word)
    return word


def hex_canary(kind: str) -> str:
    word = (f"{len(_made):04x}" + kind.encode().hex() + "c0ffee5eed" * 8)[:64]
    _made.append(word)
    return word


def key_block(kind: str, header: str) -> str:
    """A private key whose every line is a canary."""
    lines = [base64.b64encode(f"{MARK}{kind}{at}".ljust(48, "x").encode()).decode() for at in range(5)]
    _made.extend(lines)
    return f"-----BEGIN {header}-----\n" + "\n".join(lines) + f"\n-----END {header}-----\n"


PLANTED: dict[str, str] = {
    # NC1
    "/etc/shadow": (
        f"root:$6$salt${canary('shadowroot')}:20000:0:99999:7:::\n"
        f"web:!$y$j9T$salt${canary('shadowlocked')}:20000:0:99999:7:::\n"
        f"old:{canary('shadowother')}:20000:0:99999:7:::\nmalformed {canary('shadowmalformed')}\n"
    ),
    "/etc/gshadow": f"adm:{canary('gshadow')}::\n",
    "/etc/shadow-": f"root:$6$salt${canary('shadowbackup')}:20000:0:99999:7:::\n",
    "/boot/grub/grub.cfg": f"password_pbkdf2 root grub.pbkdf2.sha512.10000.{canary('grub')}\n",
    "/etc/grub.d/40_custom": f"set superusers=root\npassword root {canary('grubplain')}\npassword_pbkdf2 root grub.pbkdf2.sha512.10000.{canary('grubcustom')}\n",
    # NC2
    "/root/.ssh/id_ed25519": key_block("openssh", "OPENSSH PRIVATE KEY"),
    "/etc/ssh/ssh_host_rsa_key": key_block("hostkey", "RSA PRIVATE KEY"),
    "/etc/ssl/private/web.pem": key_block("pem", "PRIVATE KEY"),
    "/etc/nginx/ssl.key": key_block("nginx", "EC PRIVATE KEY"),
    "/root/.google_authenticator": f'{canary("totp")}\n" RATE_LIMIT 3 30\n" TOTP_AUTH\n12345678\n',
    "/etc/users.oath": f"HOTP/T30 root - {hex_canary('oath')}\n",
    "/root/.kube/config": f"users:\n- name: admin\n  user:\n    token: {canary('kube')}\n    client-key-data: {canary('kubekey')}\n",
    "/etc/kubernetes/admin.conf": f"users:\n- name: admin\n  user:\n    token: {canary('kubeadmin')}\n    client-key-data: {canary('kubeadminkey')}\n",
    "/root/.aws/credentials": f"[default]\naws_secret_access_key = {canary('aws')}\n",
    "/root/.docker/config.json": f'{{"auths": {{"r.example": {{"auth": "{canary("dockerauth")}"}}}}}}\n',
    "/etc/pam_radius_auth.conf": f"192.0.2.1 {canary('radius')} 3\n",
    "/etc/duo/pam_duo.conf": f"[duo]\nikey = {canary('duoikey')}\nskey = {canary('duoskey')}\n",
    # NC3
    "/etc/redis/redis.conf": (
        f'bind 0.0.0.0\nrequirepass {canary("requirepass")}\nmasterauth {canary("masterauth")}\nrequirepass "{canary("requirepassq")} and more {canary("requirepassr")}"\n'
        f"user alice on >{canary('redisacl')} ~* +@all\nuser bob on #{hex_canary('redishash')} ~*\nrename-command CONFIG {canary('rediscommand')}\ntls-key-file-pass {canary('redistls')}\n"
    ),
    "/etc/redis/users.acl": f"user carol on >{canary('aclfile')} ~* +@all\n",
    "/etc/my.cnf": f"[client]\npassword={canary('mycnf')}\n[mysqld]\nbind-address=0.0.0.0\nreport-password={canary('mycnfreport')}\n",
    "/root/.my.cnf": f"[client]\nuser=root\npassword='{canary('homemycnf')}'\n",
    "/root/.pgpass": f"*:*:*:postgres:{canary('pgpass')}\n",
    "/etc/postgresql/15/main/postgresql.conf": (
        f"listen_addresses='*'\nprimary_conninfo = 'host=192.0.2.1 user=rep password={canary('pgconninfo')}'\nssl_passphrase_command = 'echo {canary('pgpassphrase')}'\n"
    ),
    "/etc/postgresql/15/main/pg_hba.conf": f'host all all 0.0.0.0/0 ldap ldapserver=l ldapbinddn="cn=x" ldapbindpasswd="{canary("pghbaldap")}"\nhost all all 0/0 radius radiussecrets={canary("pghbaradius")}\n',
    "/etc/mongod.conf": f"security:\n  authorization: enabled\n  keyFile: /etc/mongo.key\nnet:\n  tls:\n    certificateKeyFilePassword: {canary('mongotls')}\n",
    "/etc/elasticsearch/elasticsearch.yml": f"network.host: 0.0.0.0\nxpack.security.http.ssl.keystore.secure_password: {canary('elastic')}\n",
    "/etc/kibana/kibana.yml": f'elasticsearch.password: "{canary("kibana")}"\nxpack.encryptedSavedObjects.encryptionKey: {canary("kibanakey")}\n',
    "/etc/etcd/etcd.conf": f"ETCD_INITIAL_CLUSTER_TOKEN={canary('etcd')}\nETCD_ROOT_PASSWORD={canary('etcdroot')}\n",
    "/etc/rabbitmq/rabbitmq.conf": f"default_pass = {canary('rabbit')}\n",
    "/opt/kafka/config/server.properties": f'ssl.keystore.password={canary("kafka")}\nsasl.jaas.config=org.apache.kafka.X required username="a" password="{canary("kafkajaas")}";\n',
    "/etc/snmp/snmpd.conf": f"rocommunity {canary('snmpro')} 0.0.0.0/0\nrwcommunity {canary('snmprw')}\ncom2sec local default {canary('snmpcom2sec')}\ncreateUser u SHA {canary('snmpuser')} AES {canary('snmppriv')}\n",
    "/etc/ipsec.secrets": f'%any : PSK "{canary("ipsec")}"\n',
    "/etc/wireguard/wg0.conf": f"[Interface]\nPrivateKey = {canary('wireguard')}\n[Peer]\nPresharedKey = {canary('wgpsk')}\n",
    "/etc/openvpn/server.conf": "auth-user-pass /etc/openvpn/pass\n",
    "/etc/openvpn/pass": f"user\n{canary('openvpn')}\n",
    "/etc/ldap/ldap.conf": f"BINDPW {canary('ldapbindpw')}\n",
    "/etc/ldap.conf": f"bindpw {canary('ldapconf')}\nrootbindpw {canary('ldaproot')}\n",
    "/etc/nslcd.conf": f"bindpw {canary('nslcd')}\n",
    "/etc/sssd/sssd.conf": f"[domain/x]\nldap_default_authtok = {canary('sssd')}\n",
    "/etc/rsyslog.conf": (
        f'action(type="omhttp" server="h" httpheaders=["Authorization: Bearer {canary("omhttp")}"] uid="u" pwd="{canary("omhttppwd")}")\n'
        f'action(type="omelasticsearch" uid="u" pwd="{canary("omelastic")}")\naction(type="ompgsql" server="h" user="u" pass="{canary("ompgsql")}")\n'
        f"$ActionOmmysqlPassword {canary('ommysql')}\n*.* :ommysql:host,db,user,{canary('ommysqllegacy')}\n"
    ),
    "/etc/rsyslog.d/90-x.conf": f'template(name="t" type="string" string="<%PRI%> [{canary("loggly")}@41058] %msg%")\naction(type="omkafka" confParam=["sasl.password={canary("omkafka")}"])\n',
    "/etc/syslog-ng/syslog-ng.conf": f'destination d {{ http(url("https://u:{canary("syslogngurl")}@h/") headers("X-Api-Key: {canary("syslogngheader")}") password("{canary("syslogng")}")); }};\n',
    "/etc/fluent-bit/fluent-bit.conf": f"[OUTPUT]\n    Name es\n    HTTP_Passwd {canary('fluentbit')}\n    Header Authorization Bearer {canary('fluentheader')}\n    Shared_Key {canary('fluentshared')}\n",
    "/etc/vector/vector.yaml": f"sinks:\n  x:\n    type: http\n    auth:\n      strategy: bearer\n      token: {canary('vector')}\n      password: {canary('vectorpw')}\n",
    "/etc/vector/vector.toml": f'[sinks.x]\ntype = "http"\nauth.password = "{canary("vectortoml")}"\n',
    "/etc/filebeat/filebeat.yml": f'output.elasticsearch:\n  password: "{canary("filebeat")}"\n  api_key: "id:{canary("filebeatkey")}"\n',
    "/etc/wazuh/ossec.conf": f"<ossec_config><key>{canary('wazuh')}</key></ossec_config>\n",
    "/etc/fail2ban/jail.local": f'[sshd]\nenabled=true\naction = cloudflare[cfuser="a", cftoken="{canary("fail2ban")}"]\n abuseipdb_apikey={canary("abuseipdb")}\n',
    "/etc/crowdsec/bouncers/crowdsec-firewall-bouncer.yaml": f"api_key: {canary('crowdsec')}\n",
    "/etc/crowdsec/local_api_credentials.yaml": f"password: {canary('crowdseclapi')}\n",
    "/etc/borgmatic/config.yaml": f'storage:\n  encryption_passphrase: "{canary("borgmatic")}"\n',
    "/etc/systemd/system/backup.service": (
        f'[Service]\nEnvironment=RESTIC_PASSWORD={canary("restic")}\nEnvironment="BORG_PASSPHRASE={canary("borg")} two words {canary("borgtwo")}"\n'
        f"ExecStart=/usr/bin/restic -r rest:https://u:{canary('resturl')}@h/ --password-command 'echo {canary('passcmd')}' backup /srv\n"
    ),
    "/etc/systemd/system/backup.timer": "[Timer]\nOnCalendar=daily\n[Install]\nWantedBy=timers.target\n",
    "/etc/cron.d/backup": (
        f"BORG_PASSPHRASE={canary('cronenv')}\n1 2 * * * root RESTIC_PASSWORD={canary('cronrestic')} restic backup /srv\n"
        f"2 2 * * * root mysqldump -u root -p{canary('crondump')} --all-databases | gzip > /backup/x.gz\n"
        f"3 2 * * * root curl -H 'Authorization: Bearer {canary('croncurl')}' https://hooks.example/{canary('cronhook')}\n"
        f"4 2 * * * root sshpass -p '{canary('sshpass')}' rsync -a /srv u@h:/b\n5 2 * * * root echo {canary('cronecho')} | restic backup /srv\n"
    ),
    "/etc/crontab": f"6 2 * * * root PGPASSWORD='{canary('crontab')} {canary('crontabtwo')}' pg_dump x\n",
    "/var/spool/cron/crontabs/root": f"7 2 * * * /usr/bin/rclone --config-pass={canary('rclone')} sync /srv r:b\n",
    "/etc/cron.daily/backup": f"#!/bin/sh\nexport RESTIC_PASSWORD='{canary('crondaily')}'\nPASS=\"{canary('crondailyq')}\"\nrestic backup /srv --password-file <(echo {canary('crondailysub')})\ncat <<EOF | x\n{canary('heredoc')}\nEOF\n",
    "/etc/default/backup": f"RESTIC_PASSWORD={canary('default')}\n",
    "/etc/environment": f"API_TOKEN={canary('environment')}\n",
    "/etc/profile.d/x.sh": f"export TMOUT=600 API_TOKEN={canary('profiled')}\n",
    "/etc/fstab": f"//h/s /mnt cifs username=u,password={canary('fstab')},rw 0 0\n",
    "/etc/crypttab": "data /dev/sdb none luks\n",
    "/etc/apt/sources.list.d/private.list": f"deb https://user:p/{canary('aptlist')}@'/@apt.example/ stable main\n",
    "/etc/apt/sources.list.d/private.sources": f"Types: deb\nURIs: https://user:{canary('aptsources')}@apt.example/\nSuites: stable\nComponents: main\nSigned-By:\n -----BEGIN PGP PUBLIC KEY BLOCK-----\n",
    "/etc/apt/apt.conf.d/99proxy": f'Acquire::http::Proxy "http://u:{canary("aptproxy")}@proxy:3128";\n',
    "/etc/apt/auth.conf": f"machine apt.example login u password {canary('aptauth')}\n",
    "/etc/yum.repos.d/x.repo": f"[x]\nbaseurl=https://u:a@b/{canary('yumurl')}@r.example/\nusername=u\npassword={canary('yum')}\n",
    "/etc/dnf/dnf.conf": f"[main]\nproxy_password={canary('dnfproxy')}\n",
    "/etc/samba/smb.conf": f"[global]\nldap admin password = {canary('samba')}\n",
    "/etc/rsyncd.conf": "[x]\npath=/srv\nsecrets file=/etc/rsyncd.secrets\n",
    "/etc/rsyncd.secrets": f"u:{canary('rsyncd')}\n",
    "/etc/nginx/nginx.conf": (
        f'http {{ server {{ listen 443 ssl; proxy_set_header Authorization "Basic {canary("nginxbasic")}"; set $token {canary("nginxset")}; '
        f'proxy_pass http://u:{canary("nginxurl")}@127.0.0.1/; ssl_certificate_key /etc/nginx/ssl.key; if ($arg_k = "{canary("nginxarg")}") {{ return 200; }} }} }}\n'
    ),
    "/etc/apache2/apache2.conf": f'SetEnv DB_PASSWORD "{canary("apacheenv")}"\nAuthLDAPBindPassword {canary("apacheldap")}\nRequestHeader set X-Token "{canary("apacheheader")}"\n',
    "/etc/docker/daemon.json": f'{{"http-proxy": "http://u:@{canary("dockerproxy")}@/@p:1", "log-opts": {{"splunk-token": "{canary("dockersplunk")}"}}}}\n',
    "/etc/kubernetes/manifests/etcd.yaml": f"spec:\n  containers:\n  - env:\n    - name: TOKEN\n      value: {canary('kubemanifest')}\n    command:\n    - etcd\n    - --password={canary('kubearg')}\n",
    "/etc/chrony/chrony.conf": "server 192.0.2.1 iburst key 1\n",
    "/etc/chrony/chrony.keys": f"1 SHA1 {canary('chronykeys')}\n",
    "/etc/ntp.keys": f"1 M {canary('ntpkeys')}\n",
    "/etc/vsftpd.conf": f"listen=YES\nrsa_private_key_file=/etc/ssl/private/web.pem\n# password={canary('vsftpd')}\n",
    # NC5, NC6
    "/var/log/auth.log": f"Nov 22 08:00:00 h app: password={canary('authlog')}\n",
    "/var/log/app.log": f"token: {canary('applog')} 6222020200112230123\n",
    "/root/.bash_history": f"mysql -p{canary('history')}\n",
    "/home/someone/.bash_history": f"export TOKEN={canary('homehistory')}\n",
    "/home/someone/notes.txt": f"my password is {canary('notes')}\n",
    "/home/someone/.env": f"SECRET_KEY={canary('dotenv')}\n",
    "/home/someone/.ssh/authorized_keys": (
        f'environment="TOKEN={canary("authkeysenv")}",command="/bin/x --token {canary("authkeyscommand")}" ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI{canary("authkey")} x\n'
    ),
    "/var/www/html/.env": f"APP_KEY=base64:{canary('webenv')}\n",
    "/var/mail/root": f"the password is {canary('mail')}\n",
    # NC7
    "/etc/knockd.conf": "[options]\n UseSyslog\n[openSSH]\n sequence = 17239:tcp,28411:udp,39587:tcp\n seq_timeout = 10\n command = /usr/sbin/iptables -I INPUT -s %IP% -j ACCEPT\n one_time_sequences = /etc/knock-otp\n",
    "/etc/knock-otp": "43217,51239,60013\n",
    # NC8, NC9 and others
    "/etc/sudoers": f"root ALL=(ALL:ALL) ALL\nops ALL=(root) NOPASSWD: /usr/bin/mysql -p{canary('sudoersmysql')}, /usr/bin/curl -H *token={canary('sudoerstoken')}*\n",
    "/etc/sudoers.d/ldap": f'# password {canary("sudoerscomment")}\nDefaults!X passprompt="x"\n',
    "/etc/pam.d/sshd": f"auth required pam_exec.so expose_authtok /usr/bin/check --token={canary('pamexec')}\nauth required pam_radius_auth.so secret={canary('pamradius')}\nauth required pam_mysql.so user=u passwd={canary('pammysql')} db=x\n",
    "/etc/ssh/sshd_config": f"PermitRootLogin no\nSetEnv TOKEN={canary('sshdsetenv')}\nForceCommand /bin/x --token {canary('sshdforce')}\n",
    "/etc/audit/rules.d/x.rules": "-w /etc/passwd -p wa -k identity\n",
    "/etc/motd": f"password: {canary('motd')}\n",
}
NUMBERS = ("17239", "28411", "39587", "43217", "51239", "60013")

# Programs that run with a secret on their command line or in their environment; names that the probe looks for.
RUNNING = {
    "redis-server": ["redis-server 0.0.0.0:6390", "--requirepass", canary("argvredis")],
    "java": ["java", f"-Dpassword={canary('argvjava')}", "org.elasticsearch.bootstrap.Elasticsearch", canary("argvplain")],
    "python3": ["python3", "jupyter-notebook", f"--NotebookApp.token={canary('argvjupyter')}", "--token", canary("argvtoken")],
    "sshd": ["sshd", "-D", "-o", f"SetEnv=X={canary('argvsshd')}"],
    "knockd": ["knockd", "-i", "eth0", "-o", canary("argvknockd")],
    "etcd": ["etcd", f"--initial-cluster-token={canary('argvetcd')}", "--listen-client-urls", f"http://u:{canary('argvurl')}@0.0.0.0:2379"],
    "mysqld": ["mysqld", f"--password={canary('argvmysqld')}"],
    "consul": ["consul", "agent", "-encrypt", canary("argvconsul")],
}
ENVIRONMENT = canary("processenvironment")


def staged(tmp_path: Path, name: str) -> Stage:
    folder = tmp_path / name
    folder.mkdir()
    stage = Stage(folder)
    # The programs below end with the namespace.
    for path, content in PLANTED.items():
        if not path.startswith("/boot"):
            stage.plant(path, content, "755" if path.startswith("/etc/cron.daily") else "644" if path.endswith((".env", ".pem")) else "600")
    stage.do(
        "chmod 440 /etc/sudoers",
        "echo 'someone:x:1500:1500:Kanari9gecosXq7wZ,Room,+8612345678901:/home/someone:/bin/bash' >>/etc/passwd",
        "chown -R 1500 /home/someone",
    )
    stage.do(f"cp {Path('/usr/bin/sleep').resolve()} {folder}/sleep")
    for program, argv in RUNNING.items():
        words = " ".join("'" + word.replace("'", "") + "'" for word in argv)
        # The name of a process is that of its file; what else it is told, it is told in vain.
        stage.do(f"cp {Path('/usr/bin/perl').resolve()} {folder}/{program}")
        stage.do(f"SECRET={ENVIRONMENT} {folder}/{program} -e 'alarm 300; sleep 300' -- {words} >/dev/null 2>&1 </dev/null &")
    return stage


def run(stage: Stage, shell: list[str], *arguments: str) -> bytes:
    done = stage.run(shell, *arguments, before=("timeout", "250"))
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def leaks(raw: bytes) -> list[str]:
    text = raw.decode("utf-8", "backslashreplace")
    found = []
    for word in [*_made, f"{MARK}gecosXq7wZ", "8612345678901"]:
        at = text.find(word)
        if at >= 0:
            found.append(f"{word}: …{text[max(0, at - 120) : at + len(word) + 20]!r}")
    # A part of a canary is a leak, too.
    found += [f"part: {match!r}" for match in re.findall(rf".{{0,40}}{MARK}.{{0,30}}", text) if not any(word in match for word in _made)][:10]
    return found


def knocks(raw: bytes) -> list[bytes]:
    return [word.encode() for word in NUMBERS if re.search(rb"(?<![0-9])" + word.encode() + rb"(?![0-9])", raw)]


@pytest.mark.parametrize(("shell", "awk"), [("dash", "mawk"), ("bash", "gawk"), ("ash", "busybox")])
def test_no_canary_leaves_the_host_in_a_quick_look(tmp_path: Path, shell: str, awk: str) -> None:
    raw = run(staged(tmp_path, "stage").awk(awk), SHELLS[shell], "--quick")
    found = frames(raw)

    # They were really there to be seen.
    for path in (
        "/etc/shadow",
        "/etc/redis/redis.conf",
        "/etc/knockd.conf",
        "/etc/cron.d/backup",
        "/etc/rsyslog.conf",
        "/etc/sudoers",
        "/home/someone/.ssh/authorized_keys",
    ):
        assert found[path].status.value == "ok", path
        assert found[path].content, path
    assert leaks(raw) == []
    assert knocks(raw) == []
    assert set(AWKS) == {"mawk", "gawk", "busybox"}


def test_no_canary_leaves_the_host_in_a_full_look_nor_stands_in_a_report(tmp_path: Path) -> None:
    raw = run(staged(tmp_path, "stage"), SHELLS["dash"], "--addresses", "192.0.2.5")
    assert leaks(raw) == []
    assert knocks(raw) == []

    reports = "".join(rendered(raw))
    assert reports.count("H-0") > 10
    assert leaks(reports.encode()) == []


def rendered(raw: bytes) -> list[str]:
    """The report in every format and language whose libraries are here."""
    from importlib.util import find_spec

    from tutela.assess import assess
    from tutela.report import FORMATS, Options

    content = scenes.content()
    bundle = make_bundle("host", raw, datetime(2026, 11, 22, 8, 0, tzinfo=UTC), {"transport": "local"})
    made = assess(bundle, resolve(content, (content.default_profile,)), Site())
    parts = []
    for form in FORMATS.values():
        if form.needs is not None and find_spec(form.needs) is None:
            continue
        for lang in Lang:
            parts += [piece if isinstance(piece, str) else piece.decode("utf-8", "backslashreplace") for piece in form.render([made], lang, Options())]
    return parts


def test_the_search_finds_what_it_looks_for(tmp_path: Path) -> None:
    """The tests above can fail: the same search over what was planted finds every canary."""
    everything = "\n".join([*PLANTED.values(), *(" ".join(argv) for argv in RUNNING.values()), ENVIRONMENT])
    assert len(leaks(everything.encode())) >= len(_made)
    assert knocks(everything.encode()) == [word.encode() for word in NUMBERS]


def test_a_canary_in_clear_would_be_seen_on_the_stage(tmp_path: Path) -> None:
    """The stage is really what the probe sees."""
    stage = staged(tmp_path, "stage").plant("/etc/hostname", _made[0])
    assert leaks(run(stage, SHELLS["dash"], "--quick"))


def test_the_machine_itself_is_untouched() -> None:
    told = subprocess.run(["grep", "-rlF", MARK, "/etc"], capture_output=True, text=True, check=False)
    assert told.stdout == ""
