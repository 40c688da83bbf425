"""The rules on the validation window of a population: what its winner is to be compared with."""

from __future__ import annotations

from adapters.research.contestants import RULES
from adapters.research.pbt.job import PBTJob, load_job_data
from adapters.research.players import make_player
from adapters.research.playing import play
from engine.analysis.metrics import Metrics
from engine.windows import Window


def rules_on_validation(job: PBTJob) -> dict[str, Metrics]:
    """Metrics of the rules, as the job's settings have them, by name."""
    _, world = load_job_data(job)
    hours = Window.between(job.validate_from, job.validate_to).rows_in(world.tape.market.hours)
    players = [make_player(name, job.settings.strategies.get(name, {})) for name in RULES]
    return {player.name: play(player, world, hours).metrics for player in players}
