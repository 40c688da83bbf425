"""Names of strategies on the command line."""

from __future__ import annotations


def strategy_names(names: str) -> list[str]:
    """Comma-separated names, each known and given once. Raises ``UserError``."""
    from adapters.configuration.strategy_registry import check_names
    from adapters.storage.run_files import folder_name
    from engine.errors import UserError

    chosen = [name.strip() for name in names.split(",") if name.strip()]
    if not chosen:
        raise UserError("--strategy needs at least one name; `arb strategies` lists them")
    if len(set(chosen)) != len(chosen):
        raise UserError("--strategy names a strategy twice")
    check_names(chosen)
    # On some file systems two names that differ by case are one folder, and the second run would replace the first.
    folders = {folder_name(name).casefold() for name in chosen}
    if len(folders) != len(chosen):
        raise UserError("--strategy names two strategies that only differ by case or folder; run them one by one")
    return chosen
