"""Who may become root without a password: sudoers with its includes, and doas.conf.

Sources: sudoers(5), doas.conf(5). In sudoers the last entry that matches decides, and a tag holds for the commands behind it.
Only local accounts are resolved; rules from a directory service, and files that were not collected, are holes and not silence.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from fnmatch import fnmatchcase
from typing import TypeVar

from tutela.evidence import Reason, Status, Unobserved
from tutela.facts import accounts
from tutela.facts.accounts import Account, Accounts
from tutela.facts.look import Look
from tutela.facts.unseen import unseen
from tutela.language import Text
from tutela.record import record, replace

MAIN, DOAS = "/etc/sudoers", "/etc/doas.conf"
NEEDS = (MAIN, "/etc/sudoers.d/", DOAS, "/etc/nsswitch.conf", "hostname", *accounts.NEEDS)
MAX_ENTRIES = 2000
MAX_LINE = 20_000
MAX_FILES = 500
MAX_WORK = 400_000
"""Names of users, hosts and commands that are compared in all; accounts times rules on an honest host are far fewer."""
MAX_DEPTH = 16
MAX_HOST_LISTS = 100
"""In one line: `ops web1 = /bin/a : web2 = /bin/b`."""

T = TypeVar("T")
TAGS = frozenset(
    {"PASSWD", "NOPASSWD", "EXEC", "NOEXEC", "SETENV", "NOSETENV", "LOG_INPUT", "NOLOG_INPUT", "LOG_OUTPUT", "NOLOG_OUTPUT", "MAIL", "NOMAIL"}
    | {"FOLLOW", "NOFOLLOW", "INTERCEPT", "NOINTERCEPT"}
)
# Programs that hand out a shell or any file whatever their arguments: shells, editors, pagers, interpreters, and those that run another program.
_OPEN_DOORS = (
    "sh bash dash ash zsh ksh mksh csh tcsh fish rbash busybox su sudo doas env nice nohup timeout setarch chroot unshare nsenter xargs script expect"
    " screen tmux watch strace gdb ltrace perf time stdbuf taskset ionice flock run-parts start-stop-daemon systemd-run pkexec runuser setpriv"
    " vi vim nvim view rvim vimdiff ed ex emacs nano pico joe micro mcedit less more most man pg info awk gawk mawk nawk sed perl python python2"
    " python3 ruby lua php node irb tclsh wish jjs julia R make gcc cc ssh scp sftp ftp telnet socat nc ncat netcat nmap mysql psql sqlite3 irssi"
    " mutt mail crontab at batch visudo vipw vigr sudoedit dialog docker podman nerdctl lxc lxd kubectl ansible ansible-playbook git svn hg cpan pip"
    " pip3 npm gem cargo rpm dpkg snap flatpak debugfs"
    " tcsh posh yash elvish toybox editor sensible-editor pager sensible-pager gvim neovim mg jed zile kak hx helix mariadb mongo mongosh lftp smbclient"
    " ipython sshpass fakeroot parallel prlimit valgrind dtach byobu"
)
OPEN_DOORS = frozenset(_OPEN_DOORS.split())
_BUILD = re.compile(r"(?:\.(?:basic|tiny|nox|gtk3?|athena|motif|openbsd|traditional)|-(?:static|gtk|nox|lucid|multiarch|dbg))$|[0-9.]+$")
"""What distributions put behind the name of one build of a program: vim.basic, nc.openbsd, bash-static, python3.11."""


def program_of(name: str) -> str:
    """`vim` of `vim.basic`, `python` of `python3.11`: of which program this is a build."""
    return _BUILD.sub("", name)


# Programs that do it when their arguments can be chosen freely.
_LOOSE_DOORS = (
    "systemctl journalctl service apt apt-get aptitude dnf yum zypper tar zip unzip 7z cp mv ln dd tee cat head tail find rsync chmod chown chgrp"
    " install mount umount useradd usermod userdel passwd chpasswd adduser gpasswd chsh wget curl openssl tcpdump ip iptables nft sysctl insmod"
    " modprobe ldconfig update-alternatives logrotate restic borg base64 xxd od sort uniq cut grep diff dmesg virsh qemu-system-x86_64"
    " java jshell pwsh go rake bundle composer uv pipx nginx apache2 apache2ctl apachectl httpd certbot fail2ban-client capsh setcap busctl machinectl"
    " systemd-nspawn ctr crictl helm cpio ar bpftrace iftop rlwrap ssh-keygen puppet salt-call chef-client"
)
LOOSE_DOORS = frozenset(_LOOSE_DOORS.split())
SHARED = ("/tmp/", "/var/tmp/", "/dev/shm/")  # noqa: S108 - looked for, not written to


class _TooMuchError(Exception):
    """Raised and caught here: more to compare than is bearable."""


@record
class Entry:
    """One command that an entry of sudoers grants or takes away."""

    users: tuple[str, ...]
    hosts: tuple[str, ...]
    runas: tuple[str, ...]
    """As whom; empty: root."""
    command: str
    negated: bool
    nopasswd: bool | None
    """None: as the Defaults say."""
    where: str
    """`/etc/sudoers.d/90-cloud-init-users:3`"""
    setenv: bool | None = None
    """Any variable may be given along, LD_PRELOAD too; None: as the Defaults say."""
    dated: bool = False
    """It holds between dates only (NOTBEFORE, NOTAFTER), so it takes nothing away for good."""


@record
class Grant:
    """Grant(user='ops', command='ALL', reason='any command', where='/etc/sudoers:27', key_only=True)"""

    user: str
    command: str
    reason: str | None
    """Why this is as good as a root shell; None for one fixed command."""
    where: str
    key_only: bool | Unobserved
    """The account has no usable password."""

    @property
    def equals_root(self) -> bool:
        """Whether the command gives a root shell."""
        return self.reason is not None


@record
class Sudo:
    """Sudo(installed=True, passwordless=(Grant(...),), full=('ops',))"""

    installed: bool
    """There is a sudoers or doas file."""
    passwordless: tuple[Grant | Unobserved, ...]
    """Commands that need no password, each under its account; holes where rules could not be seen."""
    full: tuple[str | Unobserved, ...]
    """Accounts that may run any command as root, with a password or without; a hole where a rule names hosts and the name of this one was not seen."""


def parse(look: Look) -> Sudo | Unobserved:
    """The fact."""
    main, doas = look.text_or_none(MAIN), look.text_or_none(DOAS)
    if isinstance(main, Unobserved):
        return main
    if isinstance(doas, Unobserved):
        return doas
    if main is None and doas is None:
        return Sudo(installed=False, passwordless=(), full=())
    people = look.fact(accounts.ageless)
    if isinstance(people, Unobserved):
        return people
    reader = _Sudoers(look)
    if main is not None:
        reader.read(MAIN, 0)
        reader.resolve_commands()
    members = _members(people)
    if isinstance(members, Unobserved):
        return members
    unnamed = look.fact(_unnamed)
    try:
        grants, full = _granted(reader, _doas(doas or ""), people, members)
        if unnamed is not None:
            # What holds only if the hosts in the rules are this one is a doubt.
            reader.is_named = False
            others, other_full = _granted(reader, _doas(doas or ""), people, members)
            grants = _sure(grants, others, unnamed)
            full = _sure(full, other_full, unnamed)
    except _TooMuchError:
        return Unobserved(Reason.FORMAT, MAIN, Text("规则与账户过多，无法逐一判断", "too many rules and accounts to decide each"))
    return Sudo(installed=True, passwordless=(*dict.fromkeys(grants), *reader.holes, *_remote(look)), full=tuple(full))


def _granted(
    reader: _Sudoers, doas: list[Entry], people: Accounts, members: dict[str, frozenset[str]]
) -> tuple[list[Grant | Unobserved], list[str | Unobserved]]:
    """What each account may do without a password, and who may do anything."""
    grants: list[Grant | Unobserved] = []
    full: list[str | Unobserved] = []
    entries = [entry for entry in reader.entries if reader.matches_host(entry.hosts) and reader.as_root(entry.runas)]
    for account in people.accounts:
        if account.uid == 0:
            continue
        mine = [entry for entry in entries if reader.matches_user(entry.users, account, members)]
        free, variables = reader.unauthenticated(account, members), reader.sets_variables(account, members)
        mine = [one for entry in mine for one in ([entry] if entry.nopasswd is not None else reader.as_defaults_say(entry, free))]
        mine = [replace(entry, setenv=variables) if entry.setenv is None else entry for entry in mine]
        reader.spend(len(doas))
        names = {account.name, str(account.uid), *(f":{group.lstrip('#')}" for group in members[account.name])}
        mine += [entry for entry in doas if entry.users[0] in names]
        key_only = account.password if isinstance(account.password, Unobserved) else account.password == "locked"
        last = {entry.command: at for at, entry in enumerate(mine) if not entry.dated}
        for at, entry in enumerate(mine):
            decides = mine[max(at, last.get(entry.command, at), last.get("ALL", at))]
            if entry.negated or decides.negated or not decides.nopasswd or not entry.nopasswd:
                continue
            reason = _reason(entry.command, account) or ("any variable, LD_PRELOAD too" if entry.setenv else None)
            grants.append(Grant(account.name, entry.command[:200], reason, entry.where, key_only))
        wide = [entry for entry in mine if entry.command == "ALL"]
        if wide and not wide[-1].negated:
            full.append(account.name)
    local = frozenset({"ALL", *(name for account in people.accounts for name in (account.name, f"#{account.uid}"))}) if people.remote else None
    for entry in entries:
        name = None if entry.negated else reader.not_local(entry.users, local)
        if name is None:
            continue
        why = Text(f"{name} 的成员来自目录服务，无法列举", f"the members of {name} come from a directory service and cannot be listed here")
        doubt = Unobserved(Reason.NO_VANTAGE, entry.where, why)
        if entry.command == "ALL":
            full.append(doubt)
        unasked = entry.nopasswd
        if unasked is None:
            unasked = any(one.nopasswd for one in reader.as_defaults_say(entry, reader.unauthenticated(None, members)))
        if unasked and _reason(entry.command, None) is not None:
            grants.append(doubt)
    return grants, full


def _sure(some: list[T | Unobserved], others: list[T | Unobserved], doubt: Unobserved) -> list[T | Unobserved]:
    """What stands in both, and a hole where they differ."""
    both = set(others)
    return [one for one in some if one in both] + [doubt] * (some != others)


def _members(people: Accounts) -> dict[str, frozenset[str]] | Unobserved:
    """Name of an account -> names and `#gid` of its groups."""
    if isinstance(people.groups, Unobserved):
        return people.groups
    found: dict[str, set[str]] = {account.name: {f"#{account.gid}"} for account in people.accounts}
    for account in people.accounts:
        found[account.name] |= {group.name for group in people.groups if group.gid == account.gid}
    for group in people.groups:
        for name in group.members:
            if name in found:
                found[name] |= {group.name, f"#{group.gid}"}
    return {name: frozenset(groups) for name, groups in found.items()}


def _remote(look: Look) -> Iterator[Unobserved]:
    doubt = unseen(look, "/etc/nsswitch.conf")
    if doubt is not None:
        yield doubt
    text = look.text("/etc/nsswitch.conf")
    for line in text.split("\n") if isinstance(text, str) else ():
        key, _, value = line.partition("#")[0].partition(":")
        if key.strip() == "sudoers" and {"sss", "ldap"} & set(value.split()):
            why = Text("还有来自目录服务的 sudo 规则，看不到", "sudo rules from a directory service cannot be seen here")
            yield Unobserved(Reason.NO_VANTAGE, "/etc/nsswitch.conf sudoers", why)


def _reason(command: str, account: Account | None) -> str | None:
    """Why a command without a password is as good as a root shell; without an account, for whoever it may be."""
    if command == "ALL":
        return "any command"
    words = command.split()
    while words and re.fullmatch(r"sha(224|256|384|512):\S+", words[0]):
        words.pop(0)
    if not words:
        return "not understood"
    path, arguments = words[0], words[1:]
    program = path.rpartition("/")[2]
    if path == "sudoedit":
        return "wildcard" if not arguments or re.search(r"[*?\[]", command) else None
    if path == "list":
        return None
    if not path.startswith("/"):
        return "no absolute path"
    if path.endswith("/"):
        return "a whole directory"
    if path.startswith("/^") or re.search(r"[*?\[^]", command):
        return "wildcard"
    if program_of(program) in OPEN_DOORS or program in OPEN_DOORS:
        return "shell, editor or the like"
    if program in LOOSE_DOORS and not arguments:
        return "any arguments"
    # Whoever owns the directory puts another program there, whoever the file belongs to.
    own = account.home.rstrip("/") if account is not None and not account.service else ""
    if path.startswith(("/home/", *SHARED)) or (own and path.startswith(f"{own}/")):
        return "a program that can be replaced"
    return None


def _unnamed(look: Look) -> Unobserved | None:
    """Why the host's name is not known."""
    name = look.text("hostname")
    return name if isinstance(name, Unobserved) else None


