"""Which backups this host makes, where they go, and what they protect.

Sources: the jobs of `schedules` (masked command lines), settings of backup tools, backup agents that run, the site's backup plan (form T-10).
A tool is recognised by its own command; what a masked word hides (a database's name, a repository in a file) stays unknown and is never guessed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from fnmatch import fnmatchcase

from tutela.evidence import Reason, Unobserved
from tutela.facts import mounts, schedules, units
from tutela.facts.look import Look
from tutela.facts.mounts import Mounts, under
from tutela.facts.schedules import Job, Schedules
from tutela.facts.unseen import unseen
from tutela.language import Text
from tutela.record import record, replace
from tutela.site import DataSet

RCLONE = ("/root/.config/rclone/rclone.conf", "/etc/rclone.conf")
OPEN_FILES = "find (backup directories) -type f -perm -004"
NEEDS = (*schedules.NEEDS, *mounts.NEEDS, *RCLONE, OPEN_FILES, "hostname", "ip -o addr")
MAX_BACKUPS = 500
YEAR = 365

FILE_TOOLS = frozenset({"restic", "resticprofile", "autorestic", "borg", "borgmatic", "rsync", "rclone", "duplicity", "duply", "kopia", "tar", "rsnapshot", "rdiff-backup", "tarsnap", "proxmox-backup-client", "aws", "s3cmd", "gsutil", "ossutil", "ossutil64", "obsutil", "coscli", "azcopy", "mc", "scp", "cp"})  # fmt: skip
SNAPSHOT_TOOLS = frozenset({"zfs", "btrfs", "btrbk", "snapper", "sanoid", "syncoid", "znapzend", "zrepl", "lvcreate"})
DATABASE_TOOLS = {
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
WHOLE = frozenset({"xtrabackup", "mariabackup", "mariadb-backup", "innobackupex", "mydumper", "automysqlbackup", "pg_dumpall", "pg_basebackup", "pgbackrest", "barman", "wal-g", "wal-e", "autopostgresqlbackup", "mongodump", "redis-cli"})  # fmt: skip
"""Tools that save every database unless told otherwise."""
OF_THE_SYSTEM = frozenset({"/etc/cron.daily/dpkg"})
"""Jobs that come with the system and keep a copy of its own lists beside them; no backup of anybody's data."""
AGENTS = {
    "bacula-fd": "bacula",
    "bareos-fd": "bareos",
    "bareos-filedaemon": "bareos",
    "veeamservice": "veeam",
    "burp": "burp",
    "urbackupclientbackend": "urbackup",
    "acronis_mms": "acronis",
    "dsmcad": "tsm",
    "networker": "networker",
    "nxagent": "veeam",
}
"""Units of agents whose jobs a server elsewhere plans."""
UPKEEP = frozenset({"forget", "prune", "check", "verify", "restore", "cleanup", "purge", "delete", "remove-older-than", "remove-all-but-n-full", "remove-all-inc-of-but-n-full", "collection-status", "list-current-files", "snapshots", "unlock", "stats", "init", "copy"})  # fmt: skip
"""What tools do with backups that are there."""
SELF_ENCRYPTING = frozenset({"restic", "resticprofile", "autorestic", "kopia", "tarsnap"})
ENGINES = {
    "mysql": (("mysql", "mysqld", "mariadb", "mariadb@", "mysql@"), ("/var/lib/mysql", "/var/lib/mariadb")),
    "postgresql": (("postgresql", "postgresql@", "postgresql-"), ("/var/lib/postgresql", "/var/lib/pgsql")),
    "mongodb": (("mongod", "mongodb"), ("/var/lib/mongodb", "/var/lib/mongo")),
}
"""Units and data directories of database engines."""
CLOUD_HOSTS = re.compile(
    r"(amazonaws\.com(\.cn)?|aliyuncs\.com|myqcloud\.com|myhuaweicloud\.com|bcebos\.com|volces\.com|ksyuncs\.com|qiniucs\.com|backblazeb2\.com"
    r"|wasabisys\.com|googleapis\.com|windows\.net|cloudflarestorage\.com|digitaloceanspaces\.com)$"
)
CLOUD_PREFIXES = ("s3://", "gs://", "oss://", "cos://", "obs://", "az://", "b2://", "b2:", "gs:", "azure:", "swift:")
CLOUD_REMOTES = frozenset({"s3", "b2", "azureblob", "azurefiles", "drive", "dropbox", "onedrive", "swift", "googlecloudstorage", "box", "mega", "pcloud", "hidrive", "oos", "qingstor"})  # fmt: skip
HOST_REMOTES = frozenset({"sftp", "webdav", "ftp", "smb", "http", "hdfs"})
LOCAL_WORDS = frozenset({"localhost", "127.0.0.1", "::1", "ip6-localhost"})
LOOKS_LIKE_BACKUP = re.compile(r"back-?up|bak\b|dump|snapshot|restic|borg|archiv", re.IGNORECASE)
PREFIXES = frozenset({"sudo", "nice", "ionice", "chronic", "exec", "env", "time", "timeout", "flock", "systemd-run", "systemd-cat", "runuser", "su", "if", "!", "--", "-", "sh", "bash", "dash", "export", "root", "docker", "podman"})  # fmt: skip
TAKES_VALUE = frozenset({"-e", "--rsh", "--exclude", "--exclude-from", "--exclude-file", "--iexclude", "--include-from", "--files-from", "--password-file", "--passphrase-file", "--config", "-c", "--cache-dir", "--log-file", "--temp-dir", "--link-dest", "--compare-dest", "--copy-dest", "--backup-dir", "--partial-dir", "--tag", "--host", "-i", "--key-file", "--rsync-path", "-T", "-X", "--defaults-file", "--defaults-extra-file", "--exclude-if-present"})  # fmt: skip


