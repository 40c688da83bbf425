"""The documents of the project: whatever cites them finds its section there, and what they name exists."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = sorted((ROOT / "docs").glob("*.md"))
FOLDERS = ("engine", "strategies", "rl_training", "adapters", "tests", "benchmarks", "configs", "docs", "deploy")
CITED = re.compile(r"docs/(\w+)\.md(?:\s+sections?\s+(\d+)(?:\s+(and|to)\s+(\d+))?)?")


def texts() -> Iterator[tuple[Path, str]]:
    files = [path for folder in FOLDERS for path in (ROOT / folder).rglob("*")]
    for path in [*files, ROOT / "README.md", ROOT / "CHANGELOG.md", ROOT / "pyproject.toml", ROOT / "arb.py"]:
        if path.suffix in (".py", ".md", ".yaml", ".toml") and path != Path(__file__):
            yield path, path.read_text(encoding="utf-8")


def sections(name: str) -> set[int]:
    """Numbers of headings, of traps those of the list."""
    text = (ROOT / "docs" / f"{name}.md").read_text(encoding="utf-8")
    pattern = r"(?:\*\*|(?<=\s))(\d+)\.\s" if name == "traps" else r"^## (\d+)\. "
    return {int(found) for found in re.findall(pattern, text, flags=re.MULTILINE)}


def test_sections_are_numbered_without_gaps() -> None:
    assert sections("design") == set(range(1, 11))
    assert sections("traps") == set(range(1, 30))


def test_every_citation_finds_its_section() -> None:
    cited = 0
    for path, text in texts():
        for name, first, joined, last in CITED.findall(text):
            assert (ROOT / "docs" / f"{name}.md").is_file(), (path, name)
            if first:
                wanted = range(int(first), int(last) + 1) if joined == "to" else (int(first), int(last or first))
                assert {*wanted} <= sections(name), (path, name, first, last)
                cited += 1
    assert cited > 20


def test_nothing_cites_a_document_that_is_not_here() -> None:
    for path, text in texts():
        cited = set(re.findall(r"\b[A-Z]{4,}\.md\b", text))
        assert cited <= {"README.md", "CHANGELOG.md", "CARD.md", "EXPERIMENTS.md"}, path


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_places_named_in_the_documents_exist(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    for path in re.findall(rf"`((?:{'|'.join(FOLDERS)})/[\w./]*)`", text):
        assert (ROOT / path).exists(), path
    for link in re.findall(r"\]\(([\w./]+)\)", text):
        assert (document.parent / link).exists(), link


def test_traps_that_tests_name_are_on_the_list() -> None:
    named = {
        int(number)
        for path in (ROOT / "tests").rglob("test_*.py")
        for number in re.findall(r"(?:mark\.trap\(|def test_trap_)(\d+)", path.read_text(encoding="utf-8"))
    }
    assert named <= sections("traps")
    assert len(named) > 15
