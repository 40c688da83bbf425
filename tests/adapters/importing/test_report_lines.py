"""The table of an import fits a terminal, whatever it says."""

from __future__ import annotations

from adapters.importing.report import ContractReport, RowsHeld
from adapters.importing.report_lines import WIDTH, table


def contract(name: str, intervals: dict[str, int], *, stated: int = 0, refused: int = 0) -> ContractReport:
    held = RowsHeld(123_456, 1, 2, "2023-11-01T00:00Z", "2025-05-31T23:00Z", 12_345)
    return ContractReport("X", name, 1, held, held, intervals, stated, 0, 0, refused, 0)


def test_names_are_cut_before_numbers_are() -> None:
    lines = table(
        [
            contract("A" * 60, {"1": 1, "2": 1, "4": 1, "8": 1}),
            contract("BTC/USDT:USDT", {"8": 9}, stated=123_456, refused=12_345),
        ]
    )
    assert max(map(len, lines)) <= WIDTH
    assert lines[1].startswith("AAAA")
    assert "...  123,456  2023-11-01  2025-05-31" in lines[1]
    assert lines[1].split()[-4:-1] == ["1-8", "h", "inferred"] or "1-8 h inferred" in lines[1]
    assert "8 h stated" in lines[2]
    assert lines[2].endswith("12,345")
    assert lines[0].split()[-1] == "refused"


def test_a_column_of_zeros_is_not_shown() -> None:
    lines = table([contract("BTC/USDT:USDT", {"4": 1, "8": 1}, stated=5), contract("X", {})])
    assert lines[0].split()[-1] == "missing"
    assert "4/8 h both" in lines[1]
    assert lines[2].split()[6] == "-"
