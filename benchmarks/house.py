"""The plan of the house, counted from the imports: rooms, arrows between them, floors, arrows that run up.

    python benchmarks/house.py [TREE ...]

A room is a package of its own: ``engine``, ``strategies``, ``rl_training``, the Python API, and everything that stands
at the first level of ``adapters`` (a module that lies loose there is a room too). An arrow is one room importing
another, however often. Floors are the rooms on the longest way along the arrows. An arrow runs up when the room it
leads to leads back: nobody can say then which of the two rests on the other.
"""

from __future__ import annotations

import argparse
import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
WINGS = ("engine", "strategies", "rl_training", "adapters", "arb")
OUTER = "adapters"
Arrows = Mapping[str, frozenset[str]]


@dataclass(frozen=True)
class Plan:
    """What was counted in one tree."""

    arrows: Arrows
    loose: tuple[str, ...]
    """Modules that lie at the top of ``adapters``."""
    commands: Mapping[str, int]
    """Lines of each module of the command line."""

    @property
    def rooms(self) -> int:
        return len(self.arrows)

    @property
    def count(self) -> int:
        """Arrows in all."""
        return sum(map(len, self.arrows.values()))

    @property
    def up(self) -> list[tuple[str, str]]:
        """Arrows whose end leads back to their beginning."""
        return [(a, b) for a, ends in sorted(self.arrows.items()) for b in sorted(ends) if a in self._reach(b)]

    @property
    def floors(self) -> int:
        """Rooms on the longest way down; those that lead to each other count once."""
        groups = {
            room: frozenset({room} | {b for b in self._reach(room) if room in self._reach(b)}) for room in self.arrows
        }

        @cache
        def height(group: frozenset[str]) -> int:
            below = {groups[b] for a in group for b in self.arrows[a]} - {group}
            return 1 + max(map(height, below), default=0)

        return max(map(height, groups.values()), default=0)

    def _reach(self, room: str) -> set[str]:
        found: set[str] = set()
        ahead = [room]
        while ahead:
            for end in self.arrows[ahead.pop()]:
                if end not in found:
                    found.add(end)
                    ahead.append(end)
        return found


def plan_of(tree: Path) -> Plan:
    """The plan of the checkout in ``tree``."""
    found: dict[str, set[str]] = {}
    for path in _modules(tree):
        here = room_of(_name(path.relative_to(tree)))
        ends = found.setdefault(here, set())
        ends |= {there for name in _imported(path) if (there := room_of(name)) != here}
    arrows = {room: frozenset(ends & found.keys()) for room, ends in found.items()}
    loose = tuple(sorted(path.name for path in (tree / OUTER).glob("*.py") if path.name != "__init__.py"))
    commands = {
        path.name: len(path.read_text().splitlines()) for path in sorted((tree / OUTER / "commands").glob("*.py"))
    }
    return Plan(arrows, loose, commands)


def room_of(name: str) -> str:
    """The room of a module; empty for what is not ours."""
    parts = name.split(".")
    if parts[0] not in WINGS:
        return ""
    return ".".join(parts[:2]) if parts[0] == OUTER else parts[0]


def _modules(tree: Path) -> Iterator[Path]:
    for wing in WINGS:
        yield from sorted((tree / wing).rglob("*.py"))
        if (tree / f"{wing}.py").exists():
            yield tree / f"{wing}.py"


def _name(path: Path) -> str:
    return ".".join(path.with_suffix("").parts).removesuffix(".__init__")


def _imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            # A module may be what is imported: `from adapters import bundles` leads to adapters.bundles.
            yield from (f"{node.module}.{one.name}" for one in node.names)
        elif isinstance(node, ast.Import):
            yield from (one.name for one in node.names)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("trees", nargs="*", type=Path, default=[ROOT])
    print(f"{'rooms':>6}{'arrows':>8}{'floors':>8}{'up':>5}{'loose':>7}  longest command")
    for tree in parser.parse_args().trees:
        plan = plan_of(tree)
        name, lines = max(plan.commands.items(), key=lambda item: item[1])
        row = f"{plan.rooms:>6}{plan.count:>8}{plan.floors:>8}{len(plan.up):>5}{len(plan.loose):>7}"
        print(f"{row}  {name}, {lines} lines  ({tree})")
        for a, b in plan.up:
            print(f"        up: {a} -> {b}")


if __name__ == "__main__":
    main()
