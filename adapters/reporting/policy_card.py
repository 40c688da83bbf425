"""The card of a policy made by a recipe: what it is, what it does beside rules, and what is not known."""

from __future__ import annotations

from collections.abc import Iterator

from adapters.reporting.model_card_luck import CAVEAT, luck_table
from adapters.reporting.policy_table import cell
from adapters.reporting.trade_picture import trade_picture
from adapters.research.phases import PNL, over_phases
from adapters.research.playing import Played
from adapters.research.policy.card_facts import LATER, POLICY, PolicyFacts, liquidations
from adapters.research.policy.judging import AT_ONCE, STALE, WALLETS_TWICE
from adapters.research.trade_path import trade_path
from adapters.storage.run_names import CARD, PICTURES
from rl_training.recipe.settings import Fold
from strategies.week import WeekParameters


def policy_texts(facts: PolicyFacts) -> dict[str, str]:
    """The card and the pictures of the best and the worst trade, by the name of the file."""
    pictures = dict(zip(PICTURES, _extreme_trades(facts), strict=False))
    return {CARD: policy_card(facts), **pictures}


def _extreme_trades(facts: PolicyFacts) -> list[str]:
    """Pictures of the trades that earned most and least at any phase; none where nothing was traded."""
    trades = [
        (float(pnl), phase, k)
        for phase, one in facts.shipped.items()
        for k, pnl in enumerate(one.trade_pnl_usd.tolist())
    ]  # fmt: skip
    return [_picture(facts.shipped[phase], k) for _, phase, k in (max(trades), min(trades))] if trades else []


def _picture(played: Played, k: int) -> str:
    return trade_picture(trade_path(played.records, played.world.tape, k))


def policy_card(facts: PolicyFacts) -> str:
    """The card as Markdown."""
    parts = [_head(facts), _bad_news(facts), _recipe(facts), _costs(facts)]
    parts += [_table(facts, fold) for fold in facts.folds]
    parts += [_what_it_hangs_on(facts), _luck(facts), _unknown(facts)]
    return "\n".join(parts)


def _head(facts: PolicyFacts) -> str:
    spec = facts.policy.spec
    return (
        f"# Model card: {facts.name}\n\n"
        f"{facts.policy.members} networks that decide together, {facts.choice}. Network {facts.policy.architecture}. "
        f"Observation v{spec.version} (`{spec.hash()}`): {spec.positions} positions, {spec.opportunities} "
        f"opportunities; it decides {spec.clock}, protective exits are hourly.\nMade with: `{facts.plan.command}`\n"
    )


def _pnl(facts: PolicyFacts, fold: str, who: str, scenario: str) -> float | None:
    found = facts.judged[fold].get(who, {}).get(scenario)
    return None if found is None else float(over_phases(found)[PNL] or 0.0)


def _bad_news(facts: PolicyFacts) -> str:
    return "## Bad news first\n\n" + "\n".join(f"- {line}" for line in _bad_lines(facts)) + "\n"


def _bad_lines(facts: PolicyFacts) -> Iterator[str]:
    for fold, players in facts.judged.items():
        for scenario in players[POLICY]:
            own, rule = _pnl(facts, fold, POLICY, scenario), _pnl(facts, fold, "week", scenario)
            if own is not None and rule is not None and own < rule:
                yield f"fold {fold}, {scenario}: {own:+.3f} % per 7 days, below the rule it learned from ({rule:+.3f})."
        for scenario, by_phase in players[POLICY].items():
            if count := liquidations(by_phase):
                yield f"fold {fold}, {scenario}: {count:.1f} legs are liquidated (mean over phases)."
            if float(over_phases(by_phase)[PNL] or 0.0) < 0:
                yield f"fold {fold}, {scenario}: it loses money."
    best = next(iter(facts.coins), None)
    total = sum(facts.coins.values())
    if best is not None:
        yield f"without {best} the judged hours made {total - facts.coins[best]:+.2f} % instead of {total:+.2f} %."
    for sign in facts.signs:
        yield f"suspicious: {sign}."
    if facts.choice == "imitation":
        yield "PPO did not pass the selection: what is shipped imitates the rule and adds nothing to it."


def _recipe(facts: PolicyFacts) -> str:
    plan, training = facts.plan, facts.plan.settings.training
    recipe, worlds = plan.recipe, plan.worlds
    folds = "\n".join(f"- {_fold_in_words(fold)}" for fold in recipe.folds)
    learned = facts.results["imitation"]
    recalls = [one["recall"] for one in learned.values() if one["recall"] is not None] or [float("nan")]
    wrong = [one["false_trades"] for one in learned.values()]
    return (
        f"## Recipe and data\n\nData set `{facts.dataset.name}` (fingerprint `{plan.fingerprint}`), exchanges "
        f"{', '.join(facts.dataset.exchanges)}.\n\n{folds}\n\n"
        f"Every fold and seed ({', '.join(map(str, recipe.seeds))}): {worlds.count} worlds of the hours to learn "
        f"from, {1 - worlds.recorded_share:.0%} of them augmented, conditions drawn (late, costs times "
        f"{worlds.conditions.cost_multiples[0]:g} to {worlds.conditions.cost_multiples[1]:g}, spreads, wallets, coins "
        f"and exchanges absent). Imitation of `week`: recall {min(recalls):.3f} to {max(recalls):.3f}, false trades "
        f"{100 * min(wrong):.2f} to {100 * max(wrong):.2f} % on other windows. Then {training.timesteps:,} decisions "
        f"of PPO, KL to the imitation times {training.anchor.kl_coef:g}.\n\n{facts.results['selection']['reason']}.\n"
    )