class _Sudoers:
    """Entries, aliases and defaults of one sudoers with its includes, in the order in which sudo reads them."""

    def __init__(self, look: Look) -> None:
        self._look = look
        self._aliases: dict[str, dict[str, tuple[str, ...]]] = {"User": {}, "Runas": {}, "Host": {}, "Cmnd": {}}
        self._known: dict[tuple[str, str], tuple[tuple[bool, str], ...]] = {}
        self._files = 0
        self._defaults: list[tuple[str, tuple[str, ...], str]] = []
        self._work = 0
        self._freed: tuple[str, ...] = ()
        """Commands that `Defaults!COMMAND !authenticate` frees."""
        self.entries: list[Entry] = []
        self.holes: list[Unobserved] = []
        self._unnamed = look.fact(_unnamed) is not None
        self.is_named = True
        """Where the host's name was not seen: whether to take any name for it."""

    @property
    def _host(self) -> str:
        """Own name; asked for only by rules about some hosts, so that hosts without such rules share the fact."""
        text = self._look.text("hostname")
        return text.strip() if isinstance(text, str) else ""

    def read(self, name: str, depth: int) -> None:
        """Read one file; whatever cannot be read or understood becomes a hole."""
        lines = self._look.lines(name)
        if isinstance(lines, Unobserved):
            self.holes.append(lines)
            return
        self._files += 1
        if depth > MAX_DEPTH or self._files > MAX_FILES:
            self.holes.append(Unobserved(Reason.FORMAT, name, Text("互相包含过深", "includes are nested too deeply")))
            return
        for number, line in _logical(lines):
            include = re.match(r"[@#]include(dir)?\s+(.+)", line)
            if include is not None:
                self._include(include[2].strip().strip('"'), bool(include[1]), name, depth)
            elif len(line) > MAX_LINE or len(self.entries) > MAX_ENTRIES or not self._line(line, f"{name}:{number}"):
                self.holes.append(Unobserved(Reason.FORMAT, f"{name}:{number}", Text("无法理解此行", "this line is not understood")))

    def _include(self, target: str, directory: bool, name: str, depth: int) -> None:
        if "%h" in target:
            target = target.replace("%h", self._host.partition(".")[0])
        if not target.startswith("/"):
            target = f"{name.rpartition('/')[0]}/{target}"
        if not directory:
            self.read(target, depth + 1)
            return
        target = target.rstrip("/") + "/"
        listed = self._look.lines(target)
        if isinstance(listed, Unobserved):
            if self._look.source(target).status is not Status.ABSENT:
                self.holes.append(listed)
            return
        for file in sorted(listed):
            # sudo leaves out names with a dot and names that end in a tilde: a disabled file grants nothing.
            if file and "." not in file and not file.endswith("~"):
                self.read(target + file, depth + 1)

    def _line(self, line: str, where: str) -> bool:
        word = re.match(r"(User|Runas|Host|Cmnd|Cmd)_Alias\s+", line)
        if word is not None:
            kind = "Cmnd" if word[1] == "Cmd" else word[1]
            for part in _split(line[word.end() :], ":"):
                key, equals, value = part.partition("=")
                if not equals or not re.fullmatch(r"[A-Z][A-Z0-9_]*", key.strip()):
                    return False
                self._aliases[kind][key.strip()] = tuple(_split(value, ","))
            return True
        if re.match(r"Defaults([\s@:!>]|$)", line):
            found = re.match(r"Defaults(?:([@:!>])\s*(\S+))?\s+(.+)", line)
            if found is None:
                return False
            kind, scope, settings = found[1] or "", tuple(_split(found[2] or "", ",")), found[3]
            self._defaults += [(kind, scope, setting) for setting in _split(settings, ",")]
            return True
        return self._user_spec(line, where)

    def _user_spec(self, line: str, where: str) -> bool:
        at = _find(line, "=")
        if at < 0:
            return False
        left = re.sub(r"\s*,\s*", ",", line[:at]).replace("\\ ", "\0")
        left = re.sub(r'"([^"]*)"', lambda quoted: quoted[1].replace(" ", "\0"), re.sub(r"!\s+", "!", left))
        sides = left.split()
        if len(sides) != 2:
            return False
        users, hosts = (tuple(word.replace("\0", " ").replace("\\", "") for word in side.split(",")) for side in sides)
        return self._commands(users, hosts, line[at + 1 :], where)

    def _commands(self, users: tuple[str, ...], hosts: tuple[str, ...], text: str, where: str) -> bool:
        for _ in range(MAX_HOST_LISTS):
            pieces = _split(text, ",")
            if not pieces:
                return False
            following = self._command_list(users, hosts, pieces, where)
            if following is None:
                return True
            # Behind a colon another list of hosts begins, with commands of its own.
            equals = _find(following, "=")
            if equals < 0:
                return False
            hosts, text = tuple(_split(following[:equals], ",")), following[equals + 1 :]
        return False

    def _command_list(self, users: tuple[str, ...], hosts: tuple[str, ...], pieces: list[str], where: str) -> str | None:
        """Commands up to the end or up to a colon; what stands behind the colon comes back."""
        runas: tuple[str, ...] = ()
        nopasswd: bool | None = None
        setenv: bool | None = None
        dated = False
        for number, piece in enumerate(pieces):
            found = re.match(r"\(([^)]*)\)\s*", piece)
            if found is not None:
                runas = tuple(word.strip() for word in found[1].partition(":")[0].split(",") if word.strip())
                piece = piece[found.end() :]
            while (found := re.match(r"(?:([A-Z_]+)\s*:|[A-Z]+=\S+)\s*", piece)) is not None and (found[1] is None or found[1] in TAGS):
                dated = dated or found[0].startswith(("NOTBEFORE=", "NOTAFTER="))
                nopasswd = {"NOPASSWD": True, "PASSWD": False}.get(found[1] or "", nopasswd)
                setenv = {"SETENV": True, "NOSETENV": False}.get(found[1] or "", setenv)
                piece = piece[found.end() :]
            at = _find(re.sub(r"sha\d{3}:\S+", lambda digest: " " * len(digest[0]), piece), ":")
            if at >= 0:
                self._entry(Entry(users, hosts, runas, piece[:at], False, nopasswd, where, setenv, dated))
                return ",".join([piece[at + 1 :], *pieces[number + 1 :]])
            self._entry(Entry(users, hosts, runas, piece, False, nopasswd, where, setenv, dated))
        return None

    def _entry(self, entry: Entry) -> None:
        if entry.command.strip():
            self.entries.append(replace(entry, command=" ".join(entry.command.split())))

    def resolve_commands(self) -> None:
        """Put commands in the place of their aliases; an alias may be defined behind its use."""
        resolved: list[Entry] = []
        for entry in self.entries:
            resolved += (replace(entry, command=name, negated=negated) for negated, name in self._expanded("Cmnd", entry.command, 0) if name)
            if len(resolved) > MAX_ENTRIES:
                self.holes.append(Unobserved(Reason.FORMAT, MAIN, Text("规则过多，未看完", "more rules than were looked at")))
                break
        self.entries = resolved
        commands = [item for kind, scope, setting in self._defaults if kind == "!" and setting.replace(" ", "") == "!authenticate" for item in scope]
        self._freed = tuple(name for item in commands for negated, name in self._expanded("Cmnd", item, 0) if not negated)[:MAX_ENTRIES]

    def _expanded(self, kind: str, item: str, depth: int) -> tuple[tuple[bool, str], ...]:
        """(negated, name) of an item, aliases resolved once each and never to more than MAX_ENTRIES names."""
        bare = item.lstrip("! ")
        negated = item[: len(item) - len(bare)].count("!") % 2 == 1
        members = self._aliases[kind].get(bare)
        if members is None or depth > MAX_DEPTH:
            return ((negated, bare),)
        if (kind, bare) not in self._known:
            made: list[tuple[bool, str]] = []
            # While it is being resolved an alias stands for nothing, so a circle ends.
            self._known[kind, bare] = ()
            for member in members:
                if len(made) <= MAX_ENTRIES:
                    made += self._expanded(kind, member.strip(), depth + 1)
            if len(made) > MAX_ENTRIES:
                self.holes.append(Unobserved(Reason.FORMAT, f"{MAIN} {bare}", Text("别名成员过多，未看完", "an alias with more members than were looked at")))
            self._known[kind, bare] = tuple(made[:MAX_ENTRIES])
        return tuple((inner != negated, name) for inner, name in self._known[kind, bare])

    def spend(self, comparisons: int) -> None:
        """Count them; too many end the reading."""
        self._work += comparisons
        if self._work > MAX_WORK:
            raise _TooMuchError

    def _decide(self, kind: str, items: tuple[str, ...], matches: Callable[[str], bool]) -> bool:
        """Whether a list matches: its last matching member decides."""
        found = False
        for item in items:
            names = self._expanded(kind, item.strip(), 0)
            self.spend(1 + len(names))
            for negated, name in names:
                if name and matches(name):
                    found = not negated
        return found

    def matches_user(self, users: tuple[str, ...], account: Account, members: dict[str, frozenset[str]]) -> bool:
        """Whether a list of users names the account, itself or by a group."""
        groups = members.get(account.name, frozenset())

        def matches(name: str) -> bool:
            if name.startswith("%"):
                return name[1:] in groups
            return name in ("ALL", account.name, f"#{account.uid}")

        return self._decide("User", users, matches)

    def matches_host(self, hosts: tuple[str, ...]) -> bool:
        """Whether a list of hosts names this one; addresses and netgroups may, so they do."""

        def matches(name: str) -> bool:
            if name == "ALL" or name[:1] == "+" or re.fullmatch(r"\d+\.[0-9./]+|[0-9a-fA-F]*:[0-9a-fA-F:./]+", name):
                return True
            if self._unnamed:
                return self.is_named
            return any(fnmatchcase(host.lower(), name.lower()) for host in (self._host, self._host.partition(".")[0]))

        return self._decide("Host", hosts, matches)

    def as_root(self, runas: tuple[str, ...]) -> bool:
        """Whether root is among those one may become."""
        return not runas or self._decide("Runas", runas, lambda name: name in ("ALL", "root", "#0"))

    def unauthenticated(self, account: Account | None, members: dict[str, frozenset[str]]) -> bool:
        """Whether the Defaults ask this account for no password; without an account, whether they ask nobody."""
        free = False
        for setting in self._settings(account, members):
            key, _, value = setting.partition("=")
            if key.strip() == "exempt_group":
                free = free or (account is not None and value.strip().strip('"') in members.get(account.name, frozenset()))
            elif setting.replace(" ", "") in ("authenticate", "!authenticate"):
                free = setting.startswith("!")
        return free

    def sets_variables(self, account: Account, members: dict[str, frozenset[str]]) -> bool:
        """Whether the Defaults let this account give any variable along."""
        free = False
        for setting in self._settings(account, members):
            if setting in ("setenv", "!setenv"):
                free = setting == "setenv"
        return free

    def _settings(self, account: Account | None, members: dict[str, frozenset[str]]) -> Iterator[str]:
        """Settings of the Defaults that hold when the account becomes root here, in their order; those of commands come with the command."""
        for kind, scope, setting in self._defaults:
            self.spend(1)
            if (
                not kind
                or (kind == ":" and account is not None and self.matches_user(scope, account, members))
                or (kind == "@" and self.matches_host(scope))
                or (kind == ">" and self.as_root(scope))
            ):
                yield setting

    def as_defaults_say(self, entry: Entry, free: bool) -> list[Entry]:
        """An entry without a tag, and behind it what `Defaults!COMMAND !authenticate` frees of it."""
        self.spend(len(self._freed))
        program = entry.command.partition(" ")[0]
        free = free or any(name in ("ALL", entry.command, program) for name in self._freed)
        freed = self._freed if entry.command == "ALL" and not entry.negated and not free else ()
        return [replace(entry, nopasswd=free), *(replace(entry, command=name, nopasswd=True) for name in freed)]

    def not_local(self, users: tuple[str, ...], local: frozenset[str] | None) -> str | None:
        """One whom a list of users names and who is not among the local ones, where these are not all; a netgroup never is."""
        for item in users:
            names = self._expanded("User", item.strip(), 0)
            self.spend(1 + len(names))
            for negated, name in names:
                if not negated and (name.startswith("+") or (local is not None and name not in local)):
                    return name
        return None