@record
class Backup:
    """Backup(job='site-backup.timer', tool='restic', kind='files', engine=None, sources=('/etc', '/srv'), destination='other-host', …)"""

    job: str
    tool: str
    kind: str
    """files | database | snapshot | agent"""
    engine: str | None
    """mysql | postgresql | mongodb | redis"""
    sources: tuple[str, ...] | Unobserved
    excluded: tuple[str, ...]
    one_file_system: bool
    whole: bool | Unobserved
    """A database tool saves all databases; always True for others."""
    destination: str | Unobserved
    """same-host | other-host | cloud"""
    target: str
    """Where it goes, as far as it may be said."""
    encrypted: bool | Unobserved
    append_only: bool
    enabled: bool | Unobserved
    periods: float | Unobserved
    """Age of the last success in lengths of the schedule's longest gap: up to 1 in the normal course."""
    age: timedelta | Unobserved
    failed: bool | Unobserved


@record
class Copy:
    """Copy(job='site-backup.timer', tool='restic', periods=0.4, failed=False, in_rpo=True, off_host=True, second=True)"""

    job: str
    tool: str
    periods: float | Unobserved
    failed: bool | Unobserved
    in_rpo: bool | Unobserved
    """Within the data set's RPO; True where none is declared."""
    off_host: bool | Unobserved
    """A copy lies on another machine, directly or because another job takes it there."""
    second: bool | Unobserved
    """A copy lies at another site, or cannot be changed from here."""


@record
class Protected:
    """Protected(path='/srv', copies=(Copy(…),), last_drill_days=40, drills_in_a_year=2)"""

    path: str
    """Of a data set; `-` stands for all that the host saves where no plan is lodged."""
    copies: tuple[Copy | Unobserved, ...]
    last_drill_days: int | None
    """Age of the last restore drill that brought everything back."""
    drills_in_a_year: int


@record
class Store:
    """Store(path='/var/backups/db', open_to_all=False)"""

    path: str
    open_to_all: bool | Unobserved


@record
class Engine:
    """Engine(name='mysql', dumped=True, copied=False)"""

    name: str
    dumped: bool | Unobserved
    """Whether an enabled job saves it through the engine."""
    copied: bool
    """Whether an enabled job copies its live data directory."""


@record
class Backups:
    """Backups(jobs=(Backup(…),), declared=True, unimportant=False, protected=(Protected(…),), …)"""

    jobs: tuple[Backup | Unobserved, ...]
    declared: bool
    """Whether a backup plan (T-10) is lodged for this host."""
    unimportant: bool
    """The plan says of every data set that it needs no backup."""
    protected: tuple[Protected, ...]
    """Important data sets."""
    due: tuple[Protected, ...]
    """What must be recent: the important data sets; without a plan each enabled job."""
    stores: tuple[Store | Unobserved, ...]
    """Repositories and dumps on this host."""
    sealed: bool | Unobserved
    """Whether whatever leaves the host leaves it encrypted; unknown with plain copies, whose protection only their target shows."""
    engines: tuple[Engine, ...] | Unobserved
    """Database engines that run here."""


def parse(look: Look) -> Backups | Unobserved:
    """The fact."""
    plans = look.fact(schedules.parse)
    if isinstance(plans, Unobserved):
        return plans
    context = _Context(look, plans)
    jobs = tuple(context.all())
    sets = look.site.data_sets
    important = tuple(one for one in sets or () if one.important)
    protected = tuple(context.protect(one, jobs) for one in important)
    if not sets:
        protected = (context.protect(None, jobs),)
    enabled = [job for job in jobs if isinstance(job, Unobserved) or job.enabled is not False]
    due = (
        protected
        if sets
        else tuple(Protected(job.job if isinstance(job, Backup) else job.source, (context.copy(job, None, jobs),), None, 0) for job in enabled)
    )
    return Backups(
        jobs=jobs,
        declared=bool(sets),
        unimportant=bool(sets) and not important,
        protected=protected,
        due=due,
        stores=tuple(context.stores(jobs)),
        sealed=_sealed(jobs),
        engines=context.engines(jobs),
    )


@record
class _Said:
    """What lines of a job say about backups."""

    settings: dict[str, str]
    pipelines: list[list[list[str]]]
    """Words of each command of a pipeline, of those in which a backup tool is run."""


@record
class _Commands:
    """A fact of its own for the lines of each job, since hosts share jobs and differ in when they ran."""

    lines: tuple[str, ...]

    def __call__(self, look: Look) -> _Said:
        del look
        settings = dict(pair for line in self.lines if (pair := _setting(line)) is not None)
        pipelines = []
        for line in self.lines:
            for statement in re.split(r" (?:;|&&|\|\||then|do|else|[{}]|!) ", f" {line} "):
                pipeline = [part.split() for part in statement.split(" | ")]
                if any(_tool(words)[0] is not None for words in pipeline):
                    pipelines.append(pipeline)
        return _Said(settings, pipelines)


def _saving(look: Look) -> tuple[int, ...]:
    """Places of the jobs that say something about backups, and of the holes."""
    plans = look.fact(schedules.planned)
    return (
        () if isinstance(plans, Unobserved) else tuple(place for place, plan in enumerate(plans.jobs) if isinstance(plan, Unobserved) or _saves(look, plan.job))
    )


def _saves(look: Look, job: Job) -> bool:
    return job.id not in OF_THE_SYSTEM and (bool(look.fact(_Commands(job.lines)).pipelines) or _opaque(job) is not None)


