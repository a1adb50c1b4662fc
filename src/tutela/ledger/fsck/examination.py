"""The entries, the tiles and the checkpoints.

One bundle of entries is in memory at a time, with one row of up to 256 hashes a level.
Where a file and what lies below it disagree, the hash one level up says which of the two is wrong; at the right edge, where nothing is above, the signed root does.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from hashlib import sha256
from itertools import product

from tutela.errors import LedgerError
from tutela.language import Text
from tutela.ledger.entry import parse_entry, written
from tutela.ledger.fsck.finding import Finding, Grade, unread
from tutela.ledger.fsck.heads import Head
from tutela.ledger.fsck.identities import Identities
from tutela.ledger.fsck.layout import ENTRIES, HASH_BYTES, WIDTH, hash_over, path_of, read, root_over, unpacked
from tutela.ledger.log import Source
from tutela.ledger.refused import MalformedError, UnreachableError

_LOST = 1000
"""So many bundles missing in a row, with their hashes: it is not worth looking for more, and a hostile size ends here."""
_CLOCKS_S = 86_400
"""How far another machine's clock may be ahead of ours."""

Row = list[bytes | None]
"""Hashes next to each other; None where neither entries nor a tile tell."""


class Examination:
    """One pass over a log, up to its largest head."""

    def __init__(self, source: Source, heads: Sequence[Head], identities: Identities, told: Callable[[int], None] = lambda _: None) -> None:
        self._source = source
        self._heads = sorted(heads, key=lambda one: one.checkpoint.size)
        self._next = 0
        """The first head that was not passed yet."""
        self._identities = identities
        self._told = told
        self.size = self._heads[-1].checkpoint.size
        self._found: list[Finding] = []
        self._rows: list[Row] = [[]]
        """What waits at each level for its tile to fill."""
        self._logged = 0
        self._latest = int(time.time()) + _CLOCKS_S

    def findings(self) -> Iterator[Finding]:
        """Everything that is wrong, file by file, from the entries up."""
        for _ in self._steps():
            yield from self._found
            self._found.clear()

    def _steps(self) -> Iterator[None]:
        lost = 0
        for number in range(-(-self.size // WIDTH)):
            width = min(WIDTH, self.size - number * WIDTH)
            leaves = self._leaves(number, width)
            if width == WIDTH:
                leaves, above = self._settled(0, number, leaves)
                self._check_heads(number, leaves)
                self._carry(1, number, above)
            else:
                self._check_heads(number, leaves)
                self._rows[0] = leaves
            self._told(number * WIDTH + width)
            yield
            lost = 0 if any(leaves) else lost + 1
            if lost == _LOST:
                self._say(path_of(ENTRIES, number), Grade.UNSEEN, _GIVEN_UP)
                yield
                return
        self._check_edge()
        for first, again in self._identities.repeated():
            self._say(
                self._bundle_of(again), Grade.REMARK, Text(f"第 {again} 条与第 {first} 条是同一条记录", f"entry {again} is the same record as entry {first}")
            )
            yield
        yield

    def _say(self, place: str, grade: Grade, what: Text) -> None:
        self._found.append(Finding(place, grade, what))

    def _bundle_of(self, index: int) -> str:
        number = index // WIDTH
        return path_of(ENTRIES, number, min(WIDTH, self.size - number * WIDTH))

    # ------------------------------------------------------------------ the files

    def _read(self, level: int, number: int, width: int) -> bytes | None:
        """A file's content; None, and a finding, if it cannot be read."""
        try:
            return read(self._source, level, number, width)
        except UnreachableError:
            raise
        except (LedgerError, OSError) as problem:
            self._found.append(unread(path_of(level, number, width), problem))
            return None

    def _leaves(self, number: int, width: int) -> Row:
        """The hashes of a bundle's entries, which are looked through on the way."""
        place = path_of(ENTRIES, number, width)
        content = self._read(ENTRIES, number, width)
        if content is None:
            return [None] * width
        entries = unpacked(content)
        if entries is None or len(entries) != width:
            self._say(
                place, Grade.DAMAGED, Text(f"不是恰好 {width} 条记录（{len(content)} 字节）", f"does not hold exactly {width} entries ({len(content)} bytes)")
            )
            return [None] * width
        for index, entry in enumerate(entries, number * WIDTH):
            self._look_at(place, index, entry)
        return [sha256(b"\0" + entry).digest() for entry in entries]

    def _look_at(self, place: str, index: int, entry: bytes) -> None:
        try:
            said = parse_entry(entry)
        except MalformedError as problem:
            self._say(place, Grade.DAMAGED, Text(f"第 {index} 条：{problem.message.zh}", f"entry {index}: {problem.message.en}"))
            return
        self._identities.add(said.record.identity, index)
        odd = None
        if said.logged > self._latest:
            odd = Text("还没有到", "which is yet to come")
        elif said.logged < self._logged:
            odd = Text(f"前面的记录却在 {written(self._logged)} 已记入", f"after one that was logged at {written(self._logged)}")
        elif said.record.received > said.logged:
            odd = Text(f"却在 {written(said.record.received)} 才收到", f"before it was received, at {written(said.record.received)}")
        if odd:
            when = written(said.logged)
            self._say(place, Grade.REMARK, Text(f"第 {index} 条记入于 {when}，{odd.zh}", f"entry {index} was logged at {when}, {odd.en}"))
        else:
            self._logged = said.logged

    def _tile(self, level: int, number: int, width: int) -> Row | None:
        """The hashes of a tile."""
        content = self._read(level, number, width)
        if content is not None and len(content) != width * HASH_BYTES:
            self._say(
                path_of(level, number, width),
                Grade.DAMAGED,
                Text(f"应有 {width * HASH_BYTES} 字节，实有 {len(content)} 字节", f"has {len(content)} bytes, not {width * HASH_BYTES}"),
            )
            content = None
        return None if content is None else list(_hashes(content))

    # ------------------------------------------------------------------ the tree

    def _settled(self, level: int, number: int, computed: Row) -> tuple[Row, bytes | None]:
        """A full tile against what was computed from below: the hashes to go on with, and the one over them."""
        held = self._tile(level, number, WIDTH)
        if held is None:
            return computed, _over(computed)
        below = [one or other for one, other in zip(computed, held, strict=True)]
        if below == held:
            return held, _over(held)
        place, parent = path_of(level, number), self._parent(level, number)
        above, name = parent or (None, "")
        if above is not None and above == _over(below):
            self._say(place, Grade.DAMAGED, Text(f"与下面的内容不符，而 {name} 认可下面的内容", f"differs from what lies below it, which {name} vouches for"))
            return below, above
        self._say_differing(level, number, below, held)
        if above is not None and above == _over(held):
            return held, above
        self._say(
            place, Grade.DAMAGED, Text("与下面的内容不符，上面的散列两边都不认", "differs from what lies below it, and the hash above vouches for neither")
        )
        return below, above or _over(below)

    def _parent(self, level: int, number: int) -> tuple[bytes, str] | None:
        """What the tile above says of a full tile, and its path; that it may be missing or damaged itself is said when its turn comes."""
        held = (self.size >> 8 * (level + 1)) - number // WIDTH * WIDTH
        width = min(held, WIDTH)
        try:
            content = read(self._source, level + 1, number // WIDTH, width)
        except (LedgerError, OSError):
            return None
        if len(content) != width * HASH_BYTES:
            return None
        return content[number % WIDTH * HASH_BYTES :][:HASH_BYTES], path_of(level + 1, number // WIDTH, width)

    def _say_differing(self, level: int, number: int, below: Row, held: Row) -> None:
        """Names what lies below a tile and differs from it."""
        tile = path_of(level, number, len(held))
        for at, (one, other) in enumerate(zip(below, held, strict=True)):
            if one != other:
                index = number * WIDTH + at
                if level:
                    what = Text(f"它和下面的内容与 {tile} 里的散列不符", f"with what lies below it, differs from the hash in {tile}")
                    self._say(path_of(level - 1, index), Grade.DAMAGED, what)
                else:
                    what = Text(f"第 {index} 条与 {tile} 里的散列不符", f"entry {index} differs from the hash in {tile}")
                    self._say(self._bundle_of(index), Grade.DAMAGED, what)

    def _carry(self, level: int, number: int, above: bytes | None) -> None:
        """Hands the hash over a full tile to the level above, where it may be the last that a tile waits for."""
        if level == len(self._rows):
            self._rows.append([])
        row = self._rows[level]
        row.append(above)
        if len(row) == WIDTH:
            self._rows[level] = []
            _, above = self._settled(level, number // WIDTH, row)
            self._carry(level + 1, number // WIDTH, above)

    def _check_heads(self, number: int, leaves: Row) -> None:
        """The earlier heads that end in this bundle."""
        while (head := self._heads[self._next]).checkpoint.size < self.size and (end := head.checkpoint.size - number * WIDTH) <= len(leaves):
            if end > 0:
                self._check_root(head, [leaves[:end], *self._rows[1:]])
            self._next += 1

    def _check_root(self, head: Head, rows: Sequence[Row]) -> None:
        whole = _whole(rows)
        if whole is None:
            self._say(head.place, Grade.UNSEEN, Text("根无法重算：缺少记录", "its root cannot be recomputed, since entries are missing"))
        elif root_over(whole) != head.checkpoint.root:
            size, found, signed = head.checkpoint.size, root_over(whole).hex(), head.checkpoint.root.hex()
            self._say(
                head.place,
                Grade.DAMAGED,
                Text(f"前 {size} 条得出的根是 {found}，它签的是 {signed}", f"the first {size} entries lead to the root {found}, but it signs {signed}"),
            )

    def _check_edge(self) -> None:
        """The partial tiles at the right edge. What they and the levels below hold is tried in every combination until one has the signed root."""
        largest = self._heads[-1].checkpoint
        choices: list[list[Row]] = []
        for level, computed in enumerate(self._rows):
            choices.append([computed])
            if computed:
                held = self._tile(level, self._last(level), len(computed))
                if held is not None:
                    below = [one or other for one, other in zip(computed, held, strict=True)]
                    choices[level] = [below] if below == held else [below, held]
        right: tuple[Row, ...] | None = None
        for rows in product(*choices):
            whole = _whole(rows)
            if whole is not None and root_over(whole) == largest.root:
                right = rows
                break
        for level, (below, *others) in enumerate(choices):
            for held in others:
                place = path_of(level, self._last(level), len(held))
                if right is None or right[level] is held:
                    self._say_differing(level, self._last(level), below, held)
                if right is None:
                    self._say(place, Grade.DAMAGED, Text("与下面的内容不符", "differs from what lies below it"))
                elif right[level] is below:
                    what = Text("与下面的内容不符，而签过的根认可下面的内容", "differs from what lies below it, which the signed root vouches for")
                    self._say(place, Grade.DAMAGED, what)
        for head in self._heads[self._next :]:
            self._check_root(head, right or [one[0] for one in choices])

    def _last(self, level: int) -> int:
        """The number of the partial tile at the right edge."""
        return (self.size >> 8 * level) // WIDTH


def _hashes(content: bytes) -> Iterator[bytes]:
    return (content[i : i + HASH_BYTES] for i in range(0, len(content), HASH_BYTES))


def _over(row: Row) -> bytes | None:
    """The hash over a row, if nothing is missing in it."""
    whole = _whole([row])
    return hash_over(whole[0]) if whole else None


def _whole(rows: Sequence[Row]) -> list[list[bytes]] | None:
    """The rows, if nothing is missing in them."""
    found = [[one for one in row if one is not None] for row in rows]
    return found if sum(map(len, found)) == sum(map(len, rows)) else None


_GIVEN_UP = Text(
    f"连续 {_LOST} 个文件没有可用的内容，不再往下看",
    f"{_LOST} files in a row have nothing that could be used: not looked any further",
)
