"""MySQL and MariaDB: where they listen, whether they let in whoever comes.

Sources: option files as mysqld reads them (MySQL manual, Using Option Files; MariaDB, Configuring with Option Files): /etc/my.cnf, then /etc/mysql/my.cnf, `!include` and `!includedir` (*.cnf by name) in place; the last value wins, the command line comes after the files.
Accounts are only counted, by root's own login over the Unix socket; nothing of their content leaves the host (NC3, NC4).
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from tutela.evidence import Reason, Unobserved
from tutela.facts import bound
from tutela.facts.bound import Endpoint, Process, Service
from tutela.facts.listing import entries
from tutela.facts.look import Look
from tutela.language import Text
from tutela.record import record

SERVICE = Service(
    processes=("mysqld", "mariadbd", "mysqld-debug"),
    ports=(3306, 33060),
    packages=("mariadb-server*", "mysql-server*", "mysql-community-server*", "percona-server-server*", "mysql5-server"),
)
FILES = ("/etc/my.cnf", "/etc/mysql/my.cnf")
ACCOUNTS = "mysql -N -e (accounts without a password, counts)"
NEEDS = (*bound.NEEDS, *FILES, ACCOUNTS)
MAX_DEPTH = 10
MAX_FILES = 500
_GROUP = re.compile(r"server|client-server|mysqld(-[0-9.]{1,8})?|mariadbd?(-[0-9.]{1,8})?|galera")
"""Groups of option files that the server reads."""


@record
class Mysql:
    """Mysql(present=True, endpoints=(Endpoint(…),), skip_grant_tables=False, bind_address='127.0.0.1', anonymous=0, remote_without_password=0)"""

    present: bool | Unobserved
    endpoints: tuple[Endpoint, ...] | Unobserved
    skip_grant_tables: bool | Unobserved
    """Whoever connects is an administrator."""
    bind_address: str | Unobserved | None
    """As configured: `127.0.0.1`, `*`, `::`; None: not set, so every address."""
    mysqlx_bind_address: str | Unobserved | None
    skip_networking: bool | Unobserved
    anonymous: int | Unobserved
    """Accounts without a name; Unobserved: root's own login is not open."""
    accounts_read: bool
    remote_without_password: int | Unobserved
    """Accounts that log in from elsewhere without a password."""


def parse(look: Look) -> Mysql | Unobserved:
    """The fact; Unobserved when neither processes nor sockets were seen."""
    up = bound.running(look, SERVICE)
    found = bound.endpoints(look, SERVICE)
    if isinstance(up, Unobserved) and isinstance(found, Unobserved):
        return up
    options = server_options(look)
    strange = _strange(up)
    if strange is not None and not isinstance(options, Unobserved):
        options = strange
    configured = options if isinstance(options, Unobserved) else bool(options)
    if not isinstance(options, Unobserved) and not isinstance(up, Unobserved):
        for one in up:
            if not one.container:
                options |= _command_line(one)
    counts = _counts(look)
    return Mysql(
        present=bound.present(look, SERVICE, configured),
        endpoints=found,
        skip_grant_tables=options if isinstance(options, Unobserved) else _on(options, "skip-grant-tables"),
        bind_address=options if isinstance(options, Unobserved) else options.get("bind-address"),
        mysqlx_bind_address=options if isinstance(options, Unobserved) else options.get("mysqlx-bind-address"),
        skip_networking=options if isinstance(options, Unobserved) else _on(options, "skip-networking"),
        anonymous=counts if isinstance(counts, Unobserved) else counts[0],
        accounts_read=not isinstance(counts, Unobserved),
        remote_without_password=counts if isinstance(counts, Unobserved) else counts[1],
    )


def _strange(up: tuple[Process, ...] | Unobserved) -> Unobserved | None:
    """A server whose options are not those of this host's files."""
    if isinstance(up, Unobserved):
        return up
    for one in up:
        if one.container:
            return Unobserved(
                Reason.NO_VANTAGE, bound.PROCESSES, Text("它在容器里运行，其配置看不到", "it runs in a container whose configuration is not seen")
            )
        other = one.option("defaults-file", "defaults-extra-file")
        if other is not None and other not in FILES:
            return Unobserved(Reason.FORMAT, bound.PROCESSES, Text(f"它使用别的选项文件：{other}", f"it uses another option file: {other}"))
    return None