def _own(look: Look) -> set[str]:
    """Names and addresses of this host."""
    own = set(LOCAL_WORDS)
    hostname, addresses = look.text("hostname"), look.text("ip -o addr")
    if isinstance(hostname, str) and hostname.strip():
        own |= {hostname.strip(), hostname.strip().partition(".")[0]}
    if isinstance(addresses, str):
        own |= set(re.findall(r" inet6? ([0-9a-f.:]{3,45})/", addresses[:100_000]))
    return own


class _Context:
    def __init__(self, look: Look, plans: Schedules) -> None:
        self.look = look
        self.plans = plans
        mounted = look.fact(mounts.parse)
        self.mounted: Mounts | None = None if isinstance(mounted, Unobserved) else mounted
        self.unknown_mounts = unseen(look, mounts.SOURCE)
        self.unknown_names = unseen(look, "hostname") or unseen(look, "ip -o addr")
        self.unknown_remotes = next((doubt for name in RCLONE if (doubt := unseen(look, name)) is not None), None)
        self.own = look.fact(_own)
        self.recognised = False
        self.remotes: dict[str, str] = {}
        for name in RCLONE:
            text = look.text(name)
            section = ""
            for line in text.split("\n")[:2000] if isinstance(text, str) else ():
                if line.startswith("["):
                    section = line.strip("[]")
                elif line.startswith("type"):
                    self.remotes[section] = line.partition("=")[2].strip()

    # --- recognising

    def all(self) -> Iterator[Backup | Unobserved]:
        """Every backup of every job, then the agents."""
        count = 0
        for place in self.look.fact(_saving):
            job = self.plans.jobs[place]
            if isinstance(job, Unobserved):
                yield job
                continue
            self.recognised = False
            found = list(self._of_job(job))
            if not self.recognised and (doubt := _opaque(job)) is not None:
                yield doubt
            for one in found:
                count += 1
                if count <= MAX_BACKUPS:
                    yield one
        yield from self._agents()

    def _of_job(self, job: Job) -> Iterator[Backup]:
        commands = self.look.fact(_Commands(job.lines))
        for pipeline in commands.pipelines:
            for number, words in enumerate(pipeline):
                tool, arguments = _tool(words)
                if tool is not None:
                    self.recognised = True
                    if _rehearses(tool, arguments):
                        continue
                    made = [one for one in self._backup(job, tool, arguments, pipeline[number:], commands.settings) if one.target != "/dev/null"]
                    yield from made
                    if made:
                        break

    def _backup(self, job: Job, tool: str, arguments: list[str], pipeline: list[list[str]], settings: dict[str, str]) -> list[Backup]:
        if tool in DATABASE_TOOLS:
            return self._database(job, tool, arguments, pipeline, settings)
        if tool in SNAPSHOT_TOOLS:
            return self._snapshot(job, tool, arguments, pipeline)
        handler = {"borgmatic": self._borgmatic, "rsnapshot": self._rsnapshot}.get(tool)
        if handler is not None:
            return handler(job, tool, arguments)
        places, excluded = _places(arguments)
        flags = "".join(word[1:] for word in arguments if re.fullmatch(r"-[A-Za-z]+", word))
        one_fs = "--one-file-system" in arguments or (tool in ("rsync", "restic", "borg") and "x" in flags)
        sources: tuple[str, ...] | Unobserved
        target: str
        if tool == "restic":
            if _verb(arguments, UPKEEP | {"backup"}) != "backup":
                return []
            target = _option(arguments, "-r", "--repo") or settings.get("RESTIC_REPOSITORY", "")
            places = [one for one in places if one != target]
            sources = tuple(places)
        elif tool == "borg":
            if "create" not in arguments:
                return []
            repository = next((one for one in arguments if "::" in one), "")
            target = repository.partition("::")[0] or settings.get("BORG_REPO", "")
            sources = tuple(one for one in places if one.startswith("/") and "::" not in one)
        elif tool == "kopia":
            if "create" not in arguments and "snap" not in arguments:
                return []
            target, sources = "", tuple(places)
        elif tool == "tar":
            archive = _archive(arguments)
            if archive is None:
                return []
            target = archive if archive != "-" else _written(pipeline)
            sources = tuple(one for one in places if one != archive)
        elif tool == "proxmox-backup-client":
            if "backup" not in arguments:
                return []
            target = settings.get("PBS_REPOSITORY", "") or _option(arguments, "--repository")
            target = target and f"pbs://{target.rpartition('@')[2]}"
            sources = tuple(one.partition(":")[2] for one in arguments if re.fullmatch(r"[a-z0-9_-]+\.(pxar|img|conf|log):/\S*", one))
        elif tool == "duplicity":
            if _verb(arguments, UPKEEP) is not None:
                return []
            places = places[1:] if places[:1] in (["backup"], ["full"], ["incr"], ["incremental"]) else places
            target = places[-1] if places else ""
            sources = tuple(places[:-1])
        elif tool in ("resticprofile", "autorestic", "duply", "tarsnap"):
            if "c" not in flags if tool == "tarsnap" else _verb(arguments, UPKEEP | {"backup", "full", "incr"}) in UPKEEP:
                return []
            target, sources = ("tarsnap://tarsnap.com" if tool == "tarsnap" else ""), tuple(one for one in places if tool == "tarsnap" and one.startswith("/"))
        elif tool == "cp":
            deep = {"--archive", "--recursive"} & set(arguments) or set("arR") & set(flags)
            if len(places) < 2 or not deep or not LOOKS_LIKE_BACKUP.search(places[-1]):
                return []
            target, sources = places[-1], tuple(places[:-1])
        else:
            if tool in ("rclone", "aws", "s3cmd", "gsutil", "ossutil", "ossutil64", "obsutil", "coscli", "azcopy", "mc") and not (
                {"sync", "copy", "cp", "rsync", "mirror", "put", "move", "bisync", "mv", "***"} & set(arguments)
            ):
                return []
            if len(places) < 2:
                if tool not in ("rsync", "rclone") or not places:
                    return []
                places = ["***", *places]
            target, sources = places[-1], tuple(places[:-1])
            if any(_remote(one) for one in sources) or (tool == "scp" and not _remote(target)):
                return []  # a pull: another machine's data come here
        if not sources or "***" in sources:
            sources = Unobserved(Reason.NO_DATA, job.id, Text(f"{tool} 备份哪些目录不可见", f"what {tool} saves is not visible"))
        files_from = any(word.startswith("--files-from") for word in arguments)
        if files_from:
            sources = Unobserved(Reason.NO_DATA, job.id, Text("备份清单在文件里，没有采集", "the list of what is saved stands in a file that is not collected"))
        return [
            self._made(job, tool, "files", sources, target, excluded, one_fs=one_fs, encrypted=_encrypted(tool, arguments, pipeline, settings), words=arguments)
        ]

    def _database(self, job: Job, tool: str, arguments: list[str], pipeline: list[list[str]], settings: dict[str, str]) -> list[Backup]:
        if tool in ("pgbackrest", "barman", "xtrabackup", "mariabackup", "mariadb-backup") and not {"backup", "--backup"} & set(arguments):
            return []
        if tool in ("wal-g", "wal-e") and "backup-push" not in arguments:
            return []
        if tool == "redis-cli" and "--rdb" not in arguments:
            return []
        if _holds_no_data(tool, arguments):
            return []
        target = _written(pipeline) or _option(
            arguments, "-f", "--file", "--result-file", "-D", "--pgdata", "--target-dir", "--out", "-o", "--outputdir", "--rdb"
        )
        if tool == "pgbackrest":
            target = self._pgbackrest()
        whole: bool | Unobserved = True
        if tool not in WHOLE and not {"--all-databases", "-A"} & set(arguments):
            whole = Unobserved(Reason.NO_DATA, job.id, Text("只转储部分数据库，名称不采集", "only some databases are dumped; names are not collected"))
        made = self._made(job, tool, "database", (), target, [], encrypted=_encrypted(tool, arguments, pipeline, settings), words=arguments)
        return [replace(made, engine=DATABASE_TOOLS[tool], whole=whole)]

    def _pgbackrest(self) -> str:
        for name in ("/etc/pgbackrest/pgbackrest.conf", "/etc/pgbackrest.conf"):
            said = dict(pair for line in self.plans.settings.get(name, ()) if (pair := _setting(line)) is not None)
            if said.get("repo1-type") in ("s3", "azure", "gcs"):
                return "s3://***"
            if "repo1-host" in said:
                return f"{said['repo1-host']}:/"
            if "repo1-path" in said:
                return said["repo1-path"]
        return "/var/lib/pgbackrest"

    def _snapshot(self, job: Job, tool: str, arguments: list[str], pipeline: list[list[str]]) -> list[Backup]:
        sent = any(_tool(part)[0] == "ssh" or "ssh" in part[:6] for part in pipeline[1:])
        target = "ssh://***" if sent else "/"
        names = [one for one in arguments if re.fullmatch(r"[A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+)*(@\S+)?", one) and not one.startswith("-")]
        sources: tuple[str, ...] | Unobserved
        if tool == "zfs":
            if arguments[:1] == ["send"]:
                sources = self._datasets([one for one in names[1:] if "/" in one or "@" in one])
            elif arguments[:1] in (["snapshot"], ["snap"]):
                sources = self._datasets(names[1:])
            else:
                return []
        elif tool == "syncoid":
            remote = next((one for one in arguments if re.fullmatch(r"\S+@\S+:\S+|[a-z0-9.-]+:\S+", one)), "")
            target = remote or target
            sources = self._datasets([one for one in names if "/" in one][:1])
        elif tool == "btrfs":
            places, _ = _places(arguments)
            if "snapshot" not in arguments and "send" not in arguments:
                return []
            sources = tuple(places[:1])
        elif tool == "btrbk":
            if not {"run", "snapshot"} & set(arguments):
                return []
            return self._btrbk(job)
        elif tool == "lvcreate":
            if not {"-s", "--snapshot"} & set(arguments):
                return []
            sources = ()
        else:
            sources = ()
        if sources == ():
            sources = Unobserved(Reason.NO_DATA, job.id, Text("快照的范围不可见", "what the snapshots cover is not visible"))
        kind = "files" if sent or _remote(target) else "snapshot"
        return [self._made(job, tool, kind, sources, target, [], encrypted=False, words=arguments)]

    def _datasets(self, names: list[str]) -> tuple[str, ...]:
        """Mount points of ZFS datasets."""
        wanted = [name.partition("@")[0] for name in names]
        if self.mounted is None:
            return ()
        return tuple(one.path for one in self.mounted.all if one.type == "zfs" and any(under("/" + one.device, "/" + name) for name in wanted))

    def _btrbk(self, job: Job) -> list[Backup]:
        volume, sources, target = "", [], "/"
        for line in self.plans.settings.get("/etc/btrbk/btrbk.conf", ()):
            words = line.split()
            if words[:1] == ["volume"]:
                volume = words[1] if len(words) > 1 else ""
            elif words[:1] == ["subvolume"] and volume:
                sources.append(volume)
            elif words[:1] == ["target"] and len(words) > 1:
                target = words[-1]
        found: tuple[str, ...] | Unobserved = tuple(dict.fromkeys(sources))
        if not found:
            found = Unobserved(Reason.NO_DATA, job.id, Text("btrbk 的配置不可见", "the configuration of btrbk is not visible"))
        return [self._made(job, "btrbk", "files" if _remote(target) or target != "/" else "snapshot", found, target, [], encrypted=False, words=[])]

    def _borgmatic(self, job: Job, tool: str, arguments: list[str]) -> list[Backup]:
        names = [name for name in self.plans.settings if "borgmatic" in name]
        if {"list", "info", "check", "prune"} & set(arguments) and "create" not in arguments:
            return []
        made = []
        for name in names:
            lists = _yaml_lists(self.plans.settings[name])
            sources: tuple[str, ...] | Unobserved = tuple(lists.get("source_directories", ()))
            if not sources:
                sources = Unobserved(Reason.NO_DATA, name, Text("没有看到 source_directories", "no source_directories are visible"))
            encrypted = any(re.match(r"\s*encryption_pass(phrase|command):", line) for line in self.plans.settings[name])
            targets = lists.get("repositories") or [""]
            made += [self._made(job, tool, "files", sources, target, [], encrypted=encrypted, words=arguments) for target in targets]
        if made:
            return made
        hidden = Unobserved(Reason.NO_DATA, "/etc/borgmatic/config.yaml", Text("borgmatic 的配置不可见", "the configuration of borgmatic is not visible"))
        return [self._made(job, tool, "files", hidden, "", [], encrypted=hidden, words=arguments)]

    def _rsnapshot(self, job: Job, tool: str, arguments: list[str]) -> list[Backup]:
        root, sources = "", []
        for line in self.plans.settings.get("/etc/rsnapshot.conf", ()):
            words = line.split()
            if words[:1] == ["snapshot_root"] and len(words) > 1:
                root = words[1]
            elif words[:1] == ["backup"] and len(words) > 1 and words[1].startswith("/"):
                sources.append(words[1])
        found: tuple[str, ...] | Unobserved = tuple(sources)
        if not sources:
            found = Unobserved(Reason.NO_DATA, "/etc/rsnapshot.conf", Text("没有看到 backup 行", "no backup line is visible"))
        return [self._made(job, tool, "files", found, root, [], encrypted=False, words=arguments)]

    def _agents(self) -> Iterator[Backup | Unobserved]:
        up = self.look.fact(units.up)
        if isinstance(up, Unobserved):
            return
        for stem, product in AGENTS.items():
            for unit in up.running(stem):
                hidden = Unobserved(
                    Reason.NO_ANSWER, unit, Text("任务由备份服务器安排，主机上看不到", "a backup server elsewhere plans its jobs; they cannot be seen here")
                )
                yield Backup(unit, product, "agent", None, hidden, (), False, hidden, hidden, product, hidden, False, True, hidden, hidden, hidden)

    def _made(self, job: Job, tool: str, kind: str, sources: tuple[str, ...] | Unobserved, target: str, excluded: list[str], *, encrypted: bool | Unobserved, words: list[str], one_fs: bool = False) -> Backup:  # fmt: skip
        destination = self.destination(target, job.id)
        age: timedelta | Unobserved = job.succeeded if isinstance(job.succeeded, Unobserved) else _age(self.look.now, job.succeeded)
        periods: float | Unobserved
        if isinstance(age, Unobserved):
            periods = age
        elif isinstance(job.interval, Unobserved):
            periods = job.interval
        else:
            periods = round(age / job.interval, 2) if job.interval else 0.0
        return Backup(
            job=job.id,
            tool=tool,
            kind=kind,
            engine=None,
            sources=sources,
            excluded=tuple(excluded),
            one_file_system=one_fs,
            whole=True,
            destination=destination,
            target=target,
            encrypted=encrypted,
            append_only="--append-only" in words,
            enabled=job.enabled,
            periods=periods,
            age=age,
            failed=job.failed,
        )

    # --- where it goes

    def destination(self, target: str, place: str) -> str | Unobserved:
        """same-host | other-host | cloud."""
        hidden = Unobserved(Reason.NO_DATA, place, Text("备份目的地不可见", "where the backup goes is not visible"))
        if not target or target.startswith(("***", "$")):
            return hidden
        target = target.removeprefix("file://")
        if target.startswith("/"):
            if self.unknown_mounts is not None:
                return self.unknown_mounts
            mount = self.mounted.of(target) if self.mounted is not None else None
            return "other-host" if mount is not None and mount.remote else "same-host"
        if (found := re.match(r"(?:s3|s3\+https?):(?:https?:)?//([A-Za-z0-9.:-]+)", target)) and not target.startswith("s3://"):
            host = found[1].partition(":")[0]
            return "same-host" if host in self.own else "cloud" if CLOUD_HOSTS.search(host) else "other-host"
        if target.startswith(CLOUD_PREFIXES):
            return "cloud"
        target = target.removeprefix("rclone:")
        remote = target.partition(":")[0]
        if remote in self.remotes:
            kind = self.remotes[remote]
            if kind in CLOUD_REMOTES:
                return "cloud"
            if kind in HOST_REMOTES:
                return "other-host"
            return "same-host" if kind == "local" else hidden
        if self.unknown_remotes is not None and re.fullmatch(r"[\w-]+:.*", target):
            return self.unknown_remotes
        host = _host(target)
        if host is None:
            return hidden
        return "same-host" if host in self.own else self.unknown_names or "other-host"

    # --- what it protects

    def protect(self, data: DataSet | None, jobs: tuple[Backup | Unobserved, ...]) -> Protected:
        """A data set and the copies of it; None: all that is saved."""
        copies: list[Copy | Unobserved] = []
        for job in jobs:
            if isinstance(job, Unobserved):
                copies.append(job)
                continue
            if job.enabled is False:
                continue
            covers = True if data is None else self.covers(job, data.path)
            if isinstance(covers, Unobserved):
                copies.append(covers)
            elif isinstance(job.enabled, Unobserved):
                copies.append(job.enabled)
            elif covers:
                copies.append(self.copy(job, data, jobs))
        if data is not None and data.backup_by:
            copies.append(
                Unobserved(Reason.NO_ANSWER, data.backup_by, Text("由主机之外的备份保护，没有接口可查", "saved from outside the host, and no interface to ask"))
            )
        today = self.look.today
        drills = sorted((today - one.on).days for one in (data.drills if data else ()) if one.intact and one.on <= today)
        return Protected(data.path if data else "-", tuple(copies), drills[0] if drills else None, sum(1 for days in drills if days <= YEAR))

    def copy(self, job: Backup | Unobserved, data: DataSet | None, jobs: tuple[Backup | Unobserved, ...]) -> Copy | Unobserved:
        """One backup as a copy of a data set."""
        if isinstance(job, Unobserved):
            return job
        in_rpo: bool | Unobserved = True
        if data is not None and data.rpo_hours is not None:
            in_rpo = job.age if isinstance(job.age, Unobserved) else job.age <= timedelta(hours=data.rpo_hours)
        destination = self._carried(job, jobs)
        off_host: bool | Unobserved = destination if isinstance(destination, Unobserved) else destination != "same-host"
        second: bool | Unobserved
        if off_host is not True:
            second = off_host
        elif destination == "cloud" or job.append_only or (data is not None and (data.off_site or data.immutable)):
            second = True
        elif data is None:
            second = Unobserved(
                Reason.NOT_LODGED, "T-10", Text("备份计划没有登记异地或不可改的副本", "no backup plan says whether a copy is off-site or immutable")
            )
        else:
            second = False
        return Copy(job.job, job.tool, job.periods, job.failed, in_rpo, off_host, second)

    def _carried(self, job: Backup, jobs: tuple[Backup | Unobserved, ...]) -> str | Unobserved:
        """Where a backup ends up: a dump on this host that another job takes elsewhere is elsewhere."""
        if job.destination != "same-host" or not job.target.startswith("/") or job.kind == "snapshot":
            return job.destination
        doubt: Unobserved | None = None
        for other in jobs:
            if isinstance(other, Unobserved) or other is job or other.enabled is not True or other.destination == "same-host":
                continue
            covers = self.covers(other, job.target)
            if covers is True:
                return other.destination
            if isinstance(covers, Unobserved) and other.kind == "agent":
                doubt = covers
        return doubt or job.destination

    def covers(self, job: Backup, path: str) -> bool | Unobserved:
        """Whether a backup holds what lies at a path."""
        if job.kind == "database":
            directories = ENGINES.get(job.engine or "", ((), ()))[1]
            if path == f"{job.engine}:" or any(under(path, one) for one in directories):
                return job.whole
            return path.startswith(f"{job.engine}:") and job.whole
        if isinstance(job.sources, Unobserved):
            return job.sources
        for source in job.sources:
            if not source.startswith("/"):
                continue
            if under(path, source) and not any(_leaves_out(one, source, path) for one in job.excluded):
                if job.one_file_system and self.unknown_mounts is not None:
                    return self.unknown_mounts
                if job.one_file_system and self.mounted is not None and self.mounted.of(path) != self.mounted.of(source):
                    continue
                return True
        if any("$" in one for one in job.sources):
            return Unobserved(Reason.NO_DATA, job.job, Text("变量的值不可见", "the value of a variable is not visible"))
        return False

    # --- protection of what was saved

    def stores(self, jobs: tuple[Backup | Unobserved, ...]) -> Iterator[Store | Unobserved]:
        """Local repositories and dumps, and who may read them."""
        listed = self.look.text(OPEN_FILES)
        open_files = listed.split("\n") if isinstance(listed, str) else []
        for path in dict.fromkeys(
            job.target for job in jobs if isinstance(job, Backup) and job.enabled is not False and job.kind != "snapshot" and job.target.startswith("/")
        ):
            clean = re.split(r"[$*]", path)[0].rstrip("/")
            top = clean if clean == path.rstrip("/") else clean.rpartition("/")[0]
            left = self.plans.left.get(clean) or self.plans.left.get(top)
            inside = [one for one in open_files if one and under(one, top)]
            if left is None:
                parent = self.plans.left.get(clean.rpartition("/")[0])
                if parent is not None and parent.directory and not parent.mode & 0o005:
                    yield Store(path, False)
                else:
                    yield Store(path, Unobserved(Reason.NO_DATA, path, Text("文件或目录没有看到", "the file or directory was not seen")))
            elif left.directory:
                # A directory that others may not enter shields all in it.
                yield Store(path, bool(left.mode & 0o001) and bool(inside or _whole_directory(left.mode)))
            else:
                yield Store(path, left.open_to_all and not self._shielded(clean))
        for job in jobs:
            if isinstance(job, Unobserved):
                yield job
            elif job.enabled is not False and job.kind == "files" and not job.target and isinstance(job.destination, Unobserved):
                yield job.destination

    def _shielded(self, path: str) -> bool:
        """Whether a directory above keeps others out."""
        while (path := path.rpartition("/")[0]) != "":
            left = self.plans.left.get(path)
            if left is not None and not left.mode & 0o001:
                return True
        return False

    def engines(self, jobs: tuple[Backup | Unobserved, ...]) -> tuple[Engine, ...] | Unobserved:
        """Database engines that run here and how they are saved."""
        up = self.look.fact(units.up)
        if isinstance(up, Unobserved):
            return up
        if not up.systemd:
            return Unobserved(
                Reason.NO_ANSWER, "systemctl", Text("不是 systemd，不知道运行着哪些数据库", "without systemd it is not known which databases run")
            )
        found = []
        for name, (stems, directories) in ENGINES.items():
            running = up.running(*stems) or [one for one in up.by_id.values() if one.running and name == "postgresql" and one.id.startswith("postgresql-")]
            if not running:
                continue
            dumped: bool | Unobserved = False
            copied = False
            for job in jobs:
                if isinstance(job, Unobserved):
                    dumped = job if dumped is False else dumped
                elif job.enabled is True and job.kind == "database" and job.engine == name:
                    dumped = True
                elif job.enabled is True and job.kind == "agent":
                    dumped = job.sources if dumped is False and isinstance(job.sources, Unobserved) else dumped
                elif job.enabled is True and job.kind == "files" and any(self.covers(job, one) is True for one in directories):
                    copied = True
            found.append(Engine(name, dumped, copied))
        return tuple(found)


