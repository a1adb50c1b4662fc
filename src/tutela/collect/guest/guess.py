"""Weak-password test on the host itself; needs only the standard library of Python 3.6 or newer, and libcrypt.

It comes in by standard input, so nothing is written to the host and no candidate stands on a command line.
Hashes, candidates and the password that matched stay in the memory of this process and its workers: what is printed
is the name of the account and the name of the rule. guess.pl does the same for hosts with Perl only; keep them alike.

Orders, one a line, on standard input:
    seconds <CPU seconds in total>   limit <candidates an account>   cores <most workers>   progress <0|1>
    shadow <path>   passwd <path>                                  default: /etc
    rule <name> <most candidates of this rule>                     what follows belongs to it
    try <candidate>
    vary <user|name|host> <same|title|upper|reversed|leet> <template>   {} becomes the word
    end
Standard input stays open for as long as somebody wants the answer.
"""

import ctypes
import os
import re
import resource
import select
import signal
import sys
import time
from collections.abc import Iterator

SLICE_SECONDS = 0.25
"""About how much CPU a worker needs for one order."""
PATIENCE_SECONDS = 10.0
"""An account whose hash is so costly that one order needs more CPU is given up: incomplete."""
LEET = bytes.maketrans(b"aeiosAEIOS", b"@310$@310$")


class Account:
    """One account that has a password."""

    def __init__(self, name: bytes, stored: bytes, full_name: bytes) -> None:
        self.name = name
        self.stored = stored
        self.full_name = full_name
        self.word = b""
        """The answer, once it is known."""
        self.bounds: "list[int]" = []
        """Where each rule's candidates end."""
        self.tried = 0
        self.seconds = 0.0
        """CPU seconds a candidate; 0 while unknown."""


