"""An evaluation as trials: every player is one, and each is judged against what it was itself chosen from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from adapters.configuration.settings import ArbSettings
from adapters.research.players import Player
from adapters.research.playing import Played
from adapters.research.significance import after_all, other_hours, trials_behind, trials_of_model
from adapters.storage.trials import TrialRecord, record_of, summarise
from engine.analysis.significance import NO_RECORD, Significance, SignificanceSettings, Trials, significance
from engine.analysis.statistics import sharpe


def record_of_players(played: Mapping[str, Sequence[Played]], start: datetime) -> TrialRecord:
    """Hourly returns of each player over the one window that all have played."""
    return record_of({name: episodes[0].returns for name, episodes in played.items()}, start)


def judge(
    players: Sequence[Player], record: TrialRecord, settings: ArbSettings, fingerprint: str
) -> dict[str, Significance]:
    """Each player against the search that it came from, by name."""
    found = {}
    for place, player in enumerate(players):
        trials, without = _behind(player, settings)
        one = significance(record.returns[:, place], settings.significance, trials, without=without)
        note = other_hours(trials, (record.start, record.end), fingerprint)
        found[player.name] = one.model_copy(update={"trials_reason": note})
    return found


def _behind(player: Player, settings: ArbSettings) -> tuple[Trials | None, str]:
    if player.model is None:
        return trials_behind(player.name, settings)
    trials = trials_of_model(player.model)
    return trials, "" if trials else NO_RECORD


def verdict(record: TrialRecord, settings: SignificanceSettings, fingerprint: str) -> str:
    """What the player with the best Sharpe ratio is worth as the best of all of them, in words."""
    best = int(sharpe(record.returns.T).argmax())
    tried = summarise(record, "contestants of `arb evaluate`", fingerprint)
    return after_all(significance(record.returns[:, best], settings, tried), "contestants")
