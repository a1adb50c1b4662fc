"""A look at other hosts from where this runs: TCP connections and nothing else; needs only the standard library of Python 3.6 or newer.

It comes in by standard input and writes nothing to disk. A connection that succeeds is reset at once, and no byte is sent.

Arguments: <rate a second> <seconds in all> <ports> <address>…    ports as 22,80,8000-8099
Answer, for each address in turn:
    of <address>
    from <own address>               or `none` when there is no route, and then `end`
    open <port>                      as they are found
    answers <closed> <filtered> <silent> rounds <n> late <n> controls <unanswered> <asked>
    echo                             only where no port answered and an ICMP echo request was answered
    end                              or `cut` when the time was up
"""

import errno
import random
import resource
import select
import socket
import struct
import subprocess
import sys
import time

AT_ONCE = 8000
FIRST_WAIT, SHORTEST_WAIT, LONGEST_WAIT = 1.0, 0.4, 3.0
ROUNDS, MOST_ROUNDS = 2, 4
CONTROLS, CONTROLS_A_PORT = 60, 5
"""Connections, in all and to one port, to ports that answered before: they tell whether whoever asks still gets answers. Few, since services see them."""
RESET = struct.pack("ii", 1, 0)
STOOD = (0, errno.ECONNRESET, errno.EPIPE)
"""The handshake was finished; who came late finds that the service has ended it already."""
PASSING = (errno.ENETUNREACH, errno.EHOSTUNREACH)
EXHAUSTED = (errno.EADDRNOTAVAIL, errno.EAGAIN, errno.EMFILE, errno.ENFILE, errno.ENOBUFS)


def say(words: str) -> None:
    """One line, at once: when nobody listens any more, this ends."""
    sys.stdout.write(words + "\n")
    sys.stdout.flush()


