"""What a service is started with."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from adapters.web.tokens import Token, read_tokens
from engine.errors import UserError

LOOPBACK = ("localhost", "127.0.0.1", "::1")
PREFIX = "/api/v1"


@dataclass(frozen=True)
class Serving:
    """Folders that are shown, and who may look. ``hosts``: names by which it may be called, beside loopback."""

    state: Path
    runs: Path
    models: Path
    """A folder of bundles, as ``arb deploy`` leaves it."""
    host: str = "127.0.0.1"
    port: int = 8642
    hosts: tuple[str, ...] = ()
    tokens: tuple[Token, ...] = field(default=(), repr=False)
    root_path: str = ""
    older_api: bool = False

    @property
    def needs_login(self) -> bool:
        """Whether anybody has to say who he is: without tokens only this machine can ask."""
        return bool(self.tokens)


def serving_of(token_file: Path | None, **options: object) -> Serving:
    """Options as they were given. Raises ``UserError`` where the page would be open to others."""
    tokens = () if token_file is None else read_tokens(token_file)
    serving = Serving(tokens=tokens, **options)  # type: ignore[arg-type]  # the command line gives these by name
    others = [name for name in (serving.host, *serving.hosts) if name not in LOOPBACK]
    if others and not tokens:
        raise UserError(
            f"{others[0]} is not this machine alone: anybody there could read everything; give --token-file "
            "(`arb serve --new-token FILE` writes one)"
        )
    root = serving.root_path
    if root and (not root.startswith("/") or root.endswith("/") or any(letter in root for letter in "?#%\"' <>")):
        raise UserError(f"--root-path {root}: it begins with a slash and ends without one, like /arb")
    return serving