def _whole_directory(mode: int) -> bool:
    """Others may list and enter it, so whatever lies in it is as open as its own mode says: for a repository that is the repository."""
    return bool(mode & 0o004) and bool(mode & 0o001)


def _age(now: datetime, then: datetime) -> timedelta | Unobserved:
    age = now - then
    if age < timedelta(hours=-1):
        return Unobserved(Reason.CLOCK, "clock", Text("成功时间在未来，时钟不可信", "the last success lies in the future: the clock is not trustworthy"))
    return max(age, timedelta())


def _sealed(jobs: tuple[Backup | Unobserved, ...]) -> bool | Unobserved:
    for job in jobs:
        if isinstance(job, Unobserved):
            return job
        if job.enabled is False or job.destination == "same-host":
            continue
        if isinstance(job.destination, Unobserved) and job.encrypted is not True:
            return job.destination
        if isinstance(job.encrypted, Unobserved):
            return job.encrypted
        if not job.encrypted:
            return Unobserved(
                Reason.NO_VANTAGE,
                job.target,
                Text("明文副本在别处，那里的权限从本机看不到", "a plain copy lies elsewhere, and who may read it there cannot be seen from here"),
            )
    return True


def _opaque(job: Job) -> Unobserved | None:
    """A job that by its name may be a backup, though nothing in it is recognised."""
    if job.enabled is False:
        return None
    names = [job.id, *job.opaque]
    own = [line for line in job.lines[:1] if not line.startswith(schedules.PACKAGED)]
    if any(LOOKS_LIKE_BACKUP.search(name) for name in names) and (job.opaque or own):
        what = job.opaque[0] if job.opaque else job.id
        return Unobserved(Reason.FORMAT, what, Text("像是备份任务，但看不出用什么工具备份什么", "it looks like a backup, but not with which tool or of what"))
    return None


