"""The error tree.

    TutelaError                  anything that is not a bug in Tutela
    ├── UsageError               wrong words on the command line; raised and caught by cli
    ├── ContentError             a content or site file is wrong; carries file:line:column
    ├── BundleError              a bundle or a probe's output is cut, forged, too large, not ours
    ├── CollectError             a target could not be looked at; the subject becomes unproven
    ├── ScanError                a scan was refused or could not be made
    └── LedgerError              the ledger refuses; its kinds are in tutela.ledger.refused

A message says what was tried, on what, what came back and what to do next, in both languages.
Only `cli` prints an error and chooses an exit status.
"Could not observe" is no error: it is a value, `tutela.evidence.Unobserved`.
"""

from __future__ import annotations

import errno

from tutela.language import Lang, Text, same

_SYSTEM_ZH = {
    errno.ENOENT: "没有这个文件或文件夹",
    errno.EACCES: "没有权限",
    errno.EPERM: "不允许这样做",
    errno.EEXIST: "已经存在",
    errno.ENOTDIR: "路径中有一段不是文件夹",
    errno.EISDIR: "这是文件夹，不是文件",
    errno.ENOSPC: "磁盘已满",
    errno.EDQUOT: "磁盘配额已用完",
    errno.EROFS: "文件系统只读",
    errno.EIO: "读写出错",
    errno.EBADF: "没有打开",
    errno.ENAMETOOLONG: "名称太长",
    errno.ELOOP: "符号链接绕成了圈",
    errno.EMFILE: "打开的文件太多",
    errno.ENOMEM: "内存不足",
}


class TutelaError(Exception):
    """Base of every error that a user's input or surroundings can cause."""

    def __init__(self, message: Text | str) -> None:
        self.message = same(message) if isinstance(message, str) else message
        super().__init__(self.message.en)

    def in_(self, lang: Lang) -> str:
        """The message in `lang`."""
        return self.message.in_(lang)


def said_by_system(problem: OSError) -> Text:
    """What the system answered; Chinese where it is one of the usual answers."""
    words = problem.strerror or str(problem)
    return Text(_SYSTEM_ZH.get(problem.errno or 0, words), words)


class UsageError(TutelaError):
    """The command line asks for something that does not exist or does not fit together."""


class ContentError(TutelaError):
    """A content, site or inventory file does not say what its format requires."""

    def __init__(self, message: Text | str, *, file: str, line: int = 0, column: int = 0) -> None:
        super().__init__(message)
        self.file, self.line, self.column = file, line, column
        where = f"{file}:{line}:{column}: " if line else f"{file}: "
        self.message = Text(where + self.message.zh, where + self.message.en)
        self.args = (self.message.en,)


class BundleError(TutelaError):
    """Recorded evidence cannot be read as what it claims to be."""


class CollectError(TutelaError):
    """A target could not be looked at: unreachable, refused, changed host key, no such command."""


class ScanError(TutelaError):
    """A scan was refused, or could not be made: a target that is not ours, no route, no permission."""


class LedgerError(TutelaError):
    """The ledger refuses: something does not verify, is damaged, or was asked for wrongly."""


def last_line(complaints: bytes) -> str:
    """The last line of a command's complaints, safe to print."""
    lines = [line.strip() for line in complaints.decode("utf-8", "backslashreplace").splitlines() if line.strip()]
    last = lines[-1] if lines else "-"
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in last)[:300]