def _doas(text: str) -> list[Entry]:
    """Rules of doas.conf; the last that matches decides there too."""
    entries: list[Entry] = []
    for number, line in _logical(text.split("\n")[:MAX_ENTRIES]):
        words = re.sub(r"\{[^{}]*\}", "", line.partition("#")[0]).replace('"', "").split()
        if not words or words[0] not in ("permit", "deny"):
            continue
        options = 1
        while options < len(words) and words[options] in ("nopass", "persist", "keepenv", "nolog", "setenv"):
            options += 1
        if options >= len(words):
            continue
        who = words[options]
        rest = words[options + 1 :]
        if rest[:1] == ["as"]:
            if rest[1:2] != ["root"]:
                continue
            rest = rest[2:]
        command = " ".join(word for word in rest[1:] if word != "args") if rest[:1] == ["cmd"] else "ALL"
        entries.append(Entry((who,), ("ALL",), (), command, words[0] == "deny", "nopass" in words[1:options], f"{DOAS}:{number}"))
    return entries


_COMMENT = re.compile(r"(?<=\s)#(?!\d)")


def _logical(lines: list[str]) -> Iterator[tuple[int, str]]:
    """Lines joined at backslashes, without comments; `#` before a digit is a uid and before `include` a directive."""
    held, first = "", 0
    for number, raw in enumerate(lines, 1):
        first = first if held else number
        # A comment ends with its line, whatever it ends in.
        if raw.endswith("\\") and not raw.lstrip().startswith("#") and ('"' in raw or _COMMENT.search(raw) is None):
            held += raw[:-1] + " "
            continue
        whole, held = (held + raw).strip(), ""
        if whole.startswith("#") and not re.match(r"#(include|includedir)\s|#\d", whole):
            continue
        whole = _COMMENT.split(whole, maxsplit=1)[0].strip()
        if whole:
            yield first, whole
    if held.strip():
        yield first, held.strip()


def _find(text: str, char: str) -> int:
    """Index of a character outside quotes and brackets that no backslash escapes; -1 without one."""
    quoted = depth = False
    at = 0
    while at < len(text):
        if text[at] == "\\":
            at += 2
            continue
        if text[at] == '"':
            quoted = not quoted
        elif not quoted and text[at] in "()":
            depth = text[at] == "("
        elif text[at] == char and not quoted and not depth:
            return at
        at += 1
    return -1


def _split(text: str, char: str) -> list[str]:
    """Parts between such characters, stripped; empty ones left out."""
    parts: list[str] = []
    while (at := _find(text, char)) >= 0:
        parts.append(text[:at].strip())
        text = text[at + 1 :]
    parts.append(text.strip())
    return [part for part in parts if part]
