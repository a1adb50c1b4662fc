"""Commands in the lines of a job, read word by word.

Lines come masked (NC9): `***` stands for a word that may be a name or a secret.
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterable

from tutela.record import record

PREFIXES = frozenset({"sudo", "nice", "ionice", "chronic", "exec", "env", "time", "timeout", "flock", "systemd-run", "systemd-cat", "runuser", "su", "if", "!", "--", "-", "sh", "bash", "dash", "export", "root", "docker", "podman"})  # fmt: skip
"""Words before a command."""
MAX_PREFIXES = 16
TAKES_VALUE = frozenset({"-e", "--rsh", "--exclude", "--exclude-from", "--exclude-file", "--iexclude", "--include-from", "--files-from", "--password-file", "--passphrase-file", "--config", "-c", "--cache-dir", "--log-file", "--temp-dir", "--link-dest", "--compare-dest", "--copy-dest", "--backup-dir", "--partial-dir", "--tag", "--host", "-i", "--key-file", "--rsync-path", "-T", "-X", "--defaults-file", "--defaults-extra-file", "--exclude-if-present", "--repo"})  # fmt: skip
REHEARSALS = frozenset({"--dry-run", "--dryrun", "-dryRun", "--fake", "--list-only"})
SHORT_REHEARSAL = frozenset({"rsync", "restic", "borg", "borgmatic", "rclone", "s3cmd", "btrbk", "zfs"})
"""Tools whose -n only shows what they would do."""
CIPHERS = (["gpg"], ["age"], ["openssl"])
STATEMENT_ENDS = re.compile(r" (?:;|&&|\|\||then|do|else|[{}]|!) ")


@record
class Command:
    """Command(tool='tar', arguments=('c', '/srv'), words=('tar', 'c', '/srv'), after=(Command(tool='ssh', …),), settings={})"""

    tool: str | None
    """The backup tool that it runs, behind sudo, nice and the like."""
    arguments: tuple[str, ...]
    """Words behind the tool."""
    words: tuple[str, ...]
    """All its words."""
    after: tuple[Command, ...]
    """Commands that its output is piped into."""
    settings: dict[str, str]
    """What the lines of the job assign: `RESTIC_REPOSITORY=…`."""

    def has(self, *words: str) -> bool:
        """Whether one of these words is an argument."""
        return any(word in words for word in self.arguments)

    def flag(self, letter: str) -> bool:
        """Whether a short option is given, alone or among others: `-x`, `-aAX`."""
        return any(letter in word for word in self.arguments if re.fullmatch(r"-[A-Za-z]+", word))

    def option(self, *names: str) -> str:
        """The value of the first of these options that is there: `-f VALUE`, `--file=VALUE`; empty if none is."""
        for number, word in enumerate(self.arguments):
            if word in names and number + 1 < len(self.arguments):
                return self.arguments[number + 1]
            for name in names:
                if name.startswith("--") and word.startswith(name + "="):
                    return word[len(name) + 1 :]
        return ""

    def verb(self, verbs: Container[str]) -> str | None:
        """What a tool is told to do: the first of these words, as one of them may also be a value behind it (`restic forget --tag backup`)."""
        return next((word for word in self.arguments if word in verbs), None)

    def rehearses(self) -> bool:
        """Whether it only shows what it would do."""
        if any(word.partition("=")[0] in REHEARSALS and word.partition("=")[2] not in ("false", "0") for word in self.arguments):
            return True
        return self.tool in SHORT_REHEARSAL and self.flag("n")

    def places(self) -> list[str]:
        """Paths and targets among the arguments."""
        return self._named()[0]

    def excluded(self) -> tuple[str, ...]:
        """Patterns of what is left out."""
        return tuple(self._named()[1])

    def _named(self) -> tuple[list[str], list[str]]:
        places: list[str] = []
        excluded: list[str] = []
        value_of = ""
        for word in self.arguments:
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
            if word in TAKES_VALUE:
                value_of = word
            elif word.startswith("--exclude="):
                excluded.append(word[10:].strip("\"'"))
            elif not word.startswith("-") and _is_place(word):
                places.append(word)
        if any(word.startswith("--include") for word in self.arguments):
            # An earlier --include takes from what a pattern leaves out.
            excluded = [one for one in excluded if one.startswith("/") and "*" not in one]
        return places, excluded

    def sent_by_ssh(self) -> bool:
        """Whether its output goes to another machine through ssh."""
        return any(one.tool == "ssh" or "ssh" in one.words[:6] for one in self.after)

    def enciphered(self) -> bool:
        """Whether its pipeline encrypts what passes."""
        return any(list(one.words[:1]) in CIPHERS for one in (self, *self.after))

    def written(self) -> str:
        """Where the output of its pipeline ends: a file, or another machine; empty if that is not said."""
        for one in (self, *self.after):
            if one.tool == "ssh":
                return "ssh://***"
            if one.tool in ("rclone", "aws", "s3cmd", "gsutil", "restic", "borg"):
                return next((word for word in one.words if is_remote(word)), "***")
            for number, word in enumerate(one.words):
                found = re.fullmatch(r"1?>{1,2}(\S*)", word)
                if found is not None:
                    return found[1] or (one.words[number + 1] if number + 1 < len(one.words) else "")
        return ""


def pipelines(lines: Iterable[str], tools: Container[str]) -> tuple[tuple[Command, ...], ...]:
    """Of all pipelines in the lines those in which one of these tools is run."""
    lines = tuple(lines)
    settings = dict(pair for line in lines if (pair := setting(line)) is not None)
    found = []
    for line in lines:
        for statement in STATEMENT_ENDS.split(f" {line} "):
            pipeline: tuple[Command, ...] = ()
            for part in reversed(statement.split(" | ")):
                words = tuple(part.split())
                pipeline = (Command(*_run(words, tools), words, pipeline, settings), *pipeline)
            if any(command.tool is not None for command in pipeline):
                found.append(pipeline)
    return tuple(found)


def _run(words: tuple[str, ...], tools: Container[str]) -> tuple[str | None, tuple[str, ...]]:
    """The tool that a command runs, and its arguments."""
    for number, word in enumerate(words[:MAX_PREFIXES]):
        # What is assigned is not run: `RESTIC_REPOSITORY=/mnt/nas/restic`.
        name = "" if "=" in word else word.rpartition("/")[2]
        if name in tools:
            return name, words[number + 1 :]
        known = name in PREFIXES or word.startswith("-") or word == "***" or "=" in word or word.isdigit()
        if not known and not ("flock" in words[:number] and word.startswith("/")):
            break
    return None, ()


def setting(line: str) -> tuple[str, str] | None:
    """`export NAME=value` -> name and value."""
    found = re.fullmatch(r"(?:export )?([A-Za-z_][A-Za-z0-9_-]{0,60})=(\S{0,1000})", line.strip())
    return (found[1], found[2]) if found else None


def is_remote(word: str) -> bool:
    """Whether a word names a place that is not a path: `sftp://nas/x`, `root@nas:/x`, `remote:x`."""
    return not word.startswith("/") and (re.match(r"[A-Za-z][A-Za-z0-9+.-]*://|(\S+@)?[A-Za-z0-9_.-]+::?", word) is not None)


def _is_place(word: str) -> bool:
    return word.startswith(("/", "$", "./", "~/")) or is_remote(word)


def yaml_lists(lines: tuple[str, ...]) -> dict[str, list[str]]:
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
            found[key] += [word for word in words[1:] if _is_place(word)]
    return found
