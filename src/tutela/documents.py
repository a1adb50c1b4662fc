"""Plain YAML, read strictly, with the place of everything in it.

Only mappings, lists, text, numbers, booleans, dates and null.
Refused: tags, aliases (a few lines of them can grow to gigabytes), duplicate keys, deep nesting, huge files.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Mapping
from typing import Any, NoReturn

from tutela.errors import ContentError
from tutela.language import Text
from tutela.record import record

MAX_DOCUMENT_BYTES = 16 << 20
MAX_DEPTH = 40

Path = tuple[str | int, ...]
_REQUIRED: Any = object()


@record
class Document:
    """One file's plain data; `marks` gives line and column (from 1) by path."""

    file: str
    data: Any
    marks: Mapping[Path, tuple[int, int]]

    @property
    def root(self) -> Node:
        """Where reading begins."""
        return Node(self, (), self.data)


def read_yaml(raw: bytes, file: str) -> Document:
    """Parse one YAML file.

    Raises ContentError for anything that is not plain data.
    """
    import yaml  # costs 10 ms; compiled content never needs it

    if len(raw) > MAX_DOCUMENT_BYTES:
        raise ContentError(Text("文件过大", "the file is too large"), file=file)
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as problem:
        raise ContentError(Text(f"不是 UTF-8 文本（第 {problem.start} 字节）", f"not UTF-8 text (byte {problem.start})"), file=file) from None
    loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    marks: dict[Path, tuple[int, int]] = {}
    try:
        stream = loader(text)
        try:
            # Events, not nodes: a depth bomb must be refused before anything recurses over it.
            depth = 0
            for event in yaml.parse(text, Loader=loader):
                if isinstance(event, yaml.CollectionStartEvent):
                    depth += 1
                elif isinstance(event, yaml.CollectionEndEvent):
                    depth -= 1
                mark = event.start_mark
                line, column = (mark.line + 1, mark.column + 1) if mark else (0, 0)
                if depth > MAX_DEPTH:
                    raise ContentError(Text("嵌套过深", "nested too deeply"), file=file, line=line, column=column)
                if isinstance(event, yaml.AliasEvent):
                    raise ContentError(Text("不允许使用别名（*name）", "aliases (*name) are not allowed"), file=file, line=line, column=column)
            node = stream.get_single_node()
            data = None if node is None else _plain(node, (), marks, file, stream)
        finally:
            stream.dispose()
    except yaml.MarkedYAMLError as problem:
        mark = problem.problem_mark or problem.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (0, 0)
        words = problem.problem or "?"
        raise ContentError(Text(f"YAML 写法有误：{words}", f"not valid YAML: {words}"), file=file, line=line, column=column) from None
    except yaml.YAMLError as problem:
        raise ContentError(Text(f"YAML 写法有误：{problem}", f"not valid YAML: {problem}"), file=file) from None
    return Document(file, data, marks)


def _plain(node: Any, path: Path, marks: dict[Path, tuple[int, int]], file: str, loader: Any) -> Any:
    import yaml

    line, column = node.start_mark.line + 1, node.start_mark.column + 1
    marks[path] = (line, column)
    if not node.tag.startswith("tag:yaml.org,2002:") or node.tag.rpartition(":")[2] not in _KINDS:
        raise ContentError(Text(f"不允许的类型标记 {node.tag}", f"the tag {node.tag} is not allowed"), file=file, line=line, column=column)
    if isinstance(node, yaml.MappingNode):
        made: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = key_node.value
            at = (key_node.start_mark.line + 1, key_node.start_mark.column + 1)
            if not isinstance(key_node, yaml.ScalarNode):
                raise ContentError(Text("键必须是文字", "a key must be text"), file=file, line=at[0], column=at[1])
            if key in made:
                raise ContentError(Text(f"键 {key!r} 重复", f"the key {key!r} occurs twice"), file=file, line=at[0], column=at[1])
            made[key] = _plain(value_node, (*path, key), marks, file, loader)
            marks[(*path, key)] = at
        return made
    if isinstance(node, yaml.SequenceNode):
        return [_plain(item, (*path, index), marks, file, loader) for index, item in enumerate(node.value)]
    try:
        return loader.construct_object(node)
    except (ValueError, OverflowError):
        raise ContentError(Text(f"无法读取的值 {node.value!r}", f"the value {node.value!r} cannot be read"), file=file, line=line, column=column) from None


