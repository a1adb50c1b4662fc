"""What each backup tool saves and where to, by its own command line and settings file.

A function a tool, in the tables at the end; what a masked word hides stays unknown and is never guessed.
Sources: the manual of each tool.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from tutela.evidence import Reason, Unobserved
from tutela.facts.backup.command import Command, is_remote, setting, yaml_lists
from tutela.facts.mounts import Mounts, under
from tutela.language import Text
from tutela.record import record

Sources = tuple[str, ...] | Unobserved

UPKEEP = frozenset({"forget", "prune", "check", "verify", "restore", "cleanup", "purge", "delete", "remove-older-than", "remove-all-but-n-full", "remove-all-inc-of-but-n-full", "collection-status", "list-current-files", "snapshots", "unlock", "stats", "init", "copy"})  # fmt: skip
"""What tools do with backups that are there."""
LOOKS_LIKE_BACKUP = re.compile(r"back-?up|bak\b|dump|snapshot|restic|borg|archiv", re.IGNORECASE)


@record
class Around:
    """What a command stands in."""

    job: str
    """Id of its job."""
    settings: dict[str, tuple[str, ...]]
    """Lines of settings files of backup tools by path, masked."""
    mounted: Mounts | None


@record
class Saved:
    """Saved(sources=('/srv',), target='sftp://nas/backup', kind='files', excluded=(), …)"""

    sources: Sources
    target: str
    """Where it goes; empty if that is not visible."""
    kind: str = "files"
    """files | database | snapshot"""
    excluded: tuple[str, ...] = ()
    one_file_system: bool = False
    encrypted: bool | Unobserved = False
    engine: str | None = None
    """mysql | postgresql | mongodb | redis"""
    whole: bool | Unobserved = True
    """A database tool saves all databases."""


Saves = Callable[[Command, Around], list[Saved]]


def saved(pipeline: tuple[Command, ...], around: Around) -> list[tuple[Command, Saved]]:
    """What a pipeline saves, and by which of its commands: the first that saves, since what is piped on is one backup."""
    every = ([(command, one) for one in _saved(command, around)] for command in pipeline)
    return next((made for made in every if made), [])


def _saved(command: Command, around: Around) -> list[Saved]:
    if command.tool is None or command.rehearses():
        return []
    return [one for one in TOOLS[command.tool](command, around) if one.target != "/dev/null"]


# --- files


def _files(command: Command, around: Around, sources: Sequence[str], target: str, *, encrypted: bool | Unobserved = False) -> list[Saved]:
    seen: Sources = tuple(sources)
    if not sources or "***" in sources:
        seen = Unobserved(Reason.NO_DATA, around.job, Text(f"{command.tool} 备份哪些目录不可见", f"what {command.tool} saves is not visible"))
    if any(word.startswith("--files-from") for word in command.arguments):
        seen = Unobserved(Reason.NO_DATA, around.job, Text("备份清单在文件里，没有采集", "the list of what is saved stands in a file that is not collected"))
    one_file_system = command.has("--one-file-system") or (command.tool in ("rsync", "restic", "borg") and command.flag("x"))
    encrypted = True if command.enciphered() else encrypted
    return [Saved(seen, target, excluded=command.excluded(), one_file_system=one_file_system, encrypted=encrypted)]


def _restic(command: Command, around: Around) -> list[Saved]:
    if command.verb(UPKEEP | {"backup"}) != "backup":
        return []
    target = command.option("-r", "--repo") or command.settings.get("RESTIC_REPOSITORY", "")
    return _files(command, around, [one for one in command.places() if one != target], target, encrypted=True)


def _borg(command: Command, around: Around) -> list[Saved]:
    if not command.has("create"):
        return []
    repository = next((one for one in command.arguments if "::" in one), "")
    target = repository.partition("::")[0] or command.settings.get("BORG_REPO", "")
    encrypted: bool | Unobserved = True
    if not any(key.startswith("BORG_PASS") for key in command.settings):
        encrypted = Unobserved(Reason.NO_DATA, "borg", Text("主机上看不出仓库是否加密", "whether the repository is encrypted cannot be seen here"))
    return _files(command, around, [one for one in command.places() if one.startswith("/") and "::" not in one], target, encrypted=encrypted)


def _borgmatic(command: Command, around: Around) -> list[Saved]:
    if command.has("list", "info", "check", "prune") and not command.has("create"):
        return []
    found = []
    for name, lines in around.settings.items():
        if "borgmatic" not in name:
            continue
        lists = yaml_lists(lines)
        sources: Sources = tuple(lists.get("source_directories", ()))
        if not sources:
            sources = Unobserved(Reason.NO_DATA, name, Text("没有看到 source_directories", "no source_directories are visible"))
        encrypted = any(re.match(r"\s*encryption_pass(phrase|command):", line) for line in lines)
        found += [Saved(sources, target, encrypted=encrypted) for target in lists.get("repositories") or [""]]
    if found:
        return found
    hidden = Unobserved(Reason.NO_DATA, "/etc/borgmatic/config.yaml", Text("borgmatic 的配置不可见", "the configuration of borgmatic is not visible"))
    return [Saved(hidden, "", encrypted=hidden)]


def _kopia(command: Command, around: Around) -> list[Saved]:
    return _files(command, around, command.places(), "", encrypted=True) if command.has("create", "snap") else []


def _by_profile(command: Command, around: Around) -> list[Saved]:
    """resticprofile, autorestic, duply: a file of theirs says what is saved where."""
    if command.verb(UPKEEP | {"backup", "full", "incr"}) in UPKEEP:
        return []
    encrypted = not command.has("--no-encryption") if command.tool == "duply" else True
    return _files(command, around, (), "", encrypted=encrypted)


def _tarsnap(command: Command, around: Around) -> list[Saved]:
    if not command.flag("c"):
        return []
    return _files(command, around, [one for one in command.places() if one.startswith("/")], "tarsnap://tarsnap.com", encrypted=True)


def _duplicity(command: Command, around: Around) -> list[Saved]:
    if command.verb(UPKEEP) is not None:
        return []
    places = command.places()
    if places[:1] in (["backup"], ["full"], ["incr"], ["incremental"]):
        places = places[1:]
    return _files(command, around, places[:-1], places[-1] if places else "", encrypted=not command.has("--no-encryption"))


def _tar(command: Command, around: Around) -> list[Saved]:
    archive = _archive(command)
    if archive is None:
        return []
    target = archive if archive != "-" else command.written()
    return _files(command, around, [one for one in command.places() if one != archive], target)


def _archive(command: Command) -> str | None:
    """Where tar writes; `-` is its output; None: it does not create."""
    flags = command.arguments[0] if command.arguments else ""
    creates = re.fullmatch(r"-?[A-Za-z]*c[A-Za-z]*", flags) is not None or flags == "***" or command.has("-c", "--create")
    if not creates or re.fullmatch(r"-?[A-Za-z]*[xt][A-Za-z]*", flags):
        return None
    named = command.option("-f", "--file")
    if named:
        return named
    # Without an f among its letters it writes to its output.
    if flags == "***" or any("f" in word for word in command.arguments if word == flags or re.fullmatch(r"-[A-Za-z]+", word)):
        return next((one for one in command.arguments[1:] if one == "-" or one.startswith(("/", "$"))), "")
    return "-"


def _proxmox(command: Command, around: Around) -> list[Saved]:
    if not command.has("backup"):
        return []
    repository = command.settings.get("PBS_REPOSITORY", "") or command.option("--repository")
    target = repository and f"pbs://{repository.rpartition('@')[2]}"
    sources = [one.partition(":")[2] for one in command.arguments if re.fullmatch(r"[a-z0-9_-]+\.(pxar|img|conf|log):/\S*", one)]
    encrypted = any(word.partition("=")[0] == "--keyfile" for word in command.arguments)
    return _files(command, around, sources, target, encrypted=encrypted)


def _cp(command: Command, around: Around) -> list[Saved]:
    places = command.places()
    deep = command.has("--archive", "--recursive") or any(command.flag(letter) for letter in "arR")
    if len(places) < 2 or not deep or not LOOKS_LIKE_BACKUP.search(places[-1]):
        return []
    return _files(command, around, places[:-1], places[-1])


def _copy(command: Command, around: Around) -> list[Saved]:
    """rsync, scp, rdiff-backup and the like: paths, and last where they go. What comes from another machine is that machine's."""
    places = command.places()
    if len(places) == 1 and command.tool in ("rsync", "rclone"):
        places = ["***", *places]
    if len(places) < 2:
        return []
    *sources, target = places
    if any(is_remote(one) for one in sources) or (command.tool == "scp" and not is_remote(target)):
        return []
    encrypted: bool | Unobserved = False
    if command.tool == "rclone":
        encrypted = Unobserved(Reason.NO_DATA, "rclone", Text("远端是否为 crypt 类型没有看到", "whether the remote is of type crypt is not visible"))
    return _files(command, around, sources, target, encrypted=encrypted)


