"""The values of observation version 2 by name, in their order, with unit and transform (docs/design.md section 6).

Every value is 0 where it is unknown; none is standardised on data or clipped. NF is the net funding of the directed
pair in basis points per day, short minus long.
"""

from __future__ import annotations

TRANSFORMS = 1
"""Version of units and transforms: part of the hash of a spec, to be raised when one of them changes."""

CONTEXT: dict[str, str] = {
    "open_slots": "share of the slots",
    "pending_slots": "share of the slots, those that wait for a fill",
    "mean_nf_168h": "of the five best candidates shown, asinh(x / 5)",
    "mean_nf_24h": "of the five best candidates shown, asinh(x / 5)",
    "offered_pairs": "log1p(n) / 3 - 1, held ones included",
    "drawdown": "% from the peak, / 3",
}
PAIR: dict[str, str] = {
    "nf_24h": "asinh(x / 5)",
    "nf_72h": "asinh(x / 5)",
    "nf_168h": "asinh(x / 5)",
    "nf_last": "of the last settled rates, asinh(x / 5)",
    "basis_now_less_8h": "bps, asinh(x / 10)",
    "basis_8h_less_24h": "bps, asinh(x / 10)",
    "basis_8h_less_72h": "bps, asinh(x / 10)",
    "basis_72h": "bps, asinh(x / 10)",
    "basis_sd_30h": "bps, asinh(x / 10)",
    "round_trip": "fees, slippage and spread of four fills, bps / 25 - 1",
    "volume_24h": "log10(USD) - 7, of the worse leg",
    "age": "fresh hours of the younger leg, log1p(h / 168) / 2 - 0.5",
    "nf_daily_sd": "of the last seven days, asinh(x / 5)",
    "nf_daily_lowest": "of the last seven days, asinh(x / 5)",
    "interval_long": "h / 8; of a held pair how much more a week of the best candidate promises, bps, asinh(x / 30)",
    "interval_short": "h / 8; of a held pair that less five round trips of that candidate, bps, asinh(x / 30)",
    "surplus_72h": "1.5 (NF 24 h + NF 168 h) + basis 8 h less 72 h - 1.5 round trips, bps, asinh(x / 30)",
    "week_lower_bound": "V - 1.5 round trips, bps, asinh(x / 30)",
}
"""Of every candidate, and of every held pair as it is now. One bit for each exchange of the spec follows that is the
exchange of the long leg, one for each that is that of the short leg, and ``PAIR_WALLETS`` where they are asked for.

V = 7 (0.25 NF 24 h + 0.75 NF 168 h) - 3.5 deviations of the last seven daily nets + half of basis 8 h less 72 h, bps:
what a week promises, less a margin for how uncertain that is."""
PAIR_WALLETS: dict[str, str] = {
    "free_margin_long": "of the wallet at the long leg's exchange, share of equity",
    "free_margin_short": "of the wallet at the short leg's exchange, share of equity",
}
SLOT: dict[str, str] = {
    "is_open": "0 or 1",
    "exit_pending": "0 or 1",
    "pnl": "price, funding and fees so far, bps of a leg, asinh(x / 30)",
    "price_pnl": "bps of a leg, asinh(x / 30)",
    "funding": "bps of a leg, asinh(x / 30)",
    "hours_held": "log1p(h / 24) / 2",
    "basis_at_entry": "of the fills, less the mean of 8 h now, bps, asinh(x / 20)",
    "stale_hours": "of the staler leg, h / 6",
}
"""Of every slot, after the values of its pair; ``SLOT_WALLETS`` follow where they are asked for."""
SLOT_WALLETS: dict[str, str] = {
    "distance_long": "fraction by which the mark of the long leg may move until it is liquidated, 0 to 1",
    "distance_short": "the same of the short leg",
}
