"""Files by which folders of results are known, where more than one part of the product reads them."""

from __future__ import annotations

MANIFEST = "manifest.json"
PLAN = "plan.json"
"""What a training, a policy or a walk-forward was asked for; there from its beginning."""
METRICS = "metrics.json"
EVALUATION = "evaluation.csv"
POLICY_RESULTS = "results.json"
STRESS_RESULTS, STRESS_PAGE = "stress.json", "stress.html"
COMPARED = "compare.json"
COMPARISON = "comparison.csv"
PBT_PAGE = "pbt.html"
PAPER_DATABASE = "paper.sqlite"
CARD = "MODEL_CARD.md"
PICTURES = ("best_trade.svg", "worst_trade.svg")
"""Beside the card of a policy that was made by a recipe."""
