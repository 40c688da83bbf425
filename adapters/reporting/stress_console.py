"""What ``arb stress`` shows: its page, and what it prints."""

from __future__ import annotations

import click

from adapters.reporting.results_table import output_console
from adapters.reporting.stress_page import stress_page
from adapters.reporting.stress_table import print_study
from adapters.research.stress.run import StressTest


def page_of(test: StressTest) -> str:
    """The page of a finished stress test; it needs nothing beside it."""
    return stress_page(
        test.studies, test.scenarios, title=test.title, under=test.hours, models=test.models, walks=test.walks
    )


def print_stress_test(test: StressTest) -> None:
    """Every strategy of a finished stress test."""
    for number, one in enumerate(test.studies):
        print_study(one, title=test.hours if number == 0 else "", console=output_console())
        click.echo()
    if test.models:
        click.echo("models play as they were trained, also at other costs and sizes; none was trained anew")
