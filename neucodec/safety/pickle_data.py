"""Reads pickles as data: nothing in them is ever run, imported or looked up.

Python's unpickling runs any code that a file names. Here the opcodes are read one by one: those
that make numbers, text, lists, tuples and dictionaries are followed, and those calls that are given
to `read_pickle`. Everything else is refused.

A pickle can mention one object many times by its memo. ``t1 = (t0, t0)``, ``t2 = (t1, t1)`` and
so on stand for 2^n objects in n opcodes. Hashing, comparing or printing them would never end, and
no signal could end it. So only text and numbers are hashed, compared or printed here, and before an
object is returned its parts are counted as if every mention were a copy.
"""

from __future__ import annotations

import pickletools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO, Protocol, cast

MAX_DEPTH = 50
"""How many levels of containers within each other an object may have."""
_MAX_QUOTED = 60
"""How many characters of a name from the pickle a message has."""
_KEYS = (str, int, float, bool, bytes, type(None))
"""Types that keys of dictionaries may have."""


class NotDataError(Exception):
    """Raised where a pickle is cut off, damaged, or more than data.

    The message says which, as a sentence that goes on from "its pickle": "is cut off".
    """


@dataclass(frozen=True)
class Name:
    """A function or class that a pickle names, as "module name"; it is never imported."""

    name: str


class Built(Protocol):
    """An object that a call has made and that a pickle then gives its state."""

    def build(self, state: Any) -> None:
        """Take the state that the pickle has for the object."""

    @property
    def value(self) -> Any:
        """Return the finished object."""


Call = Callable[[tuple[Any, ...]], Any]
"""A function that makes an object from a call's arguments. Checks them; raises NotDataError."""


class _Mark:
    """An entry of the stack that marks where a list begins."""


def read_pickle(
    source: bytes | BinaryIO,
    calls: Mapping[str, Call],
    *,
    max_objects: int,
    persistent: Call | None = None,
) -> Any:
    """Return the object that a pickle holds.

    ``calls`` maps names, as "module name", to the functions that may be called by them.
    ``persistent`` makes an object that is stored elsewhere from the tuple that stands for it;
    with None there are none. At most ``max_objects`` opcodes are read, and the object may have at
    most as many parts. Raises NotDataError.
    """
    machine = _Machine(calls, persistent)
    try:
        found = machine.run(source, max_objects)
        _check_size(found, max_objects)
    except NotDataError:
        raise
    except MemoryError:
        raise NotDataError("stands for more than there is memory") from None
    except Exception as error:  # of any kind: anyone may have chosen the bytes
        text = " ".join(str(error).split())[:_MAX_QUOTED]
        raise NotDataError(f"is damaged: {type(error).__name__}: {text}") from None
    return found