def _tool(words: list[str]) -> tuple[str | None, list[str]]:
    """The backup tool that a command runs, behind sudo, nice and the like, and its arguments."""
    for number, word in enumerate(words[:16]):
        # What is assigned is not run: `RESTIC_REPOSITORY=/mnt/nas/restic`.
        name = "" if "=" in word else word.rpartition("/")[2]
        if name in FILE_TOOLS or name in SNAPSHOT_TOOLS or name in DATABASE_TOOLS or name == "ssh":
            return name, words[number + 1 :]
        known = name in PREFIXES or word.startswith("-") or word == "***" or "=" in word or word.isdigit()
        if not known and not ("flock" in words[:number] and word.startswith("/")):
            return None, []
    return None, []


def _setting(line: str) -> tuple[str, str] | None:
    found = re.fullmatch(r"(?:export )?([A-Za-z_][A-Za-z0-9_-]{0,60})=(\S{0,1000})", line.strip())
    return (found[1], found[2]) if found else None


def _remote(word: str) -> bool:
    return not word.startswith("/") and (re.match(r"[A-Za-z][A-Za-z0-9+.-]*://|(\S+@)?[A-Za-z0-9_.-]+::?", word) is not None)


def _place(word: str) -> bool:
    return word.startswith(("/", "$", "./", "~/")) or _remote(word)