def files() -> int:
    """How many connections may be under way."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = AT_ONCE + 64 if hard == resource.RLIM_INFINITY else min(hard, AT_ONCE + 64)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
            soft = wanted
        except (ValueError, OSError):
            pass
    return max(16, min(AT_ONCE, (AT_ONCE if soft == resource.RLIM_INFINITY else soft) - 32))


class Scan:
    """One address."""

    def __init__(self, address: str, ports: "list[int]", rate: float, deadline: float) -> None:
        self.address, self.rate, self.deadline = address, rate, deadline
        self.family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self.ports = ports
        self.most = files()
        self.poll = select.epoll()
        self.flying: "dict[int, tuple[socket.socket, int, float]]" = {}
        self.open = self.closed = self.filtered = self.late = self.answered = 0
        self.smooth = self.least = 0.0
        self.round = 1
        self.answering: "dict[bool, list[int]]" = {True: [], False: []}
        """Ports that answered: open, and some of those that refused."""
        self.not_found: "list[int]" = []
        """In this round: a router, or this machine, did not find the host. Asked once more in the next."""
        self.controls: "set[int]" = set()
        self.controls_asked = self.controls_answered = 0

    def run(self) -> "tuple[int, bool]":
        """Ports that stayed silent, and whether the time was enough."""
        queue = list(self.ports)
        random.shuffle(queue)
        silent: "list[int]" = []
        while True:
            silent = []
            began, asked = time.monotonic(), 0
            while queue or self.flying:
                now = time.monotonic()
                if now > self.deadline:
                    flying = [port for _, port, _ in self.flying.values()]
                    return len([port for port in [*queue, *flying, *silent, *self.not_found] if port not in self.controls]), False
                due = int((now - began) * self.rate) + 1 - asked
                for _ in range(min(due, self.most - len(self.flying), len(queue), 512)):
                    port = queue.pop()
                    if self.begin(port):
                        asked += 1
                    else:
                        queue.append(port)
                        self.most = max(16, min(self.most, len(self.flying)))
                        break
                self.land(silent)
            silent += self.not_found
            lost = len(self.not_found)
            self.not_found = []
            if not silent or self.round >= (MOST_ROUNDS if self.late else ROUNDS):
                self.filtered += lost
                return len(silent) - lost, True
            self.round += 1
            queue = silent + (self.chosen(len(silent)) if self.round == 2 else [])
            random.shuffle(queue)

    def chosen(self, silent: int) -> "list[int]":
        """Questions to ports that answered, among those to `silent` that did not."""
        known = self.answering[True] or self.answering[False]
        most = min(CONTROLS, silent)
        sample = random.sample(known, min(most, len(known)))
        self.controls = set(sample)
        return sample * min(CONTROLS_A_PORT, most // max(len(sample), 1))

    def begin(self, port: int) -> bool:
        """Whether there was room for one connection more."""
        try:
            one = socket.socket(self.family, socket.SOCK_STREAM)
        except OSError:
            return False
        one.setblocking(False)
        code = one.connect_ex((self.address, port))
        if code in EXHAUSTED:
            one.close()
            return False
        self.controls_asked += port in self.controls
        if code == errno.EINPROGRESS:
            self.flying[one.fileno()] = (one, port, time.monotonic())
            self.poll.register(one.fileno(), select.EPOLLOUT | select.EPOLLONESHOT)
            return True
        self.settle(one, port, time.monotonic(), code)
        return True

    def land(self, silent: "list[int]") -> None:
        """Take the answers that are there; only then is anything called silent."""
        for number, _event in self.poll.poll(0.005, 8192):
            if number in self.flying:
                one, port, since = self.flying.pop(number)
                self.settle(one, port, since, one.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR))
        patience = min(LONGEST_WAIT, max(SHORTEST_WAIT, 4 * self.smooth)) if self.answered else FIRST_WAIT
        before = time.monotonic() - patience
        overdue = [number for number, (_, _, since) in self.flying.items() if since < before]
        if not overdue:
            return
        late = {number for number, _event in self.poll.poll(0, 8192)}
        for number in overdue:
            one, port, since = self.flying.pop(number)
            if number in late:
                self.settle(one, port, since, one.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR))
            else:
                one.close()
                if port not in self.controls:
                    silent.append(port)
        for number in late.difference(overdue):
            if number in self.flying:
                self.poll.modify(number, select.EPOLLOUT | select.EPOLLONESHOT)

    def settle(self, one: socket.socket, port: int, since: float, code: int) -> None:
        """Count one answer."""
        if code == 0:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        one.close()
        if port in self.controls:
            self.controls_answered += code in STOOD or code == errno.ECONNREFUSED
            return
        if code in PASSING:
            self.not_found.append(port)
            return
        if code not in STOOD and code != errno.ECONNREFUSED:
            # Nothing that the host itself said.
            self.filtered += 1
            return
        took = time.monotonic() - since
        self.least = took if not self.answered else min(self.least, took)
        # One that the kernel had to ask again took a second more, and one that waited for this program anything: neither is a round trip.
        if took < 4 * self.least + 0.15:
            self.smooth = took if not self.answered else self.smooth + 0.05 * (took - self.smooth)
        self.answered += 1
        self.late += self.round > 1
        if code in STOOD or len(self.answering[False]) < CONTROLS:
            self.answering[code in STOOD].append(port)
        if code in STOOD:
            self.open += 1
            say("open %d" % port)
        else:
            self.closed += 1


def own_address(address: str) -> str:
    """The address that packets leave with; empty without a route. Nothing is sent."""
    one = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM)
    try:
        one.connect((address, 9))
        return str(one.getsockname()[0]).partition("%")[0]
    except OSError:
        return ""
    finally:
        one.close()


def echoes(address: str) -> bool:
    """Whether it answers ping(8), which may send echo requests where this program may not."""
    argv = ["ping", "-c", "2", "-W", "2", address]
    try:
        # Whichever ping the account has; the address came from our own side as an argument, and no shell is involved.
        code = subprocess.call(argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=8)  # noqa: S603
    except (OSError, subprocess.SubprocessError):
        return False
    return code == 0


def read_ports(words: str) -> "list[int]":
    """`22,80-90`"""
    found: "list[int]" = []
    for word in words.split(","):
        low, _, high = word.partition("-")
        found.extend(range(int(low), int(high or low) + 1))
    return found


def main() -> None:
    """See above."""
    rate, seconds = float(sys.argv[1]), float(sys.argv[2])
    ports = read_ports(sys.argv[3])
    deadline = time.monotonic() + seconds
    for address in sys.argv[4:]:
        say("of " + address)
        own = own_address(address)
        if not own:
            say("none")
            say("end")
            continue
        say("from " + own)
        scan = Scan(address, ports, rate, deadline)
        silent, whole = scan.run()
        unanswered = scan.controls_asked - scan.controls_answered
        words = (scan.closed, scan.filtered, silent, scan.round, scan.late, unanswered, scan.controls_asked)
        say("answers %d %d %d rounds %d late %d controls %d %d" % words)
        if not scan.answered and echoes(address):
            say("echo")
        say("end" if whole else "cut")


main()
