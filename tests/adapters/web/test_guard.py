"""Who may ask: hosts, origins, kinds of bodies, secrets; what stands on every answer."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from support_web import LOOPBACK, client

from adapters.web.guard import COOKIE, TRIES, WrongTries
from adapters.web.serving import Serving, serving_of
from adapters.web.tokens import (
    SESSION_SECONDS,
    Token,
    new_tokens,
    read_tokens,
    scope_of,
    scope_of_session,
    session_cookie,
)
from engine.errors import UserError

VIEWER, OPERATOR = Token("viewer", b"v" * 40), Token("operator", b"o" * 40)
STATUS = "/api/v1/paper/status"


@pytest.mark.parametrize("host", ["127.0.0.1:8642", "localhost:8642", "localhost", "[::1]:8642"])
def test_this_machine_is_answered_by_any_of_its_names(served: Serving, host: str) -> None:
    with client(served) as asking:
        assert asking.get(STATUS, headers={"host": host}).status_code == 200


@pytest.mark.parametrize(
    "host",
    ["example.org", "127.0.0.1.example.org", "localhost.example.org:8642", "", "a b", "[::1", "127.0.0.1:x", "0"],
)
def test_another_host_name_is_refused_whatever_is_asked(served: Serving, host: str) -> None:
    with client(served) as asking:
        for path in (STATUS, "/", "/healthz", "/static/service.js", "/metrics"):
            answer = asking.get(path, headers={"host": host})
            assert answer.status_code == 421
            assert "served here" in answer.json()["error"]


@pytest.mark.parametrize(
    ("origin", "code"),
    [
        (None, 200),
        (LOOPBACK, 200),
        ("http://127.0.0.1:9999", 403),
        ("https://example.org", 403),
        ("null", 403),
        ("http://[", 403),
    ],
)
def test_another_site_may_not_write(served: Serving, origin: str | None, code: int) -> None:
    body = {"observation": [0.0] * size_of(served)}
    with client(served) as asking:
        headers = {} if origin is None else {"origin": origin}
        assert asking.post("/api/v1/predict", json=body, headers=headers).status_code == code


def size_of(served: Serving) -> int:
    from adapters.storage.bundles import load_bundle

    return load_bundle(served.models / "1-policy").policy.spec.size


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""])
def test_a_body_that_a_page_could_send_without_asking_is_refused(served: Serving, kind: str) -> None:
    with client(served) as asking:
        answer = asking.post("/api/v1/predict", content=b"{}", headers={"content-type": kind})
        assert answer.status_code == 415


def test_a_name_that_is_allowed_is_answered_and_may_write(served: Serving) -> None:
    open_to = Serving(served.state, served.runs, served.models, hosts=("arb.example.org",))
    body = {"observation": [0.0] * size_of(served)}
    with client(open_to) as asking:
        headers = {"host": "127.0.0.1:8642", "origin": "https://arb.example.org"}
        assert asking.post("/api/v1/predict", json=body, headers=headers).status_code == 200
        assert asking.get(STATUS, headers={"host": "arb.example.org"}).status_code == 200


@pytest.mark.parametrize("path", [STATUS, "/", "/healthz", "/static/service.js", "/nowhere", "/api/v1/paper/nowhere"])
def test_every_answer_has_the_headers_that_protect(served: Serving, path: str) -> None:
    with client(served) as asking:
        headers = asking.get(path).headers
        assert "default-src 'self'" in headers["content-security-policy"]
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cache-control"] in ("no-store", "no-cache", "max-age=3600")
        assert "access-control-allow-origin" not in headers
        if path.startswith("/api"):
            assert headers["cache-control"] == "no-store"


def guarded(served: Serving) -> Serving:
    return Serving(served.state, served.runs, served.models, tokens=(VIEWER, OPERATOR))


def test_with_secrets_only_life_and_the_log_in_are_open(served: Serving) -> None:
    with client(guarded(served)) as asking:
        assert asking.get("/healthz").status_code == 200
        assert asking.get("/login").status_code == 200
        for path in (STATUS, "/metrics", "/openapi.json", "/api/v1/models", "/api/v1/events"):
            answer = asking.get(path)
            assert answer.status_code == 401, path
            assert answer.headers["www-authenticate"] == "Bearer"
        for path in ("/", "/trades", "/hours/2024-01-02T00:00Z", "/models"):
            answer = asking.get(path)
            assert (answer.status_code, answer.headers["location"]) == (303, "/login")
        assert asking.post("/api/v1/predict", json={}).status_code == 401


@pytest.mark.parametrize("secret", [VIEWER.secret.decode(), OPERATOR.secret.decode()])
def test_a_program_brings_its_secret_in_a_header(served: Serving, secret: str) -> None:
    with client(guarded(served)) as asking:
        assert asking.get(STATUS, headers={"authorization": f"Bearer {secret}"}).status_code == 200
        assert asking.get(STATUS, headers={"authorization": f"bearer  {secret} "}).status_code == 200
        assert asking.get(f"{STATUS}?token={secret}").status_code == 401


@pytest.mark.parametrize("given", ["Bearer wrong", "Basic dmlld2VyOnY=", "Bearer", "", f"Bearer {'v' * 39}"])
def test_a_wrong_secret_opens_nothing(served: Serving, given: str) -> None:
    with client(guarded(served)) as asking:
        assert asking.get(STATUS, headers={"authorization": given}).status_code == 401


def test_after_five_wrong_secrets_even_the_right_one_waits(served: Serving) -> None:
    right = {"authorization": f"Bearer {VIEWER.secret.decode()}"}
    with client(guarded(served)) as asking:
        for _ in range(TRIES):
            assert asking.get(STATUS, headers={"authorization": "Bearer wrong"}).status_code == 401
        answer = asking.get(STATUS, headers=right)
        assert (answer.status_code, answer.headers["retry-after"]) == (429, "60")


def test_the_wait_ends_after_a_minute_and_addresses_are_apart() -> None:
    now = [0.0]
    tries = WrongTries(lambda: now[0])
    for _ in range(TRIES):
        assert not tries.is_locked("a")
        tries.add("a")
    assert tries.is_locked("a")
    assert not tries.is_locked("b")
    now[0] = 59.0
    assert tries.is_locked("a")
    now[0] = 61.0
    assert not tries.is_locked("a")
    tries.add("a")
    assert not tries.is_locked("a")  # counted anew


def test_wrong_tries_of_many_addresses_do_not_fill_the_memory() -> None:
    tries = WrongTries()
    for k in range(5000):
        tries.add(str(k))
    assert len(tries._tries) <= 1000


def test_a_browser_logs_in_and_is_known_by_its_cookie(served: Serving) -> None:
    with client(guarded(served)) as asking:
        wrong = asking.post("/login", data={"token": "wrong"})
        assert wrong.status_code == 401
        assert "not the token" in wrong.text
        answer = asking.post("/login", data={"token": VIEWER.secret.decode()})
        assert (answer.status_code, answer.headers["location"]) == (303, "/")
        cookie = answer.headers["set-cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=strict" in cookie
        assert VIEWER.secret.decode() not in cookie
        assert asking.get("/").status_code == 200
        asking.cookies.set(COOKIE, asking.cookies[COOKIE][:-1] + "x")
        asking.cookies.delete(COOKIE, domain="127.0.0.1")
        assert asking.get("/", headers={"cookie": f"{COOKIE}=viewer.99999999999.abc"}).status_code == 303


def test_wrong_log_ins_are_counted_too(served: Serving) -> None:
    with client(guarded(served)) as asking:
        codes = [asking.post("/login", data={"token": "wrong"}).status_code for _ in range(TRIES + 1)]
        assert codes == [401] * TRIES + [429]


def test_a_cookie_ends_and_cannot_be_made_without_the_secrets() -> None:
    tokens = (VIEWER, OPERATOR)
    cookie = session_cookie(tokens, "viewer", 1000.0)
    assert scope_of_session(tokens, cookie, 1000.0 + SESSION_SECONDS - 1) == "viewer"
    assert scope_of_session(tokens, cookie, 1000.0 + SESSION_SECONDS) is None
    assert scope_of_session((VIEWER,), cookie, 1000.0) is None
    assert scope_of_session(tokens, cookie.replace("viewer", "operator"), 1000.0) is None
    for broken in ("", ".", "..", "viewer", "viewer.x.y", "viewer.1e99.y", "\ud800"):
        assert scope_of_session(tokens, broken, 0.0) is None


def test_secrets_are_written_for_the_owner_alone_and_never_over_others(tmp_path: Path) -> None:
    path = tmp_path / "tokens"
    new_tokens(path)
    assert path.stat().st_mode & 0o777 == 0o600
    tokens = read_tokens(path)
    assert [token.scope for token in tokens] == ["viewer", "operator"]
    assert all(len(token.secret) >= 32 for token in tokens)
    assert scope_of(tokens, tokens[1].secret.decode()) == "operator"
    assert tokens[0].secret.decode() not in repr(tokens)
    before = path.read_bytes()
    with pytest.raises(UserError, match="exists"):
        new_tokens(path)
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "is empty"),
        ("viewer short\n", "at least 32"),
        (f"reader {'x' * 40}\n", "line 1"),
        (f"viewer {'x' * 40}\n{'y' * 40}\n", "line 2"),
        ("vi\u00e9wer\n", "more than ASCII"),
    ],
)
def test_a_file_of_secrets_that_is_none_is_told_without_what_is_in_it(tmp_path: Path, text: str, told: str) -> None:
    path = tmp_path / "tokens"
    path.write_text(text, encoding="utf-8")
    path.chmod(0o600)
    with pytest.raises(UserError, match=told) as error:
        read_tokens(path)
    assert "x" * 40 not in str(error.value)


def test_a_file_that_others_may_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "tokens"
    new_tokens(path)
    path.chmod(0o640)
    with pytest.raises(UserError, match="chmod 600"):
        read_tokens(path)


@pytest.mark.parametrize("more", [{"host": "0.0.0.0"}, {"hosts": ("arb.example.org",)}])
def test_who_opens_it_to_others_must_give_secrets(tmp_path: Path, more: dict[str, object]) -> None:
    folders = dict.fromkeys(("state", "runs", "models"), tmp_path)
    with pytest.raises(UserError, match="--token-file"):
        serving_of(None, **folders, **more)
    new_tokens(tmp_path / "tokens")
    assert serving_of(tmp_path / "tokens", **folders, **more).needs_login


def test_a_planted_secret_is_in_no_answer(served: Serving, monkeypatch: pytest.MonkeyPatch) -> None:
    canary = "canary-" + "7" * 33
    monkeypatch.setenv("ARB_CANARY", canary)
    found = Serving(served.state, served.runs, served.models, tokens=(Token("viewer", canary.encode()),))
    headers = {"authorization": f"Bearer {canary}"}
    with client(found) as asking:
        paths = [path for path in asking.get("/openapi.json", headers=headers).json()["paths"] if "{" not in path]
        for path in (*paths, "/", "/trades", "/models", "/api", "/hours/2024-01-02T00:00Z", "/api/v1/paper/trades"):
            if path.endswith("events"):
                continue
            text = asking.get(path, headers=headers).text
            assert canary not in text, path
            assert str(served.state) not in text, path
            assert os.getcwd() not in text, path  # noqa: PTH109  # the text of it
