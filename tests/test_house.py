"""The rules of the house (docs/architecture.md), held by reading every import of the package."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

try:
    import tomllib
except ImportError:  # before Python 3.11
    import tomli as tomllib

ROOT = Path(__file__).parents[1]
FOLDERS = {"neucodec": "neucodec", "neucodec.formats": "formats", "neucodec.models": "models"}

FLOORS = (
    ("neucodec.closing", "neucodec.errors", "neucodec.version", "neucodec.safety"),
    ("neucodec.formats", "neucodec.models"),
    ("neucodec.terminal",),
    ("neucodec.parallel",),
    ("neucodec.files",),
    ("neucodec.audio",),
    ("neucodec.coding",),
    ("neucodec.arguments", "neucodec.damage", "neucodec.notebook", "neucodec.jobs"),
    ("neucodec.tokens", "neucodec.tensor_audio", "neucodec.hub", "neucodec.opened_ncf"),
    ("neucodec.loaded_model",),
    ("neucodec.file", "neucodec.model"),
    ("neucodec.encode_choices", "neucodec.loading", "neucodec.ncf_info"),
    ("neucodec.writer", "neucodec.encoding"),
    ("neucodec.interchange", "neucodec.player"),
    ("neucodec.api",),
    ("neucodec",),
    ("neucodec.evaluation",),
    ("neucodec.training",),
    ("neucodec.commands",),
    ("neucodec.cli",),
    ("neucodec.__main__",),
)
"""Rooms from the lowest floor up. A module imports from its own room and from lower floors."""
FLOORS_OF_MODELS = (
    ("errors", "import_torch"),
    ("bounds",),
    ("catalogue",),
    ("codec",),
    ("parts",),
    ("batching", "network_kinds", "signal_ends"),
    ("strategies", "lm"),
    ("families.family",),
    (
        "families.neu",
        "families.dac",
        "families.encodec",
        "families.hificodec",
        "families.spectokenizer",
    ),
    ("families.table", "families"),
    ("families.build", "families.recognition", "lm.load"),
    ("local_checkpoint", "variants"),
    ("load",),
    ("",),
)
"""The same within ``neucodec.models``; its face, which is last, imports from all of them."""
FLOORS_OF_FORMATS = (("errors",), ("entropy", "peers"), ("ncf",), ("",))
FACES = ("neucodec.formats", "neucodec.formats.peers", "neucodec.models")
"""What may be imported of those packages from outside."""
BUILDERS = ("neucodec.training", "neucodec.models")
"""Rooms that build networks of their parts, and may go around the face of ``models``."""

Imports = Mapping[str, frozenset[str]]


def modules(root: Path) -> Iterator[tuple[str, Path]]:
    """The modules of the package and their files, as they lie below a checkout."""
    for package, folder in FOLDERS.items():
        for path in sorted((root / folder).rglob("*.py")):
            parts = path.relative_to(root / folder).with_suffix("").parts
            yield ".".join([package, *(part for part in parts if part != "__init__")]), path


def imports_of(root: Path) -> Imports:
    """What each module imports at any place in it, by dotted names; types, too."""
    files = dict(modules(root))
    return {name: frozenset(_imports(name, path, files)) for name, path in files.items()}


def _imports(name: str, path: Path, files: Mapping[str, Path]) -> Iterator[str]:
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: package.count(".") + 2 - node.level]
            base = ".".join([*above, *filter(None, [node.module])]) if node.level else node.module
            assert base is not None
            for alias in node.names:
                whole = f"{base}.{alias.name}"
                yield whole if whole in files else base


def floor_of(name: str, floors: tuple[tuple[str, ...], ...]) -> tuple[int, str]:
    """The floor and the room of a module, by the longest room whose name it begins with."""
    fitting = [
        (len(room), floor, room)
        for floor, rooms in enumerate(floors)
        for room in rooms
        if name == room or name.startswith(f"{room}.") or not room
    ]
    assert fitting, f"{name} is in no room: tests/test_house.py lists them"
    return max(fitting)[1:]


def broken_rules(imports: Imports) -> list[str]:
    """One line for each import that a rule forbids."""
    return [
        f"{name} imports {other}: {rule}"
        for name, others in sorted(imports.items())
        for other in sorted(others - {name})
        if (rule := _broken(name, other))
    ]


def _broken(name: str, other: str) -> str:
    if name.startswith("neucodec.formats") and other.split(".")[0] == "torch":
        return "formats knows no torch"
    if other.split(".")[0] != "neucodec":
        return ""
    for package in ("neucodec.formats", "neucodec.models"):
        inside = other.startswith(f"{package}.")
        if inside and not name.startswith(package) and other not in FACES:
            if package == "neucodec.models" and name.startswith(BUILDERS):
                continue
            return f"import it from {package}"
    (floor, room), (others_floor, others_room) = (floor_of(m, FLOORS) for m in (name, other))
    if room != others_room:
        return "" if others_floor < floor else "arrows go down"
    for package, floors in (
        ("neucodec.formats", FLOORS_OF_FORMATS), ("neucodec.models", FLOORS_OF_MODELS),
    ):  # fmt: skip
        if room == package:
            pair = (m.removeprefix(package).removeprefix(".") for m in (name, other))
            (floor, inner), (others_floor, others_inner) = (floor_of(m, floors) for m in pair)
            if inner != others_inner and others_floor >= floor:
                return "arrows go down"
    return ""


def circles(imports: Imports) -> list[str]:
    """Modules that import each other, however indirectly."""
    left = {name: {o for o in others if o in imports} - {name} for name, others in imports.items()}
    while free := [name for name, others in left.items() if not others & left.keys()]:
        for name in free:
            del left[name]
    return sorted(left)


IMPORTS = imports_of(ROOT)


def test_arrows_go_down_and_through_faces() -> None:
    assert broken_rules(IMPORTS) == []


def test_no_module_imports_itself_by_way_of_others() -> None:
    assert circles(IMPORTS) == []


@pytest.mark.parametrize(
    ("name", "other", "rule"),
    [
        ("neucodec.formats.ncf.chunk", "torch", "formats knows no torch"),
        ("neucodec.formats.ncf.chunk", "neucodec.models", "arrows go down"),
        ("neucodec.models.codec", "neucodec.formats", "arrows go down"),
        ("neucodec.models.codec", "neucodec.files.paths", "arrows go down"),
        ("neucodec.models.catalogue.card", "neucodec.models.parts.precision", "arrows go down"),
        ("neucodec.formats.entropy.varint", "neucodec.formats.ncf.chunk", "arrows go down"),
        ("neucodec.evaluation.clips", "neucodec.commands.encode", "arrows go down"),
        ("neucodec.audio.source", "neucodec.coding.levels", "arrows go down"),
        ("neucodec.coding.encoder", "neucodec.models.load", "import it from neucodec.models"),
        ("neucodec.coding.chunks", "neucodec.formats.ncf.chunk", "import it from neucodec.formats"),
    ],
)
def test_breaking_a_rule_is_noticed(name: str, other: str, rule: str) -> None:
    broken = {**IMPORTS, name: IMPORTS[name] | {other}}
    assert broken_rules(broken) == [f"{name} imports {other}: {rule}"]


def test_a_circle_is_noticed() -> None:
    name, other = "neucodec.audio.samples", "neucodec.audio.source"
    assert name in IMPORTS[other]
    assert {name, other} <= set(circles({**IMPORTS, name: IMPORTS[name] | {other}}))


def test_imports_are_read_as_python_reads_them(tmp_path: Path) -> None:
    for folder in FOLDERS.values():
        (tmp_path / folder / "room").mkdir(parents=True)
        (tmp_path / folder / "room" / "__init__.py").write_text("")
    (tmp_path / "models/room/two.py").write_text("")
    (tmp_path / "models/room/one.py").write_text(
        "import os\nfrom . import two\nfrom .two import x\nfrom neucodec.room import y\n"
        "def f():\n    from .. import errors\n"
    )
    assert imports_of(tmp_path)["neucodec.models.room.one"] == {
        "os", "neucodec.models.room.two", "neucodec.room", "neucodec.models",
    }  # fmt: skip


@pytest.mark.parametrize(
    "name", ["neucodec", "neucodec.cli", "neucodec.formats", "neucodec.models"]
)
def test_importing_brings_no_torch(name: str) -> None:
    script = f"import sys, {name}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], cwd="/", check=False).returncode == 0


def test_every_room_is_packaged() -> None:
    with (ROOT / "pyproject.toml").open("rb") as file:
        packaged = tomllib.load(file)["tool"]["setuptools"]["packages"]
    assert packaged == sorted(name for name, path in modules(ROOT) if path.name == "__init__.py")


def test_modules_functions_and_classes_are_not_too_long() -> None:
    too_long = []
    for name, path in modules(ROOT):
        text = path.read_text(encoding="utf-8")
        if text.count("\n") > 300:
            too_long.append(f"{name}: {text.count(chr(10))} lines")
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
                # Decorators are no part of what a function does: click's options stand there.
                lines = (node.end_lineno or 0) - node.lineno + 1
                if lines > (200 if isinstance(node, ast.ClassDef) else 60):
                    too_long.append(f"{name}.{node.name}: {lines} lines")
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                clicks = "commands" in name and node.decorator_list
                given = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
                count = sum(arg.arg not in ("self", "cls") for arg in given)
                if count > 8 and not clicks:
                    too_long.append(f"{name}.{node.name}: {count} parameters")
    assert too_long == []