def _to_cloud(command: Command, around: Around) -> list[Saved]:
    """Clients of object stores, which copy only if told to."""
    copies = command.has("sync", "copy", "cp", "rsync", "mirror", "put", "move", "bisync", "mv", "***")
    return _copy(command, around) if copies else []


def _rsnapshot(command: Command, around: Around) -> list[Saved]:
    del command
    root, sources = "", []
    for line in around.settings.get("/etc/rsnapshot.conf", ()):
        words = line.split()
        if words[:1] == ["snapshot_root"] and len(words) > 1:
            root = words[1]
        elif words[:1] == ["backup"] and len(words) > 1 and words[1].startswith("/"):
            sources.append(words[1])
    found: Sources = tuple(sources)
    if not sources:
        found = Unobserved(Reason.NO_DATA, "/etc/rsnapshot.conf", Text("没有看到 backup 行", "no backup line is visible"))
    return [Saved(found, root)]


def _elsewhere(command: Command, around: Around) -> list[Saved]:
    """Another machine does it, with what it has."""
    del command, around
    return []


# --- snapshots


def _snapshot(command: Command, around: Around, sources: Sequence[str], remote: str = "") -> list[Saved]:
    seen: Sources = tuple(sources) or Unobserved(Reason.NO_DATA, around.job, Text("快照的范围不可见", "what the snapshots cover is not visible"))
    target = remote or ("ssh://***" if command.sent_by_ssh() else "/")
    return [Saved(seen, target, kind="files" if is_remote(target) else "snapshot", encrypted=command.enciphered())]


