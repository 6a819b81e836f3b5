"""Pickles read as data: nothing in them is ever run, imported or looked up.

Unpickling runs whatever a file tells it to. Here the opcodes are read one by one; those that make
numbers, text, lists, tuples and dictionaries are followed, and of calls those few that the reader
names. Everything else is refused.

A pickle can name one object many times over by its memo. ``t1 = (t0, t0)``, ``t2 = (t1, t1)`` and
so on stand for 2^n objects in n opcodes, and whatever walks over them (a hash, a comparison, a
line on the terminal) never ends, nor can a signal end it. So nothing here is hashed, compared or
printed but text and numbers, and before anything is given out it is counted as if every mention
were a copy.
"""

from __future__ import annotations

import pickletools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO, Protocol, cast

MOST_DEPTH = 50
"""Levels of containers in each other."""
_MOST_SAID = 60
"""Characters of a name in a message."""
_KEYS = (str, int, float, bool, bytes, type(None))


class NotDataError(Exception):
    """A pickle that is cut off, damaged, or more than data. The message says which, of "its
    pickle"."""


@dataclass(frozen=True)
class Name:
    """Something that a pickle refers to by its module and name; never imported."""

    name: str


class Built(Protocol):
    """What a call made, and the pickle then fills."""

    def build(self, state: Any) -> None:
        """Take the state that the pickle has for it."""

    @property
    def value(self) -> Any:
        """The finished object."""


Call = Callable[[tuple[Any, ...]], Any]
"""Makes an object of the arguments of a call; must check them, and may raise NotDataError."""


class _Mark:
    """Where on the stack a list begins."""


def read_pickle(
    source: bytes | BinaryIO,
    calls: Mapping[str, Call],
    *,
    most: int,
    persistent: Call | None = None,
) -> Any:
    """Follow a pickle up to its end; what it holds.

    ``calls`` says what calling a name, as "module name", makes. ``persistent`` makes objects that
    are stored elsewhere, of the tuple that stands for one. ``most`` bounds the opcodes and what
    they stand for. Raises NotDataError.
    """
    machine = _Machine(calls, persistent)
    try:
        found = machine.run(source, most)
        _count(found, most)
    except NotDataError:
        raise
    except MemoryError:
        raise NotDataError("stands for more than there is memory") from None
    except Exception as error:  # of whatever kind: the bytes are anyone's
        text = " ".join(str(error).split())[:_MOST_SAID]
        raise NotDataError(f"is damaged: {type(error).__name__}: {text}") from None
    return found


class _Machine:
    """The stack and the memo of one pickle."""

    def __init__(self, calls: Mapping[str, Call], persistent: Call | None) -> None:
        self._calls, self._persistent = calls, persistent
        self._stack: list[Any] = []
        self._memo: dict[int, Any] = {}

    def run(self, source: bytes | BinaryIO, most: int) -> Any:
        for count, (opcode, argument, _) in enumerate(pickletools.genops(source)):
            if count > most:
                raise NotDataError(f"has more than {most} opcodes")
            name = opcode.name
            if name in _CONSTANTS:
                self._stack.append(_CONSTANTS[name]())
            elif name in _LITERALS:
                self._stack.append(argument)
            elif name == "STOP":
                return self._pop()
            elif name in _STEPS:
                _STEPS[name](self, argument)
            else:
                raise NotDataError(f"has the opcode {name}, which is not data")
        raise NotDataError("is cut off")

    def _pop(self) -> Any:
        item = self._stack.pop()
        if isinstance(item, _Mark):
            raise NotDataError("is damaged: a mark in the place of an object")
        return _finished(item)

    def _to_mark(self) -> list[Any]:
        items: list[Any] = []
        while not isinstance(item := self._stack.pop(), _Mark):
            items.append(_finished(item))
        return items[::-1]

    def nothing(self, _: Any) -> None:
        """Framing."""

    def name(self, argument: str) -> None:
        """GLOBAL."""
        self._stack.append(Name(argument))

    def name_on_stack(self, _: Any) -> None:
        """STACK_GLOBAL."""
        name, module = self._stack.pop(), self._stack.pop()
        if not isinstance(name, str) or not isinstance(module, str):
            raise NotDataError("is damaged: a name that is no text")
        self._stack.append(Name(f"{module} {name}"))

    def put(self, argument: int) -> None:
        """BINPUT."""
        self._memo[argument] = self._stack[-1]

    def memoize(self, _: Any) -> None:
        """MEMOIZE."""
        self._memo[len(self._memo)] = self._stack[-1]

    def get(self, argument: int) -> None:
        """BINGET."""
        self._stack.append(self._memo[argument])

    def tuple_of(self, count: int) -> None:
        """TUPLE1 and its like."""
        self._stack.append(tuple([self._pop() for _ in range(count)][::-1]))

    def tuple_to_mark(self, _: Any) -> None:
        """TUPLE."""
        self._stack.append(tuple(self._to_mark()))

    def append(self, _: Any) -> None:
        """APPEND."""
        item = self._pop()
        self._top(list).append(item)

    def appends(self, _: Any) -> None:
        """APPENDS."""
        items = self._to_mark()
        self._top(list).extend(items)

    def set_item(self, _: Any) -> None:
        """SETITEM."""
        value, key = self._pop(), self._pop()
        self._set([key], [value])

    def set_items(self, _: Any) -> None:
        """SETITEMS."""
        items = self._to_mark()
        self._set(items[::2], items[1::2])

    def _set(self, keys: list[Any], values: list[Any]) -> None:
        if not all(type(key) in _KEYS for key in keys):
            raise NotDataError("has a dictionary with keys other than text and numbers")
        self._top(dict).update(zip(keys, values, strict=True))

    def _top(self, kind: type[Any]) -> Any:
        if type(self._stack[-1]) is not kind:
            raise NotDataError(f"is damaged: it fills what is no {kind.__name__}")
        return self._stack[-1]

    def reduce(self, _: Any) -> None:
        """REDUCE: the few calls that there are."""
        arguments, called = self._pop(), self._stack.pop()
        name = called.name if isinstance(called, Name) else "something"
        if name not in self._calls or not isinstance(arguments, tuple):
            raise NotDataError(f"calls {name[:_MOST_SAID]}, which is not data")
        self._stack.append(self._calls[name](arguments))

    def build(self, _: Any) -> None:
        """BUILD: fills what REDUCE made. Attributes of a dictionary, as an OrderedDict may have
        them, say nothing of its content."""
        state, target = self._pop(), self._stack[-1]
        if hasattr(target, "build"):
            cast(Built, target).build(state)
        elif type(target) is not dict:
            raise NotDataError("sets the state of what has none")

    def stored(self, _: Any) -> None:
        """BINPERSID: an object that is stored elsewhere."""
        place = self._pop()
        if self._persistent is None or not isinstance(place, tuple):
            raise NotDataError("has the opcode BINPERSID, which is not data")
        self._stack.append(self._persistent(place))


