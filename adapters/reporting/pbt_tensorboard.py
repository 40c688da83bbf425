"""TensorBoard scalars of each agent, written from its results."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType

from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.event_file_writer import EventFileWriter

from rl_training.pbt.results import AgentResult, Iteration


class Scalars:
    """``tensorboard/agent_N``; begun anew with every start, since all results are told again."""

    def __init__(self, folder: Path, population: int) -> None:
        for earlier in folder.glob("agent_*/events.out.tfevents.*"):
            earlier.unlink()
        self._writers = [EventFileWriter(str(folder / f"agent_{agent}")) for agent in range(population)]

    def __enter__(self) -> Scalars:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        for writer in self._writers:
            writer.close()

    def add(self, iteration: Iteration) -> None:
        """Training scalars of every rollout, and the validation score at the iteration's end."""
        for result in iteration.results.values():
            for entry in result.log:
                self._write(result.agent, int(entry["step"] or 0), {k: v for k, v in entry.items() if k != "step"})
            self._write(result.agent, result.steps, _scores(result))
            self._writers[result.agent].flush()

    def _write(self, agent: int, step: int, values: dict[str, float | None]) -> None:
        # What is not known has no point: a zero would be drawn as a fall.
        scalars = [Summary.Value(tag=tag, simple_value=value) for tag, value in values.items() if value is not None]
        self._writers[agent].add_event(Event(step=step, summary=Summary(value=scalars)))


def _scores(result: AgentResult) -> dict[str, float | None]:
    values: dict[str, float | None] = {"validation/fitness": result.fitness, "validation/reward": result.reward}
    for name in ("pnl_pct", "max_drawdown_pct", "win_rate_pct", "trades", "sharpe"):
        values[f"validation/{name}"] = result.metrics.get(name)
    return values | {f"hyperparameters/{name}": value for name, value in result.hyperparameters.items()}