_KINDS = {"map", "seq", "str", "int", "float", "bool", "null", "timestamp"}


@record
class Node:
    """A place in a document; every wrong thing is said with that place."""

    document: Document
    path: Path
    data: Any

    def wrong(self, zh: str, en: str) -> NoReturn:
        """Raise ContentError here."""
        marks = self.document.marks
        path = self.path
        while path not in marks and path:
            path = path[:-1]
        line, column = marks.get(path, (0, 0))
        name = ".".join(str(part) for part in self.path)
        raise ContentError(Text(f"{name}：{zh}" if name else zh, f"{name}: {en}" if name else en), file=self.document.file, line=line, column=column)

    def mapping(self, *, known: frozenset[str] | None = None) -> Node:
        """This node, if it is a mapping with only `known` keys."""
        if not isinstance(self.data, dict):
            self.wrong("应为键值对", "a mapping is expected")
        if known is not None:
            for key in self.data:
                if key not in known:
                    words = ", ".join(sorted(known))
                    Node(self.document, (*self.path, key), None).wrong(f"未知的键；可用：{words}", f"unknown key; known are: {words}")
        return self

    def has(self, key: str) -> bool:
        """Whether the mapping has `key`."""
        return isinstance(self.data, dict) and key in self.data

    def get(self, key: str, default: Any = _REQUIRED) -> Node:
        """The node under `key`."""
        if not isinstance(self.data, dict):
            self.wrong("应为键值对", "a mapping is expected")
        if key not in self.data:
            if default is _REQUIRED:
                self.wrong(f"缺少 {key}", f"{key} is missing")
            return Node(self.document, (*self.path, key), default)
        return Node(self.document, (*self.path, key), self.data[key])

    def items(self) -> Iterator[tuple[str, Node]]:
        """Keys and nodes of a mapping."""
        if not isinstance(self.data, dict):
            self.wrong("应为键值对", "a mapping is expected")
        for key, value in self.data.items():
            yield key, Node(self.document, (*self.path, key), value)

    def each(self) -> Iterator[Node]:
        """The nodes of a list."""
        if not isinstance(self.data, list):
            self.wrong("应为列表", "a list is expected")
        for index, value in enumerate(self.data):
            yield Node(self.document, (*self.path, index), value)

    def text(self) -> str:
        """A non-empty text."""
        if not isinstance(self.data, str) or not self.data:
            self.wrong("应为文字（必要时加引号）", "text is expected (quote it if need be)")
        return str(self.data)

    def texts(self) -> tuple[str, ...]:
        """A list of texts."""
        if isinstance(self.data, list) and all(isinstance(one, str) and one for one in self.data):
            return tuple(self.data)  # nothing to complain about, so no places are needed
        return tuple(item.text() for item in self.each())

    def integer(self) -> int:
        """A whole number."""
        if not isinstance(self.data, int) or isinstance(self.data, bool):
            self.wrong("应为整数", "a whole number is expected")
        return int(self.data)

    def boolean(self) -> bool:
        """True or false."""
        if not isinstance(self.data, bool):
            self.wrong("应为 true 或 false", "true or false is expected")
        return bool(self.data)

    def date(self) -> datetime.date:
        """A date, YYYY-MM-DD."""
        value = self.data
        if isinstance(value, str):
            try:
                value = datetime.date.fromisoformat(value)
            except ValueError:
                self.wrong("应为日期 YYYY-MM-DD", "a date YYYY-MM-DD is expected")
        if not isinstance(value, datetime.date) or isinstance(value, datetime.datetime):
            self.wrong("应为日期 YYYY-MM-DD", "a date YYYY-MM-DD is expected")
        return value

    def one_of(self, words: Any) -> str:
        """One of the given words."""
        if not isinstance(self.data, str) or self.data not in words:
            listed = ", ".join(str(word) for word in words)
            self.wrong(f"{self.data!r} 不在其中：{listed}", f"{self.data!r} is not one of: {listed}")
        return str(self.data)

    def both(self) -> Text:
        """A text for people: `zh` and `en`, both present."""
        if isinstance(self.data, dict) and self.data.keys() == {"zh", "en"}:
            zh, en = self.data["zh"], self.data["en"]
            if isinstance(zh, str) and isinstance(en, str) and zh and en:
                return Text(zh.strip(), en.strip())
        self.mapping(known=frozenset({"zh", "en"}))
        return Text(self.get("zh").text().strip(), self.get("en").text().strip())
