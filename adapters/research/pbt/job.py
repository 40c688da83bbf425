"""What a population is trained for: everything that its result depends on, in one file that resuming reads."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from pydantic import AwareDatetime, ValidationError

from adapters.configuration.settings import ArbSettings
from adapters.configuration.strategy_registry import parse_parameters
from adapters.datasets.load import Dataset, load_dataset
from adapters.datasets.windows import WindowEdges, check_windows
from adapters.research.markets import prepare_dataset
from adapters.research.policy.member import TEACHER, teacher_parameters
from adapters.storage.giving_way import check_place
from adapters.storage.pbt_names import JOB
from adapters.storage.sealed import SealError, read_sealed, write_sealed
from engine.errors import DataError, SettingsError, UserError
from engine.market.data import MarketData
from engine.observation.encoding import Scaler, fit_scaler
from engine.observation.opportunities import OpportunityBuilder
from engine.settings import Settings, first_problem
from engine.windows import time_of
from engine.worlds import World
from rl_training.learners.registry import ANCHORED, LearnerName
from rl_training.pbt.schedule import Schedule, schedule_of
from rl_training.pbt.settings import OF_IMITATIONS, bounds
from rl_training.recipe.courses import shares
from rl_training.worlds.conditions import check_conditions
from strategies.week import Week


class PBTJob(Settings):
    """One run. It travels to the workers, and lies in the run's folder, as JSON."""

    dataset: Path
    fingerprint: str
    train_from: AwareDatetime
    train_to: AwareDatetime
    validate_from: AwareDatetime
    validate_to: AwareDatetime
    settings: ArbSettings
    scaler: Scaler
    seed: int
    learner: LearnerName
    started: AwareDatetime
    command: str

    @property
    def schedule(self) -> Schedule:
        """How many rollouts each iteration has."""
        return schedule_of(self.settings.training, self.settings.pbt)

    @property
    def draws_worlds(self) -> bool:
        """Whether agents begin at an imitation and are trained in drawn worlds."""
        return draws_worlds(self.settings, self.learner)

    @property
    def environment_steps(self) -> int:
        """Steps that each agent makes by the end."""
        return self.schedule.steps_until(self.schedule.iterations)


def new_job(
    dataset: Dataset,
    builder: OpportunityBuilder,
    settings: ArbSettings,
    edges: WindowEdges,
    *,
    seed: int,
    learner: str,
    started: datetime,
    command: str,
) -> tuple[PBTJob, list[str]]:
    """A job on a data set's windows with stated edges in their place, and warnings about the embargo.

    Raises ``UserError`` when a window is missing, and when training, validation or test overlap or stand in another
    order: validation chooses the winner, so it must lie after training, and neither may see the test.
    """
    schedule_of(settings.training, settings.pbt)
    check_batches(settings)
    check_learner(settings, learner, dataset.market)
    hours = dataset.market.hours
    first, last = time_of(int(hours[0])), time_of(int(hours[-1]))
    windows = edges.over(dataset.info.windows, first, last)
    for name, option in (("train", "--train-to"), ("validation", "--validate-from and --validate-to")):
        if name not in windows:
            raise UserError(f"{dataset.path} has no window {name!r}; give {option}, or define it with `arb data split`")
    warnings = check_windows(windows, first, last)
    train, validation = windows["train"], windows["validation"]
    rows = (dataset.market.index_of(train.start), dataset.market.index_of(train.end))
    job = PBTJob(
        # The run may be resumed from another folder.
        dataset=dataset.path.absolute(),
        fingerprint=dataset.fingerprint,
        train_from=train.start,
        train_to=train.end,
        validate_from=validation.start,
        validate_to=validation.end,
        settings=settings,
        # On the training rows alone, and kept in the job: workers and resumed runs all scale alike.
        scaler=fit_scaler(builder, settings.observation, *rows),
        seed=seed,
        learner=learner,
        started=started,
        command=command,
    )
    return job, warnings


def check_batches(settings: ArbSettings) -> None:
    """Raise ``SettingsError`` for what every worker would stumble over."""
    ppo, training = settings.training.ppo, settings.training
    if ppo.n_steps % training.n_envs:
        raise SettingsError(
            f"training.ppo.n_steps = {ppo.n_steps} must be a multiple of training.n_envs = {training.n_envs}"
        )
    if settings.observation.positions != settings.max_positions:
        raise SettingsError(
            f"the observation has {settings.observation.positions} positions and max_positions is "
            f"{settings.max_positions}; make them equal"
        )


def draws_worlds(settings: ArbSettings, learner: str) -> bool:
    """Whether a learner is trained in drawn worlds; without ``worlds`` it is trained in the recorded market."""
    return learner == ANCHORED and settings.worlds is not None


def check_learner(settings: ArbSettings, learner: str, market: MarketData) -> None:
    """Raise ``SettingsError`` for what is asked of a learner that does not have it, before a worker finds out."""
    if learner == ANCHORED and settings.observation.version != 2:
        raise SettingsError(f"the learner {ANCHORED} needs observation.version=2")
    search, drawn = settings.pbt.search, draws_worlds(settings, learner)
    if not drawn:
        asked = [f"search.{name}" for name in OF_IMITATIONS if name in search.dimensions()]
        asked += ["judge.held_back_worlds"] * (settings.pbt.judge.held_back_worlds > 0)
        if asked:
            raise SettingsError(
                f"pbt.{asked[0]} is of agents that begin at an imitation; it needs pbt.learner={ANCHORED} and worlds "
                "(configs/pbt_week.yaml)"
            )
        return
    assert settings.worlds is not None
    parse_parameters(TEACHER, Week, teacher_parameters(settings))
    check_conditions(settings.worlds.conditions, market)
    is_augmented = [number >= settings.worlds.recorded for number in range(settings.worlds.count)]
    share = search.augmented_share
    for value in [settings.training.anchor.augmented_share] if share is None else bounds(share):
        shares(settings.training.n_envs, is_augmented, value)


def begin(folder: Path, job: PBTJob) -> None:
    """Make the folder of a new run. Raises ``UserError`` when something stands there."""
    check_place(folder, otherwise=f"choose another --out, or go on with --resume {folder}")
    folder.mkdir(parents=True, exist_ok=True)
    write_sealed(folder / JOB, job.model_dump(mode="json"))


def read_job(path: Path) -> PBTJob:
    """The job of a run. Raises ``DataError`` when the file is missing, not whole, or altered."""
    try:
        return PBTJob.model_validate(read_sealed(path))
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror}; is it a run of `arb train-pbt`?", file=str(path)) from None
    except SealError as error:
        raise DataError(str(error), file=str(path)) from None
    except ValidationError as error:
        raise DataError(f"is no job of this version: {first_problem(PBTJob, error)}", file=str(path)) from None


def load_job_data(job: PBTJob) -> tuple[Dataset, World[ArbSettings]]:
    """The data set of a job, prepared. Raises ``DataError`` when it is not the one that the run began with."""
    dataset = load_dataset(job.dataset, job.settings.gate)
    if dataset.fingerprint != job.fingerprint:
        raise DataError("is not what the run began with (another fingerprint); it cannot go on", file=str(job.dataset))
    return dataset, prepare_dataset(dataset, job.settings)
