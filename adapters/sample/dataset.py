"""The sample market as a data set on disk."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from pathlib import Path

from adapters.datasets.layout import SYNTHETIC, DatasetInfo, Delisting, NamedWindow, WindowName
from adapters.datasets.write import Progress, refuse_target, write_dataset
from adapters.sample.coins import choose_coins
from adapters.sample.generator import generate
from adapters.sample.settings import SampleSettings, read_sample_settings
from engine.errors import SettingsError
from engine.market.data import NEVER, MarketData
from engine.settings import parse_settings
from engine.windows import time_of

SOURCE = (
    f"{SYNTHETIC}: made by the seeded generator of arb, not recorded from any exchange. The names of coins and "
    "exchanges are real, their prices, rates and incidents are invented"
)
EMBARGO_DAYS = 2
TRAIN_SHARE, VALIDATION_SHARE = 0.6, 0.2


def sample_settings(
    base: SampleSettings | None = None, *, seed: int | None = None, days: int | None = None, coins: int | None = None
) -> SampleSettings:
    """The shipped settings with another seed, length or number of coins. Raises ``SettingsError`` out of range."""
    settings = base or read_sample_settings()
    values = settings.model_dump()
    if seed is not None:
        values["seed"] = seed
    if days is not None:
        values["days"] = days
    if coins is not None:
        if coins < 1:
            raise SettingsError(f"coins = {coins}: at least one coin is needed")
        values["coins"] = [coin.model_dump() for coin in choose_coins(settings, coins)]
    return parse_settings(SampleSettings, values, origin="sample")


def write_sample(
    settings: SampleSettings, out: Path, *, replace: bool = False, progress: Progress | None = None
) -> DatasetInfo:
    """Generate the sample and write it to ``out``, whole or not at all. Returns the content of ``dataset.yaml``."""
    refuse_target(out, replace=replace, made_by="arb data sample")
    market = generate(settings)
    info = describe(settings, market)
    write_dataset(market, out, info, replace=replace, progress=progress)
    return info


def describe(settings: SampleSettings, market: MarketData) -> DatasetInfo:
    """``dataset.yaml`` of a generated market."""
    first = datetime.combine(settings.first_day, time(), UTC)
    return DatasetInfo(
        name="sample",
        source=SOURCE,
        exchanges=market.exchanges,
        first_hour=first,
        last_hour=first + timedelta(days=settings.days, hours=-1),
        # Begins with the command: ``--replace`` gives way only to what the same command made.
        how_made=(
            f"arb data sample, seed {settings.seed}, settings {settings.hash()} (configs/sample.yaml); calibrated on "
            "statistics of real markets (configs/sample_calibration.yaml), never on what a strategy earns"
        ),
        windows=windows(settings),
        delistings=_delistings(market),
    )


def windows(settings: SampleSettings) -> dict[WindowName, NamedWindow]:
    """Whole days: 60 % train, 20 % validation, the rest test, with two days of embargo between."""
    usable = settings.days - 2 * EMBARGO_DAYS
    train, validation = round(TRAIN_SHARE * usable), round(VALIDATION_SHARE * usable)
    lengths: dict[WindowName, int] = {"train": train, "validation": validation, "test": usable - train - validation}
    start = datetime.combine(settings.first_day, time(), UTC)
    chosen: dict[WindowName, NamedWindow] = {}
    for name, days in lengths.items():
        chosen[name] = NamedWindow(start=start, end=start + timedelta(days=days, hours=-1))
        start += timedelta(days=days + EMBARGO_DAYS)
    return chosen


def _delistings(market: MarketData) -> tuple[Delisting, ...]:
    return tuple(
        Delisting(
            symbol=market.leg_name(leg)[0],
            exchange=market.leg_name(leg)[1],
            time=time_of(int(market.delisting_hour[leg])),
            known_at=time_of(int(market.delisting_known_hour[leg])),
        )
        for leg in range(market.legs)
        if market.delisting_hour[leg] != NEVER
    )