class Worker:
    """A forked process that tries what it is told."""

    def __init__(self, pid: int, orders: int, answers: int) -> None:
        self.pid = pid
        self.orders = orders
        self.answers = answers
        self.account: "Account | None" = None
        self.before = 0.0
        """CPU seconds that it had needed when it got its present order."""
        self.expected = 0.0

    def cpu(self) -> float:
        """CPU seconds that it has needed so far: fields 14 and 15 of /proc/PID/stat (proc(5))."""
        with open("/proc/%d/stat" % self.pid, "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def spent(self) -> float:
        """CPU seconds that its present order has cost so far."""
        return self.cpu() - self.before


class Orders:
    """What is wanted, as read from standard input."""

    def __init__(self) -> None:
        self.seconds, self.limit, self.cores, self.progress = 60.0, 500, 2, False
        self.shadow, self.passwd = b"/etc/shadow", b"/etc/passwd"
        self.rules: "list[tuple[bytes, int, list[tuple[bytes, bytes, bytes]]]]" = []

    def read(self) -> bool:
        """True when the orders came whole."""
        while True:
            line = sys.stdin.buffer.readline()
            if not line.endswith(b"\n"):
                return False
            key, _, rest = line[:-1].partition(b" ")
            if key == b"end":
                return True
            if key == b"rule":
                name, _, most = rest.partition(b" ")
                self.rules.append((name, int(most), []))
            elif key == b"try":
                self.rules[-1][2].append((b"", b"", rest))
            elif key == b"vary":
                source, form, template = rest.split(b" ", 2)
                self.rules[-1][2].append((source, form, template))
            elif key in (b"shadow", b"passwd"):
                setattr(self, key.decode(), rest)
            elif key in (b"limit", b"cores"):
                setattr(self, key.decode(), int(rest))
            elif key == b"seconds":
                self.seconds = float(rest)
            elif key == b"progress":
                self.progress = rest == b"1"


def kind(stored: bytes) -> bytes:
    """The prefix of a hash's algorithm; never more of it."""
    found = re.match(rb"\$[A-Za-z0-9-]{1,12}[$,]", stored)
    if found:
        return found.group()[:-1] + b"$"
    if re.match(rb"_[./0-9A-Za-z]{19}\Z", stored):
        return b"bsdi"
    return b"des" if re.match(rb"[./0-9A-Za-z]{13}\Z", stored) else b"other"


def lines(path: bytes) -> "list[bytes]":
    """The lines of a system file, as far as anything sane goes."""
    try:
        with open(path, "rb") as file:
            return file.read(16 << 20).split(b"\n")
    except OSError:
        return []


def accounts(orders: Orders) -> "list[Account]":
    """Accounts of shadow(5), and those whose hash still stands in passwd(5)."""
    made: "list[Account]" = []
    full_names: "dict[bytes, bytes]" = {}
    own: "dict[bytes, bytes]" = {}
    for line in lines(orders.passwd):
        fields = line.split(b":")
        if len(fields) >= 5:
            full_names.setdefault(fields[0], fields[4])
            if len(fields[1]) > 1:
                own.setdefault(fields[0], fields[1])
    rows = [line.split(b":") for line in lines(orders.shadow)]
    known = {fields[0] for fields in rows}
    rows += [[name, stored] for name, stored in own.items() if name not in known]
    for fields in rows:
        if len(fields) < 2 or not fields[0] or fields[0][:1] in b"+-":
            continue
        stored = fields[1]
        account = Account(fields[0], stored, full_names.get(fields[0], b""))
        if not stored:
            account.word = b"empty"
        elif stored[:1] in b"!*" or len(stored) == 1:
            account.word = b"locked"
        elif kind(stored) == b"other":
            account.word = b"unsupported:other"
        made.append(account)
    return made


def host_words() -> "list[bytes]":
    """web01.lab.example -> web01, web, lab."""
    labels = os.uname().nodename.encode("utf-8", "surrogateescape").split(b".")
    return unique([labels[0], re.sub(rb"[-_0-9]+\Z", b"", labels[0]), *labels[1:2]])


def name_words(account: Account) -> "list[bytes]":
    """San Zhang,Room 1 -> sanzhang, san, zhang, szhang, zhangs, zhangsan."""
    full_name = account.full_name.split(b",")[0].replace(b"&", account.name)
    parts = [part.lower() for part in re.split(rb"[^A-Za-z0-9\x80-\xff]+", full_name) if part][:4]
    if len(parts) < 2:
        return unique(parts)
    first, last = parts[0], parts[-1]
    return unique([b"".join(parts), *parts, first[:1] + last, last + first[:1], last + first])


def unique(words: "list[bytes]") -> "list[bytes]":
    """Words of two letters and more, each once."""
    return [word for word in dict.fromkeys(words) if len(word) > 1]


def formed(form: bytes, word: bytes) -> bytes:
    """A word in one of its forms."""
    if form == b"title":
        return word[:1].upper() + word[1:].lower()
    if form == b"upper":
        return word.upper()
    if form == b"reversed":
        return word[::-1]
    return word.lower().translate(LEET) if form == b"leet" else word


def candidates(account: Account, orders: Orders, host: "list[bytes]") -> "tuple[list[bytes], list[int]]":
    """Candidates for one account, likeliest first and each once, and where each rule's end."""
    words = {b"user": [account.name], b"name": name_words(account), b"host": host}
    made: "dict[bytes, None]" = {}
    bounds = []
    for _, most, items in orders.rules:
        room = min(most, orders.limit - len(made)) + len(made)
        for source, form, template in items:
            for word in words[source] if source else [b""]:
                candidate = template.replace(b"{}", formed(form, word)) if source else template
                if candidate and len(made) < room:
                    made[candidate] = None
        bounds.append(len(made))
    return list(made), bounds


def library() -> "ctypes.CDLL | None":
    """The host's own libcrypt; musl has crypt_r in libc."""
    for name in ("libcrypt.so.1", "libcrypt.so.2", None):
        try:
            found = ctypes.CDLL(name)
            found.crypt_r.restype = ctypes.c_char_p
            found.crypt_r.argtypes = [ctypes.c_char_p, ctypes.c_char_p, ctypes.c_void_p]
        except (OSError, AttributeError):
            continue
        return found
    return None


def keep_secret() -> None:
    """No core file, and no other process of the same user may look into this one."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        ctypes.CDLL(None).prctl(4, 0, 0, 0, 0)  # PR_SET_DUMPABLE
    except (OSError, AttributeError):
        return  # not Linux's libc: the limit on core files has to do


def work(orders_fd: int, answers_fd: int, every: "list[Account]", orders: Orders, crypt: "ctypes.CDLL") -> None:
    """A worker's life: `<account> <first> <count>` in, `<index of what matched | -1 | -2> <tried> <CPU seconds>` out."""
    scratch = ctypes.create_string_buffer(1 << 18)  # struct crypt_data has 32 KiB here, 128 KiB in old glibc
    host = host_words()
    cached = -1
    guesses: "list[bytes]" = []
    with os.fdopen(orders_fd, "rb") as wanted:
        for line in wanted:
            index, first, count = (int(word) for word in line.split())
            began = time.process_time()
            account = every[index]
            if index != cached:
                cached, guesses = index, candidates(account, orders, host)[0]
            found = -1
            for at in range(first, first + count):
                answer = crypt.crypt_r(guesses[at], account.stored, scratch)
                if not answer or answer[:1] == b"*":
                    found = -2
                    break
                if answer == account.stored:
                    found = at
                    break
            tried = found - first + 1 if found >= 0 else count
            os.write(answers_fd, b"%d %d %f\n" % (found, tried, time.process_time() - began))


def hire(staff: "list[Worker]", every: "list[Account]", orders: Orders, crypt: "ctypes.CDLL") -> None:
    """Fork one more worker."""
    orders_out, orders_in = os.pipe()
    answers_out, answers_in = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            # The other workers' pipes must end with the first process.
            for other in staff:
                os.close(other.orders)
                os.close(other.answers)
            os.close(orders_in)
            os.close(answers_out)
            work(orders_out, answers_in, every, orders, crypt)
        finally:
            os._exit(0)
    os.close(orders_out)
    os.close(answers_in)
    staff.append(Worker(pid, orders_in, answers_out))


def dismiss(staff: "list[Worker]", worker: Worker) -> None:
    """End a worker at once."""
    os.kill(worker.pid, signal.SIGKILL)
    os.waitpid(worker.pid, 0)
    os.close(worker.orders)
    os.close(worker.answers)
    staff.remove(worker)


def spent_cpu() -> float:
    """CPU seconds of this process and of its workers that have ended."""
    used = os.times()
    return used.user + used.system + used.children_user + used.children_system


class Test:
    """One run over all accounts."""

    def __init__(self, every: "list[Account]", orders: Orders, crypt: "ctypes.CDLL") -> None:
        self.every, self.orders, self.crypt = every, orders, crypt
        self.staff: "list[Worker]" = []
        self.guesses = 0
        self.stopped = b""
        self.busy = 0.0
        """CPU seconds that workers reported."""
        host = host_words()
        for account in every:
            if not account.word:
                account.bounds = candidates(account, orders, host)[1]

    def slices(self) -> "Iterator[tuple[int, int, int] | None]":
        """Account, first candidate and count: rule by rule over all accounts; None: nothing until an answer comes.

        So a budget that runs out leaves whole rules tried on everybody.
        One candidate each comes first, to learn what it costs: a hash made to hang must not hold every worker.
        """
        for index, account in enumerate(self.every):
            if not account.word:
                yield index, 0, 1
        for rule in range(len(self.orders.rules)):
            for index, account in enumerate(self.every):
                at = account.bounds[rule - 1] if rule and account.bounds else 1
                while not account.word and at < account.bounds[rule]:
                    if not account.seconds:
                        yield None
                        continue
                    count = max(1, min(64, int(SLICE_SECONDS / account.seconds)))
                    count = min(count, account.bounds[rule] - at)
                    yield index, at, count
                    at += count

    def run(self) -> None:
        """Try everything there is time for."""
        for _ in range(max(1, min(self.orders.cores, len(os.sched_getaffinity(0))))):
            hire(self.staff, self.every, self.orders, self.crypt)
        todo = self.slices()
        more = True
        began = told = time.monotonic()
        while True:
            for worker in self.staff:
                if more and worker.account is None:
                    more = self.assign(worker, todo)
            at_work = [worker for worker in self.staff if worker.account is not None]
            if not at_work:
                break
            ready = select.select([0] + [worker.answers for worker in at_work], [], [], 1.0)[0]
            if 0 in ready:
                self.stopped = b"abandoned"
                break
            if time.monotonic() - began > 3 * self.orders.seconds:
                self.stopped = b"time"  # a host so busy that it gives no CPU
                break
            for worker in at_work:
                if worker.answers in ready:
                    self.receive(worker)
                elif worker.spent() > PATIENCE_SECONDS:
                    self.give_up(worker)
            if self.orders.progress and time.monotonic() - told > 0.5:
                told = time.monotonic()
                os.write(2, b"progress %d/%d\n" % (self.guesses, self.in_all()))
        for worker in list(self.staff):
            dismiss(self.staff, worker)

    def in_all(self) -> int:
        """Guesses to make, as far as is known now."""
        return self.guesses + sum(account.bounds[-1] - account.tried for account in self.every if account.bounds and not account.word)

    def assign(self, worker: Worker, todo: "Iterator[tuple[int, int, int] | None]") -> bool:
        """Give a worker something to do; False when nothing is left, or no time."""
        # Never by the clock: a host so busy that it gives no CPU costs none either.
        flying = sum(max(other.expected, other.spent()) for other in self.staff if other.account is not None)
        if spent_cpu() + self.busy + flying + SLICE_SECONDS > self.orders.seconds:
            self.stopped = b"budget"
            return False
        job = next(todo, (-1, 0, 0))
        if job is None:
            return True
        if job[0] < 0:
            return False
        worker.account, worker.before = self.every[job[0]], worker.cpu()
        worker.expected = (worker.account.seconds or SLICE_SECONDS) * job[2]
        os.write(worker.orders, b"%d %d %d\n" % job)
        return True

    def receive(self, worker: Worker) -> None:
        """Take a worker's answer."""
        answer = os.read(worker.answers, 200).split()
        if len(answer) != 3:
            self.give_up(worker)  # it was killed
            return
        found, tried, used = int(answer[0]), int(answer[1]), float(answer[2])
        account, worker.account = worker.account, None
        assert account is not None
        self.busy += used
        account.seconds = max(used / tried, 1e-6)
        if found == -2:
            account.word = b"unsupported:" + kind(account.stored)
            return
        account.tried += tried
        self.guesses += tried
        if found >= 0:
            account.word = next(self.orders.rules[rule][0] for rule, end in enumerate(account.bounds) if found < end)

    def give_up(self, worker: Worker) -> None:
        """An account too costly to test."""
        assert worker.account is not None
        worker.account.word = b"incomplete"
        dismiss(self.staff, worker)
        hire(self.staff, self.every, self.orders, self.crypt)

    def report(self) -> bytes:
        """What leaves the host."""
        rules = len(self.orders.rules)
        for account in self.every:
            if not account.word:
                rules = min(rules, sum(end <= account.tried for end in account.bounds))
                account.word = b"none" if account.tried >= account.bounds[-1] else b"incomplete"
        said = [b"rules %d" % rules, b"candidates %d" % self.guesses, b"cpu %.1f" % spent_cpu()]
        said += [b"account %s %s" % (shown(account.name), account.word) for account in self.every]
        if self.stopped:
            said.append(b"stopped " + self.stopped)
        return b"\n".join([*said, b"end", b""])


def shown(name: bytes) -> bytes:
    """A name as one word: whatever else is in it becomes \\xNN."""
    return re.sub(rb"[^A-Za-z0-9_.$@-]", lambda found: b"\\x%02x" % ord(found.group()), name[:256])


def main() -> int:
    """The whole test."""
    orders = Orders()
    if not orders.read():
        return 2
    keep_secret()
    crypt = library()
    if crypt is None:
        os.write(1, b"absent\n")
        return 0
    try:
        os.nice(10)
    except OSError:
        pass
    test = Test(accounts(orders), orders, crypt)
    test.run()
    said = test.report()
    while said:
        said = said[os.write(1, said) :]
    return 0


def quiet(*_problem: object) -> None:
    """A traceback shows values; nobody gets to see one."""


if __name__ == "__main__":
    sys.excepthook = quiet
    sys.exit(main())