REHEARSALS = frozenset({"--dry-run", "--dryrun", "-dryRun", "--fake", "--list-only"})
SHORT_REHEARSAL = frozenset({"rsync", "restic", "borg", "borgmatic", "rclone", "s3cmd", "btrbk", "zfs"})
"""Tools whose -n only shows what they would do."""


def _rehearses(tool: str, arguments: list[str]) -> bool:
    if any(word.partition("=")[0] in REHEARSALS and word.partition("=")[2] not in ("false", "0") for word in arguments):
        return True
    return tool in SHORT_REHEARSAL and any(re.fullmatch(r"-[A-Za-z]*n[A-Za-z]*", word) for word in arguments)


def _verb(arguments: list[str], verbs: frozenset[str]) -> str | None:
    """What a tool is told to do: the first of these words, as one of them may also be a value behind it (`restic forget --tag backup`)."""
    return next((word for word in arguments if word in verbs), None)


def _holds_no_data(tool: str, arguments: list[str]) -> bool:
    """A dump of the structure alone."""
    if tool in ("mysqldump", "mariadb-dump"):
        return bool({"--no-data", "-d"} & set(arguments))
    if tool == "pg_dump":
        return bool({"--schema-only", "-s"} & set(arguments))
    return tool == "pg_dumpall" and bool({"--schema-only", "-s", "--globals-only", "-g", "--roles-only", "-r", "--tablespaces-only", "-t"} & set(arguments))