def _finished(item: Any) -> Any:
    """The object itself in the place of what a call made and the pickle filled."""
    return cast(Built, item).value if hasattr(item, "build") else item


def _count(tree: Any, most: int) -> None:
    """Raise NotDataError where a tree has more objects, counted as often as they are mentioned,
    or more levels than can be meant, or a list is in itself.

    Every container is looked into once, whatever the number of its mentions: its size is kept.
    """
    sizes: dict[int, tuple[int, int]] = {}  # objects and levels, by identity
    waiting: list[tuple[Any, bool]] = [(tree, False)]
    entered: set[int] = set()
    while waiting:
        item, done = waiting.pop()
        inner = _contents(item)
        if id(item) in sizes or not inner:
            continue
        if not done:
            if id(item) in entered:
                raise NotDataError("has a list or dictionary in itself")
            entered.add(id(item))
            waiting.append((item, True))
            waiting.extend((each, False) for each in inner if id(each) not in sizes)
            continue
        entered.discard(id(item))
        parts = [sizes.get(id(each), (1, 0)) for each in inner]
        size, depth = 1 + sum(p[0] for p in parts), 1 + max(p[1] for p in parts)
        if size > most or depth > MOST_DEPTH:
            raise NotDataError(f"stands for more than {most} objects or {MOST_DEPTH} levels")
        sizes[id(item)] = size, depth


def _contents(item: Any) -> list[Any]:
    """What a container holds, keys of text and numbers aside."""
    if isinstance(item, dict):
        return list(item.values())
    return list(item) if isinstance(item, (list, tuple)) else []


_CONSTANTS: dict[str, Callable[[], Any]] = {
    "NONE": lambda: None, "NEWTRUE": lambda: True, "NEWFALSE": lambda: False,
    "EMPTY_TUPLE": tuple, "EMPTY_LIST": list, "EMPTY_DICT": dict, "MARK": _Mark,
}  # fmt: skip
_LITERALS = {
    "BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT", "BINUNICODE", "SHORT_BINUNICODE",
    "BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BINSTRING", "SHORT_BINSTRING",
}  # fmt: skip
_STEPS: dict[str, Callable[[_Machine, Any], None]] = {
    "PROTO": _Machine.nothing, "FRAME": _Machine.nothing,
    "GLOBAL": _Machine.name, "STACK_GLOBAL": _Machine.name_on_stack,
    "BINPUT": _Machine.put, "LONG_BINPUT": _Machine.put, "MEMOIZE": _Machine.memoize,
    "BINGET": _Machine.get, "LONG_BINGET": _Machine.get,
    "TUPLE": _Machine.tuple_to_mark,
    "TUPLE1": lambda machine, _: machine.tuple_of(1),
    "TUPLE2": lambda machine, _: machine.tuple_of(2),
    "TUPLE3": lambda machine, _: machine.tuple_of(3),
    "APPEND": _Machine.append, "APPENDS": _Machine.appends,
    "SETITEM": _Machine.set_item, "SETITEMS": _Machine.set_items,
    "REDUCE": _Machine.reduce, "BUILD": _Machine.build, "BINPERSID": _Machine.stored,
}  # fmt: skip