def _zfs(command: Command, around: Around) -> list[Saved]:
    verb, names = command.arguments[:1], _datasets_named(command)[1:]
    if verb == ("send",):
        return _snapshot(command, around, _mount_points([one for one in names if "/" in one or "@" in one], around))
    return _snapshot(command, around, _mount_points(names, around)) if verb in (("snapshot",), ("snap",)) else []


def _syncoid(command: Command, around: Around) -> list[Saved]:
    remote = next((one for one in command.arguments if re.fullmatch(r"\S+@\S+:\S+|[a-z0-9.-]+:\S+", one)), "")
    return _snapshot(command, around, _mount_points([one for one in _datasets_named(command) if "/" in one][:1], around), remote)


def _datasets_named(command: Command) -> list[str]:
    return [one for one in command.arguments if re.fullmatch(r"[A-Za-z0-9_.][A-Za-z0-9_.-]*(/[A-Za-z0-9_.-]+)*(@\S+)?", one)]


def _mount_points(names: list[str], around: Around) -> tuple[str, ...]:
    """Of ZFS datasets or their snapshots."""
    if around.mounted is None:
        return ()
    wanted = ["/" + name.partition("@")[0] for name in names]
    return tuple(one.path for one in around.mounted.all if one.type == "zfs" and any(under("/" + one.device, name) for name in wanted))


def _btrfs(command: Command, around: Around) -> list[Saved]:
    return _snapshot(command, around, command.places()[:1]) if command.has("snapshot", "send") else []


def _btrbk(command: Command, around: Around) -> list[Saved]:
    if not command.has("run", "snapshot"):
        return []
    volume, sources, target = "", [], "/"
    for line in around.settings.get("/etc/btrbk/btrbk.conf", ()):
        words = line.split()
        if words[:1] == ["volume"]:
            volume = words[1] if len(words) > 1 else ""
        elif words[:1] == ["subvolume"] and volume:
            sources.append(volume)
        elif words[:1] == ["target"] and len(words) > 1:
            target = words[-1]
    found: Sources = tuple(dict.fromkeys(sources))
    if not found:
        found = Unobserved(Reason.NO_DATA, around.job, Text("btrbk 的配置不可见", "the configuration of btrbk is not visible"))
    return [Saved(found, target, kind="snapshot" if target == "/" else "files")]


def _lvcreate(command: Command, around: Around) -> list[Saved]:
    return _snapshot(command, around, ()) if command.has("-s", "--snapshot") else []


def _snapshots_by_settings(command: Command, around: Around) -> list[Saved]:
    """snapper, sanoid and the like: a file of theirs says what they cover."""
    return _snapshot(command, around, ())


# --- databases