def _leaves_out(pattern: str, source: str, path: str) -> bool:
    """Whether an exclusion leaves out what lies at a path below a source."""
    name = re.sub(r"(?:/+\**)+$", "", pattern)  # all that is below a folder is the folder's content
    if name.startswith("/") or not name:
        return under(path, name or "/")
    below = path.removeprefix(source.rstrip("/")).strip("/")
    return f"/{name}/" in f"/{below}/" if "/" in name else any(fnmatchcase(part, name) for part in below.split("/"))


def _places(arguments: list[str]) -> tuple[list[str], list[str]]:
    """Paths and targets among arguments, and what is excluded."""
    places: list[str] = []
    excluded: list[str] = []
    value_of = ""
    for word in arguments:
        if re.match(r"[0-9]?>>?|<", word):
            # What follows a redirection is the output.
            value_of = ">" if word in (">", ">>", "1>", "2>", "<") else ""
            continue
        if value_of:
            if value_of in ("--exclude", "--iexclude"):
                excluded.append(word.strip("\"'"))
            value_of = ""
            if not word.startswith("-"):
                continue
        if word in TAKES_VALUE or word in ("-r", "--repo"):
            # rsync, cp and tar know -r as "recursive"; a path behind it belongs to them.
            value_of = word if word != "-r" else ""
            continue
        if word.startswith("--exclude="):
            excluded.append(word[10:].strip("\"'"))
        elif not word.startswith("-") and _place(word):
            places.append(word)
    if any(word.startswith("--include") for word in arguments):
        # An earlier --include takes from what a pattern leaves out.
        excluded = [one for one in excluded if one.startswith("/") and "*" not in one]
    return places, excluded