def server_options(look: Look) -> dict[str, str] | Unobserved:
    """Options of the server's groups, the last value of each."""
    options: dict[str, str] = {}
    open_files: list[tuple[Iterator[str], str]] = []
    todo = list(reversed(FILES))
    read = 0
    while todo or open_files:
        if not open_files:
            pushed = _open(look, todo.pop(), open_files)
            if pushed is not None:
                return pushed
            continue
        lines, group = open_files.pop()
        line = next(lines, None)
        if line is None:
            continue
        line = line.strip()
        if line.startswith("["):
            group = line[1:].partition("]")[0].strip()
        open_files.append((lines, group))
        if line.startswith("!"):
            names = _included(look, line)
            read += 1 if isinstance(names, Unobserved) else len(names)
            if isinstance(names, Unobserved):
                return names
            if read > MAX_FILES or len(open_files) > MAX_DEPTH:
                return Unobserved(Reason.FORMAT, line[:120], Text("包含层次过深或文件过多", "includes too deep or too many"))
            for name in reversed(names):
                pushed = _open(look, name, open_files)
                if pushed is not None:
                    return pushed
        elif line and line[0] not in "#;[" and _GROUP.fullmatch(group):
            _set(options, line)
    return options


def _open(look: Look, name: str, open_files: list[tuple[Iterator[str], str]]) -> Unobserved | None:
    text = look.text_or_none(name)
    if isinstance(text, Unobserved):
        return text
    if text is not None:
        open_files.append((iter(text.split("\n")), ""))
    return None


def _included(look: Look, line: str) -> tuple[str, ...] | Unobserved:
    """Files of `!include` and `!includedir`, in the order they are read."""
    word, _, path = line.partition(" ")
    path = path.strip().rstrip("/")
    if word == "!include":
        return (path,)
    if word == "!includedir":
        names = entries(look, path)
        return names if isinstance(names, Unobserved) else tuple(f"{path}/{name}" for name in names if name.endswith(".cnf"))
    return Unobserved(Reason.FORMAT, line[:120], Text("未知的指令", "an unknown directive"))


def _set(options: dict[str, str], line: str) -> None:
    """`bind_address = 0.0.0.0 # all` -> bind-address: 0.0.0.0; `loose-`, `skip-` and `enable-` prefixes as mysqld takes them."""
    name, equals, value = line.partition("=")
    key = name.strip().lower().replace("_", "-").removeprefix("loose-")
    value = re.split(r"\s#", value, maxsplit=1)[0].strip().strip("\"'")
    if key.startswith("enable-skip-"):
        key = key.removeprefix("enable-")
    if key.startswith("disable-skip-"):
        key, equals, value = key.removeprefix("disable-"), "=", "0"
    if key.startswith("skip-gr") and "skip-grant-tables".startswith(key):
        key = "skip-grant-tables"  # mysqld takes an option by the beginning of its name
    options[key] = value if equals else "1"


def _on(options: dict[str, str], key: str) -> bool:
    return options.get(key, "0").lower() not in ("0", "off", "false", "no")


def _command_line(one: Process) -> dict[str, str]:
    """Options of the running server's command line, which win over the files."""
    options: dict[str, str] = {}
    for word in one.words[1:]:
        if word.startswith("--"):
            _set(options, word[2:])
    return options


def _counts(look: Look) -> tuple[int, int] | Unobserved:
    text = look.text(ACCOUNTS)
    if isinstance(text, Unobserved):
        return text
    found = re.fullmatch(r"anonymous=([0-9]{1,9}) remote=([0-9]{1,9})", text.strip())
    if found is None:
        return Unobserved(Reason.FORMAT, ACCOUNTS, Text("看不懂的回答", "an answer that is not understood"))
    return int(found[1]), int(found[2])