def _fold_in_words(fold: Fold) -> str:
    return (
        f"`{fold.name}`: trained to {fold.train_to:%Y-%m-%dT%H:%MZ}, judged {fold.judge_from:%Y-%m-%d} to "
        f"{fold.judge_to:%Y-%m-%d}"
    )


def _costs(facts: PolicyFacts) -> str:
    settings = facts.plan.settings
    fees = ", ".join(
        f"{name} {100 * settings.fee_rows(name)[-1].taker:.3f} %" for name in facts.dataset.exchanges
        if settings.fee_rows(name)
    )  # fmt: skip
    return (
        f"## Costs\n\nTaker fees (table `{settings.cost_table_hash()}`): {fees}. Slippage {settings.slippage_bps:g} "
        f"bps on every fill. Capital {settings.initial_capital_usd:,.0f} USD, {settings.max_positions} slots. Wallets: "
        f"equal shares at every exchange, entries shrunk to what is free.\n"
    )


def _table(facts: PolicyFacts, fold: Fold) -> str:
    judged = facts.judged[fold.name]
    heads = list(next(iter(judged.values())))
    rows = [
        f"| {name} | " + " | ".join(cell(over_phases(scenarios[head])) for head in heads)
        + f" | {over_phases(scenarios[AT_ONCE])['trades'] or 0:.1f} |"
        for name, scenarios in judged.items()
    ]  # fmt: skip
    own, most = _pnl(facts, fold.name, POLICY, AT_ONCE), facts.hindsight.get(fold.name)
    share = "" if not most or own is None else (
        f"The persistent plan that knew the future made {most:+.3f}: the policy has {own / most:.0%} of it.\n"
    )  # fmt: skip
    notes = {
        facts.plan.recipe.ships: "Nothing was chosen by these hours.",
        LATER: "The months after, looked at once when the choice was frozen.",
    }
    note = notes.get(fold.name, "The recipe's check.")
    return (
        f"## {_fold_in_words(fold)}\n\n{note} % of capital per 7 days, mean over the phases of the clock (worst).\n\n"
        f"| who | {' | '.join(heads)} | trades |\n|---|" + "---|" * (len(heads) + 1) + "\n" + "\n".join(rows) + "\n\n"
        + share
    )  # fmt: skip


def _what_it_hangs_on(facts: PolicyFacts) -> str:
    months = ", ".join(f"{month} {value:+.2f}" for month, value in facts.months.items())
    coins = ", ".join(f"{coin.removesuffix('USDT')} {value:+.2f}" for coin, value in facts.coins.items())
    missing = "".join(f"- {name}: not known, the data set has no high and low.\n" for name in facts.left_out)
    return (
        "## What it hangs on\n\n% of capital over the judged hours, filled at once, mean over phases.\n\n"
        f"- By month: {months}.\n- By coin (closed trades): {coins}.\n"
        f"- It holds nothing in {facts.flat_share:.0%} of the hours{_when_it_stays_out(facts)}.\n"
        f"- `max_stale_hours` 240 instead of 6 is the column `{STALE}`: what gaps in the recording cost.\n"
        f"- Leverage 2 is the column `{WALLETS_TWICE}`.\n{missing}\n{_pictures(facts)}"
    )


def _when_it_stays_out(facts: PolicyFacts) -> str:
    own = {**WeekParameters().model_dump(), **facts.rules["teacher"]}
    days, trips = own["horizon_days"], own["enter_margin"]
    return f": its teacher enters where the lower bound on {days:g} days pays {trips:g} round trips"


def _pictures(facts: PolicyFacts) -> str:
    if not any(len(one.trades) for one in facts.shipped.values()):
        return ""
    return "".join(f"![The {name.split('_')[0]} trade of any phase]({name})\n\n" for name in PICTURES)


def _luck(facts: PolicyFacts) -> str:
    one = facts.significance
    rows = luck_table({facts.name: {AT_ONCE: one}}, [AT_ONCE])
    tried = "no record of trials" if facts.trials is None else f"{facts.trials.count} recorded trials"
    return (
        f"## How much may be luck\n\nOver {tried}; {100 * one.confidence:g} % intervals of the stationary bootstrap, "
        f"of an account with equal parts at every phase.\n\n" + "\n".join(rows) + f"\n\n{CAVEAT}\n"
    )


def _unknown(facts: PolicyFacts) -> str:
    rules = "\n".join(f"- {name}: {dict(values) or 'defaults'}" for name, values in facts.rules.items())
    return (
        "## What is not known\n\n"
        "- A few weeks are dominated by a few trades; another phase of the clock is another draw.\n"
        "- Withdrawals, failures of an exchange beyond missing prices, and market impact of larger sizes; USDC counts "
        "as USDT.\n\nParameters of the rules. Those of carry, greedy and basis as shipped were found by a search that "
        f"saw 2025-02-03 to 2025-03-31; `carry, tuned` is as the run was told:\n\n{rules}\n"
    )
