"""Secrets that open the service: a file of lines ``scope secret``, which nobody else may read."""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from collections.abc import Iterable
from pathlib import Path
from typing import Literal, NamedTuple, get_args

from engine.errors import UserError

Scope = Literal["viewer", "operator"]
"""A viewer reads; an operator may start jobs too."""
SCOPES: tuple[str, ...] = get_args(Scope)
LEAST_BYTES = 32
SESSION_SECONDS = 12 * 3600


class Token(NamedTuple):
    """A secret and what it opens. It is shown nowhere."""

    scope: Scope
    secret: bytes

    def __repr__(self) -> str:
        return f"Token({self.scope})"


def new_tokens(path: Path) -> None:
    """Write a file with a secret for each scope, readable by its owner alone. Raises ``UserError`` where one stands."""
    lines = "".join(f"{scope} {secrets.token_urlsafe(LEAST_BYTES)}\n" for scope in SCOPES)
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise UserError(f"{path} exists; its secrets stay as they are (choose another name)") from None
    with os.fdopen(handle, "w", encoding="ascii") as file:
        file.write(lines)


def read_tokens(path: Path) -> tuple[Token, ...]:
    """The secrets of a file. Raises ``UserError`` when others may read it, or a secret is too short."""
    try:
        mode, text = path.stat().st_mode, path.read_text(encoding="ascii")
    except FileNotFoundError:
        raise UserError(f"{path} does not exist; write one with `arb serve --new-token {path}`") from None
    except UnicodeDecodeError:
        raise UserError(f"{path} is no file of tokens: it holds more than ASCII") from None
    if mode & 0o077:
        raise UserError(f"others may read {path}; chmod 600 {path}")
    tokens = []
    for number, line in enumerate(text.splitlines(), start=1):
        scope, _, secret = line.strip().partition(" ")
        if scope not in SCOPES or len(secret.strip().encode()) < LEAST_BYTES:
            # The line itself is not repeated: it may be a secret.
            raise UserError(
                f"{path}, line {number}: it must be a scope ({' or '.join(SCOPES)}), a space and a secret of at least "
                f"{LEAST_BYTES} characters"
            )
        tokens.append(Token(scope, secret.strip().encode()))  # type: ignore[arg-type]  # one of them
    if not tokens:
        raise UserError(f"{path} is empty; remove it and write one with `arb serve --new-token {path}`")
    return tuple(tokens)


def scope_of(tokens: Iterable[Token], secret: str) -> Scope | None:
    """What a secret opens. Every token is compared, so that the time says nothing."""
    given, found = secret.encode("utf-8", "replace"), None
    for token in tokens:
        if hmac.compare_digest(token.secret, given):
            found = token.scope
    return found


def session_cookie(tokens: Iterable[Token], scope: Scope, now: float) -> str:
    """What a browser brings instead of the secret until it expires."""
    text = f"{scope}.{int(now) + SESSION_SECONDS}"
    return f"{text}.{_signature(tokens, text)}"


def scope_of_session(tokens: Iterable[Token], cookie: str, now: float) -> Scope | None:
    """The scope of a cookie that was made here and has not expired."""
    text, _, signature = cookie.rpartition(".")
    scope, _, expires = text.partition(".")
    if not hmac.compare_digest(_signature(tokens, text).encode(), signature.encode("utf-8", "replace")):
        return None
    return scope if scope in SCOPES and now < int(expires) else None  # type: ignore[return-value]  # one of them


def _signature(tokens: Iterable[Token], text: str) -> str:
    # By all secrets: with any of them replaced, everybody logs in anew.
    key = hashlib.sha256(b"\0".join(token.secret for token in tokens)).digest()
    return hmac.new(key, text.encode("utf-8", "replace"), hashlib.sha256).hexdigest()