def _database(command: Command, around: Around) -> list[Saved]:
    tool = command.tool or ""
    target = command.written() or command.option("-f", "--file", "--result-file", "-D", "--pgdata", "--target-dir", "--out", "-o", "--outputdir", "--rdb")
    whole: bool | Unobserved = True
    if tool not in WHOLE and not command.has("--all-databases", "-A"):
        whole = Unobserved(Reason.NO_DATA, around.job, Text("只转储部分数据库，名称不采集", "only some databases are dumped; names are not collected"))
    return [Saved((), target, kind="database", encrypted=command.enciphered(), engine=DATABASES[tool], whole=whole)]


def _database_if(*verbs: str) -> Saves:
    """Tools that save only if told to."""
    return lambda command, around: _database(command, around) if command.has(*verbs) else []


def _database_unless(*structure_only: str) -> Saves:
    """Tools that dump the structure alone if told to."""
    return lambda command, around: [] if command.has(*structure_only) else _database(command, around)


def _pgbackrest(command: Command, around: Around) -> list[Saved]:
    if not command.has("backup", "--backup"):
        return []
    encrypted = command.enciphered() or Unobserved(
        Reason.NO_DATA, "pgbackrest", Text("没有看到仓库的加密设置", "the encryption of the repository is not visible")
    )
    return [Saved((), _pgbackrest_repository(around), kind="database", encrypted=encrypted, engine="postgresql")]


def _pgbackrest_repository(around: Around) -> str:
    for name in ("/etc/pgbackrest/pgbackrest.conf", "/etc/pgbackrest.conf"):
        said = dict(pair for line in around.settings.get(name, ()) if (pair := setting(line)) is not None)
        if said.get("repo1-type") in ("s3", "azure", "gcs"):
            return "s3://***"
        if "repo1-host" in said:
            return f"{said['repo1-host']}:/"
        if "repo1-path" in said:
            return said["repo1-path"]
    return "/var/lib/pgbackrest"


DATABASES = {
    "mysqldump": "mysql",
    "mariadb-dump": "mysql",
    "mydumper": "mysql",
    "mysqlpump": "mysql",
    "automysqlbackup": "mysql",
    "xtrabackup": "mysql",
    "mariabackup": "mysql",
    "mariadb-backup": "mysql",
    "innobackupex": "mysql",
    "pg_dump": "postgresql",
    "pg_dumpall": "postgresql",
    "pg_basebackup": "postgresql",
    "pgbackrest": "postgresql",
    "barman": "postgresql",
    "wal-g": "postgresql",
    "wal-e": "postgresql",
    "autopostgresqlbackup": "postgresql",
    "mongodump": "mongodb",
    "redis-cli": "redis",
}
"""Tools and the engine that they save."""
WHOLE = frozenset(DATABASES) - {"mysqldump", "mariadb-dump", "mysqlpump", "pg_dump"}
"""Tools that save every database unless told otherwise."""
TOOLS: dict[str, Saves] = {
    **dict.fromkeys(("rsync", "scp", "rdiff-backup"), _copy),
    **dict.fromkeys(("rclone", "aws", "s3cmd", "gsutil", "ossutil", "ossutil64", "obsutil", "coscli", "azcopy", "mc"), _to_cloud),
    "cp": _cp,
    "tar": _tar,
    "restic": _restic,
    **dict.fromkeys(("resticprofile", "autorestic", "duply"), _by_profile),
    "borg": _borg,
    "borgmatic": _borgmatic,
    "kopia": _kopia,
    "duplicity": _duplicity,
    "tarsnap": _tarsnap,
    "proxmox-backup-client": _proxmox,
    "rsnapshot": _rsnapshot,
    "ssh": _elsewhere,
    "zfs": _zfs,
    "syncoid": _syncoid,
    "btrfs": _btrfs,
    "btrbk": _btrbk,
    "lvcreate": _lvcreate,
    **dict.fromkeys(("snapper", "sanoid", "znapzend", "zrepl"), _snapshots_by_settings),
    **dict.fromkeys(DATABASES, _database),
    **dict.fromkeys(("barman", "xtrabackup", "mariabackup", "mariadb-backup"), _database_if("backup", "--backup")),
    **dict.fromkeys(("wal-g", "wal-e"), _database_if("backup-push")),
    "redis-cli": _database_if("--rdb"),
    **dict.fromkeys(("mysqldump", "mariadb-dump"), _database_unless("--no-data", "-d")),
    "pg_dump": _database_unless("--schema-only", "-s"),
    "pg_dumpall": _database_unless("--schema-only", "-s", "--globals-only", "-g", "--roles-only", "-r", "--tablespaces-only", "-t"),
    "pgbackrest": _pgbackrest,
}
