"""Feature tables derived from a data set, kept outside the tracked tree and shared between processes.

A table is kept under everything that it depends on: the facts of the market, which legs the filters left, the
settings that reach a feature (fees, and when a silent leg stops being charged), and the code of the engine.
"""

from __future__ import annotations

from adapters.storage.array_store import cache_root, read_arrays, write_arrays
from adapters.storage.code_fingerprint import code_fingerprint
from engine.accounting.tape import Tape
from engine.observation.features import FEATURES, Tables, build_tables
from engine.settings import EngineSettings, hash_of

MADE_BY = ("engine",)
ENTRIES_KEPT = 4


def feature_tables(fingerprint: str, tape: Tape) -> Tables:
    """The tables of a tape: memory-mapped from the cache, or built and kept there."""
    folder = cache_root() / "features" / f"{_key(fingerprint, tape)}"
    widths = {name: len(tape.pairs) if name.startswith("spread") else tape.market.legs for name in Tables._fields}
    try:
        arrays, _ = read_arrays(folder)
        if all(arrays[name].shape == (tape.hours, width) for name, width in widths.items()):
            return Tables(**{name: arrays[name] for name in Tables._fields})
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        pass  # absent or damaged: built anew below
    tables = build_tables(tape)
    write_arrays(folder, tables._asdict(), {}, kept=ENTRIES_KEPT)
    for array in tables:
        array.flags.writeable = False  # as from the cache: compiled code is made once, not once for each kind
    return tables


def _key(fingerprint: str, tape: Tape) -> str:
    legs = [tape.market.leg_name(leg) for leg in range(tape.market.legs)]
    code = code_fingerprint(*MADE_BY)
    return hash_of([fingerprint, legs, list(FEATURES), _settings_in_features(tape.settings), code])


def _settings_in_features(settings: EngineSettings) -> dict[str, object]:
    return {
        "fees": settings.cost_table_hash(),
        "cost_multiple": settings.cost_multiple,
        "max_stale_hours": settings.max_stale_hours,
    }
