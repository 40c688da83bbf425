"""``arb serve``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click


@click.command(name="serve")
@click.option("--state", type=click.Path(path_type=Path), default=Path("runs/paper"), show_default=True)
@click.option("--runs", type=click.Path(path_type=Path), default=Path("runs"), show_default=True)
@click.option("--model", "models", type=click.Path(path_type=Path), help="Folder of bundles; default: what is shipped.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Another than loopback needs --token-file.")
@click.option("--port", type=click.IntRange(1, 65535), default=8642, show_default=True)
@click.option("--allow-host", "hosts", multiple=True, metavar="NAME", help="Name it is called by behind a proxy.")
@click.option("--token-file", type=click.Path(path_type=Path), help="Secrets that open it; --new-token writes one.")
@click.option("--new-token", type=click.Path(path_type=Path), metavar="FILE", help="Write a file of secrets and end.")
@click.option("--root-path", default="", metavar="/PATH", help="Where a proxy has put it, such as /arb.")
@click.option("--older-api", is_flag=True, help="Answer the older system's three calls too.")
def command(token_file: Path | None, new_token: Path | None, models: Path | None, **options: Any) -> None:
    """The state of paper trading as a page and an API, and the deployed policy's decisions over HTTP.

    It only reads, and paper trading neither needs nor notices it. Without --token-file it answers this machine alone.

    \b
    Examples:
      arb serve --state runs/paper
      arb serve --new-token ~/arb.token
      arb serve --host 0.0.0.0 --token-file ~/arb.token --allow-host example.org --root-path /arb
    """
    from adapters.storage.bundles import DEPLOYED
    from adapters.web.serving import serving_of
    from adapters.web.tokens import new_tokens
    from engine.errors import UserError

    if new_token is not None:
        new_tokens(new_token)
        click.echo(f"wrote {new_token}: a secret for viewers and one for operators, readable by you alone")
        return
    try:
        from adapters.web.run import serve
    except ModuleNotFoundError as error:
        raise UserError(f"arb serve needs {error.name}, which is not installed; pip install 'arb[api]'") from None
    options["hosts"] = tuple(options["hosts"])
    serving = serving_of(token_file, models=models or DEPLOYED, **options)
    serve(serving, click.echo)