class _Machine:
    """Follows one pickle: its stack, its memo, and a method for each opcode."""

    def __init__(self, calls: Mapping[str, Call], persistent: Call | None) -> None:
        self._calls, self._persistent = calls, persistent
        self._stack: list[Any] = []
        self._memo: dict[int, Any] = {}

    def run(self, source: bytes | BinaryIO, max_opcodes: int) -> Any:
        """Follow the opcodes up to STOP; return the object on top of the stack."""
        for count, (opcode, argument, _) in enumerate(pickletools.genops(source)):
            if count > max_opcodes:
                raise NotDataError(f"has more than {max_opcodes} opcodes")
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
        """Take the object on top of the stack."""
        item = self._stack.pop()
        if isinstance(item, _Mark):
            raise NotDataError("is damaged: a mark in the place of an object")
        return _finished(item)

    def _to_mark(self) -> list[Any]:
        """Take all objects above the last mark, and the mark."""
        items: list[Any] = []
        while not isinstance(item := self._stack.pop(), _Mark):
            items.append(_finished(item))
        return items[::-1]

    def nothing(self, _: Any) -> None:
        """PROTO, FRAME: do nothing."""

    def name(self, argument: str) -> None:
        """GLOBAL: push a name."""
        self._stack.append(Name(argument))

    def name_on_stack(self, _: Any) -> None:
        """STACK_GLOBAL: push a name whose two parts are on the stack."""
        name, module = self._stack.pop(), self._stack.pop()
        if not isinstance(name, str) or not isinstance(module, str):
            raise NotDataError("is damaged: a name that is no text")
        self._stack.append(Name(f"{module} {name}"))

    def put(self, argument: int) -> None:
        """BINPUT: remember the top of the stack under a number."""
        self._memo[argument] = self._stack[-1]

    def memoize(self, _: Any) -> None:
        """MEMOIZE: remember the top of the stack under the next number."""
        self._memo[len(self._memo)] = self._stack[-1]

    def get(self, argument: int) -> None:
        """BINGET: push what was remembered under a number."""
        self._stack.append(self._memo[argument])

    def tuple_of(self, count: int) -> None:
        """TUPLE1 to TUPLE3: make a tuple of as many objects."""
        self._stack.append(tuple([self._pop() for _ in range(count)][::-1]))

    def tuple_to_mark(self, _: Any) -> None:
        """TUPLE: make a tuple of all objects above the last mark."""
        self._stack.append(tuple(self._to_mark()))

    def append(self, _: Any) -> None:
        """APPEND: append the top of the stack to the list below it."""
        item = self._pop()
        self._top(list).append(item)

    def appends(self, _: Any) -> None:
        """APPENDS: append all objects above the last mark to the list below it."""
        items = self._to_mark()
        self._top(list).extend(items)

    def set_item(self, _: Any) -> None:
        """SETITEM: set one key of the dictionary below it."""
        value, key = self._pop(), self._pop()
        self._set([key], [value])

    def set_items(self, _: Any) -> None:
        """SETITEMS: set keys of the dictionary below the last mark."""
        items = self._to_mark()
        self._set(items[::2], items[1::2])

    def _set(self, keys: list[Any], values: list[Any]) -> None:
        if not all(type(key) in _KEYS for key in keys):
            raise NotDataError("has a dictionary with keys other than text and numbers")
        self._top(dict).update(zip(keys, values, strict=True))

    def _top(self, kind: type[Any]) -> Any:
        """Return the top of the stack, which has to be of a type."""
        if type(self._stack[-1]) is not kind:
            raise NotDataError(f"is damaged: it fills what is no {kind.__name__}")
        return self._stack[-1]

    def reduce(self, _: Any) -> None:
        """REDUCE: call a name, if that is allowed."""
        arguments, called = self._pop(), self._stack.pop()
        name = called.name if isinstance(called, Name) else "something"
        if name not in self._calls or not isinstance(arguments, tuple):
            raise NotDataError(f"calls {name[:_MAX_QUOTED]}, which is not data")
        self._stack.append(self._calls[name](arguments))

    def build(self, _: Any) -> None:
        """BUILD: give an object that REDUCE made its state.

        That of a dictionary is left out: attributes of an OrderedDict are no part of its content.
        """
        state, target = self._pop(), self._stack[-1]
        if hasattr(target, "build"):
            cast(Built, target).build(state)
        elif type(target) is not dict:
            raise NotDataError("sets the state of what has none")

    def stored(self, _: Any) -> None:
        """BINPERSID: push an object that is stored elsewhere."""
        place = self._pop()
        if self._persistent is None or not isinstance(place, tuple):
            raise NotDataError("has the opcode BINPERSID, which is not data")
        self._stack.append(self._persistent(place))


def _finished(item: Any) -> Any:
    """Return the finished object where `item` is one that a call has made, else `item`."""
    return cast(Built, item).value if hasattr(item, "build") else item


def _check_size(tree: Any, max_objects: int) -> None:
    """Raise NotDataError where a tree has too many objects or levels, or contains itself.

    An object counts as often as it is mentioned. Every container is looked into only once, since
    its size is kept.
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
        if size > max_objects or depth > MAX_DEPTH:
            raise NotDataError(f"stands for more than {max_objects} objects or {MAX_DEPTH} levels")
        sizes[id(item)] = size, depth


def _contents(item: Any) -> list[Any]:
    """Return the objects in a container; of a dictionary its values."""
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