def _option(arguments: list[str], *names: str) -> str:
    for number, word in enumerate(arguments):
        if word in names and number + 1 < len(arguments):
            return arguments[number + 1]
        for name in names:
            if name.startswith("--") and word.startswith(name + "="):
                return word[len(name) + 1 :]
    return ""


def _archive(arguments: list[str]) -> str | None:
    """Where tar writes; `-` is its output; None: it does not create."""
    flags = arguments[0] if arguments else ""
    creates = re.fullmatch(r"-?[A-Za-z]*c[A-Za-z]*", flags) is not None or flags == "***" or bool({"-c", "--create"} & set(arguments))
    if not creates or re.fullmatch(r"-?[A-Za-z]*[xt][A-Za-z]*", flags):
        return None
    named = _option(arguments, "-f", "--file")
    if named:
        return named
    return next((one for one in arguments[1:] if one == "-" or one.startswith(("/", "$"))), "")


def _written(pipeline: list[list[str]]) -> str:
    """Where the output of a pipeline ends: a file, or another machine behind ssh."""
    for part in pipeline:
        if _tool(part)[0] == "ssh":
            return "ssh://***"
        name = _tool(part)[0]
        if name in ("rclone", "aws", "s3cmd", "gsutil", "restic", "borg"):
            return next((one for one in part if _remote(one)), "***")
        for number, word in enumerate(part):
            found = re.fullmatch(r"1?>{1,2}(\S*)", word)
            if found is not None:
                return found[1] or (part[number + 1] if number + 1 < len(part) else "")
    return ""


def _encrypted(tool: str, arguments: list[str], pipeline: list[list[str]], settings: dict[str, str]) -> bool | Unobserved:
    if tool in SELF_ENCRYPTING or any(part[:1] in (["gpg"], ["age"], ["openssl"]) for part in pipeline):
        return True
    if tool in ("duplicity", "duply"):
        return "--no-encryption" not in arguments
    if tool == "borg":
        if any(key.startswith("BORG_PASS") for key in settings):
            return True
        return Unobserved(Reason.NO_DATA, "borg", Text("主机上看不出仓库是否加密", "whether the repository is encrypted cannot be seen here"))
    if tool == "proxmox-backup-client":
        return "--keyfile" in arguments or any(word.startswith("--keyfile=") for word in arguments)
    if tool == "pgbackrest":
        return Unobserved(Reason.NO_DATA, "pgbackrest", Text("没有看到仓库的加密设置", "the encryption of the repository is not visible"))
    if tool == "rclone":
        return Unobserved(Reason.NO_DATA, "rclone", Text("远端是否为 crypt 类型没有看到", "whether the remote is of type crypt is not visible"))
    return False


def _host(target: str) -> str | None:
    """The machine that a target names."""
    words = re.sub(r"^(?:sftp|rest|rclone):(?=\S)", "", target) if not re.match(r"(?:sftp|rest)://", target) else target
    found = re.match(r"[A-Za-z][A-Za-z0-9+.-]*://(?:[^/@]{0,100}@)?([A-Za-z0-9._*-]{1,255})", words)
    if found is None:
        found = re.match(r"(?:[A-Za-z0-9_.*-]{1,100}@)?([A-Za-z0-9._-]{1,255}):", words)
    return found[1] if found else None


def _yaml_lists(lines: tuple[str, ...]) -> dict[str, list[str]]:
    """The lists of a masked YAML file by the key above them; blanks at the front are gone, so only `- ` tells an item."""
    found: dict[str, list[str]] = {}
    key = ""
    for line in lines:
        words = line.split()
        if not words or words[0] == "#":
            continue
        if words[0] == "-" and len(words) > 1:
            item = words[2] if words[1].endswith(":") and len(words) > 2 and words[1] in ("path:", "label:") else words[1]
            if words[1] != "label:":
                found.setdefault(key, []).append(item)
        elif words[0] == "path:" and len(words) > 1:
            found.setdefault(key, []).append(words[1])
        elif words[0].endswith(":") and words[0] != "label:":
            key = words[0][:-1]
            found.setdefault(key, [])
            found[key] += [word for word in words[1:] if _place(word)]
    return found
