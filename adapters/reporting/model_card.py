"""The card of a shipped model: what it was made from, what it did on validation, and what is not known."""

from __future__ import annotations

from adapters.configuration.settings import ArbSettings
from adapters.reporting.figures import cell, cells, columns
from adapters.reporting.model_card_luck import luck_section
from adapters.reporting.pbt_console import in_words
from adapters.research.card_facts import CardFacts
from adapters.research.contestants import RULES
from adapters.research.policy.judging import AT_ONCE
from engine.analysis.assumed_funding import METRIC, assumed_words
from engine.observation.encoding import ObservationSpec

COLUMNS = columns(
    "pnl_pct", "pnl_pct_per_7d", "max_drawdown_pct", "sharpe", "trades", "win_rate_pct", "avg_trade_hours",
    "funding_usd", METRIC, "price_pnl_usd", "fees_usd",
)  # fmt: skip


def model_card(facts: CardFacts) -> str:
    """The card as Markdown."""
    parts = [_head(facts), _data(facts), _costs(facts), _search(facts), _results(facts)]
    parts += [luck_section(facts.judged), _unknown(facts)]
    return "\n".join(parts)


def _head(facts: CardFacts) -> str:
    job, agents = facts.job, ", ".join(map(str, facts.agents))
    what = f"agent {agents}" if len(facts.agents) == 1 else f"the majority vote of agents {agents}"
    spec = job.settings.observation
    return (
        f"# Model card: {facts.run}\n\n"
        f"PPO, {what} of {job.settings.pbt.population} of a population based training with seed {job.seed}. "
        f"Network {facts.network}. Observation v{spec.version} (`{spec.hash()}`): {spec.positions} "
        f"positions, {spec.opportunities} opportunities ranked by {_ranking(spec)}.\n"
        f"Made with: `{job.command}`\n"
    )


def _ranking(spec: ObservationSpec) -> str:
    if spec.version == 1:
        return f"`{spec.ranking}`"
    return f"what they paid in a day and a week; it decides {spec.clock}, protective exits are hourly"


def _data(facts: CardFacts) -> str:
    job, data = facts.job, facts.dataset
    return (
        f"## Data and windows\n\n"
        f"- Data set `{data.name}` (fingerprint `{job.fingerprint}`): {data.source}. "
        f"Exchanges: {', '.join(data.exchanges)}.\n"
        f"- Training: {job.train_from:%Y-%m-%dT%H:%MZ} to {job.train_to:%Y-%m-%dT%H:%MZ}, random episodes of "
        f"{job.settings.training.episode.length_hours} h.\n"
        f"- Validation: {job.validate_from:%Y-%m-%dT%H:%MZ} to {job.validate_to:%Y-%m-%dT%H:%MZ}. It ranked the agents "
        f"after every interval and chose this one.\n"
        f"- {_later(facts)}\n"
    )


def _later(facts: CardFacts) -> str:
    if not facts.later_looks:
        return "Later hours were used for nothing: no look at them is recorded."
    return f"{facts.later_looks} looks at later hours are recorded; none of them chose this model."


def _account(settings: ArbSettings) -> str:
    wallets = "a wallet at each exchange" if settings.account == "by_exchange" else "one account for all exchanges"
    return f"{wallets}, leverage {settings.leverage:g}"


def _costs(facts: CardFacts) -> str:
    settings = facts.job.settings
    used = [name for name in facts.dataset.exchanges if settings.fee_rows(name)]
    rates = (f"{name} {100 * settings.fee_rows(name)[-1].taker:.3f} %" for name in used)
    by_volume = ", or the half-spread by 24 h volume where none is quoted and it is more"
    spreads = by_volume if settings.spread_model == "volume" else ""
    return (
        f"## Costs\n\n"
        f"Taker fees (table `{settings.cost_table_hash()}`): {', '.join(rates)}. "
        f"Slippage {settings.slippage_bps:g} bps on every fill{spreads}. Fills at the first trade after the decision. "
        f"Capital {settings.initial_capital_usd:,.0f} USD, {settings.max_positions} positions, "
        f"{_account(settings)}.\n"
    )


def _search(facts: CardFacts) -> str:
    job, results = facts.job, facts.summary["results"]
    last = max(result["iteration"] for result in results)
    finals = {result["agent"]: result for result in results if result["iteration"] == last}
    ranked = [finals[agent] for agent in facts.order]
    lines = [
        f"| {rank} | {one['agent']} | {cell('fitness', one['fitness'])} | {in_words(one['hyperparameters'])} |"
        for rank, one in enumerate(ranked, start=1)
    ]
    return (
        f"## Search budget\n\n"
        f"{job.settings.pbt.population} agents x {facts.summary['steps_made']:,} steps "
        f"({facts.summary['steps_asked']:,} asked), {last} iterations: {len(results)} scores on the validation window. "
        f"The best of so many looks better than it is. Fitness: {facts.summary['fitness']}.\n\n"
        "| rank | agent | fitness | hyperparameters |\n|---|---|---|---|\n" + "\n".join(lines) + "\n"
    )


def _results(facts: CardFacts) -> str:
    heads = " | ".join(column.one_line for column in COLUMNS)
    rows = [
        f"| {name} | {scenario} | " + " | ".join(cells(COLUMNS, metrics, exact=True)) + " |"
        for name, scenarios in facts.scores.items()
        for scenario, metrics in scenarios.items()
    ]
    rules = [f"- {name}: {dict(facts.rules.strategies.get(name, {})) or 'defaults'}" for name in RULES]
    assumed = assumed_words(next(iter(facts.scores.values()))[AT_ONCE])
    signs = [*facts.signs, *([f"{assumed}: nobody has seen it settle."] if assumed else [])]
    warnings = [f"- **Suspicious:** {sign}" for sign in signs]
    return (
        "## Validation, beside rules\n\n"
        f"| who | fills | {heads} |\n|---|---|" + "---|" * len(COLUMNS) + "\n" + "\n".join(rows) + "\n\n"
        "Parameters of the rules:\n\n" + "\n".join([*rules, *warnings]) + "\n"
    )


def _unknown(facts: CardFacts) -> str:
    metrics = next(iter(facts.scores.values()))[AT_ONCE]
    inactive = "- The model does not trade on validation: nothing is known about what its trades earn.\n"
    return (
        "## What is not known\n\n"
        + ("" if metrics["trades"] else inactive)
        + "- How it does on hours after validation: none were looked at.\n"
        "- How another training seed would have done: one was trained, and a few weeks are dominated by a few trades.\n"
        "- Withdrawals and failures of an exchange beyond missing prices are not modelled; USDC counts as USDT.\n"
        "- How it does with a wallet, margin and liquidation at each exchange: `arb stress` shows that.\n"
        "- Market impact of larger sizes: slippage is a fixed figure.\n"
    )
