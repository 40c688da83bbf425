"""Settings as people write them, in files and by ``--set``: what is meant is read, all else is one short line."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.configuration.settings import load_settings, read_yaml
from adapters.configuration.yaml_text import MOST_BYTES, NotYamlError, parse_yaml
from adapters.paper.settings import load_config
from engine.errors import SettingsError
from engine.settings import Settings, parse_settings

BILLION = "a: &a [1, 2, 3, 4, 5, 6, 7, 8, 9]\n" + "".join(
    f"{b}: &{b} [{', '.join([f'*{a}'] * 9)}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)
)


def refused(tmp_path: Path, text: str) -> str:
    """What is said of a file with this text, which must be one short line that names the file."""
    path = tmp_path / "mine.yaml"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    began = time.monotonic()
    with pytest.raises(SettingsError) as told:
        load_settings(path)
    line = str(told.value)
    assert time.monotonic() - began < 10
    assert "\n" not in line
    assert line.startswith(f"{path}")
    assert len(line) < len(str(path)) + 300
    return line


FILES: dict[str, tuple[str, str]] = {
    "itself in a list": ("filters: &f {symbols: [*f]}", "something in it contains itself"),
    "itself in a mapping": ("strategies: &s {carry: *s}", "something in it contains itself"),
    "itself through another": ("strategies: &a {x: &b {y: *a}, z: *b}", "something in it contains itself"),
    "aliases that explode": (BILLION, "its aliases stand for more than 100,000 values"),
    "brackets without end": ("a: " + "[" * 100_000, "it is nested too deeply"),
    "braces without end": ("{a: " * 20_000, "it is nested too deeply"),
    "a key twice": ("slippage_bps: 1\nmax_positions: 2\nslippage_bps: 3", "line 3: the key 'slippage_bps' stands"),
    "a key twice in a line": ("margin: {transfer_hours: 1, transfer_hours: 2}", "line 1: the key 'transfer_hours'"),
    "a key twice deep inside": ("filters:\n  symbols: null\n  exchanges: null\n  symbols: [A]", "line 4: the key"),
    "a key that is a list": ("[a, b]: 1", "line 1: a key must be a word"),
    "a day that there is not": ("fees: {bybit: [{since: 2025-02-30, maker: 0, taker: 0}]}", "since = '2025-02-30'"),
    "a NUL": ("filters: {symbols: [\"a\\0b\"]}", "filters.symbols = ['a\\x00b']: it holds a NUL character"),
    "a NUL in the text": ("filters: {symbols: [a\0b]}", "#x0000: special characters are not allowed"),
    "true for a number": ("slippage_bps: true", "slippage_bps = True: true and false are no values of it"),
    "true for a whole number": ("max_positions: true", "max_positions = True: true and false are no values"),
    "true in a list of numbers": ("training: {ppo: {net_arch: [64, true]}}", "training.ppo.net_arch = [64, True]"),
    "true in a mapping of numbers": ("margin: {wallet_shares: {bybit: true}}", "wallet_shares = {'bybit': True}"),
    "a time of day": ("slippage_bps: 1:30", "slippage_bps = '1:30': Input should be a valid number"),
    "yes for a number": ("slippage_bps: yes", "slippage_bps = 'yes': Input should be a valid number"),
    "more than any capital": ("initial_capital_usd: 1e308", "initial_capital_usd = 1e+308: Input should be less than"),
    "more than a float holds": ("initial_capital_usd: 1e999", "initial_capital_usd = inf: "),
    "more digits than a number": (f"initial_capital_usd: {'9' * 5000}", "line 1: a number of 5000 digits"),
    "many digits": (f"max_positions: {'9' * 200}", "max_positions = 999"),
    "more slippage than a price": ("slippage_bps: 20000", "slippage_bps = 20000: Input should be less"),
    "hours without end": ("max_stale_hours: 1e20", "max_stale_hours"),
    "a negative seed": ("leg_failure_seed: -1", "leg_failure_seed = -1"),
    "a seed beyond": ("significance: {seed: 4294967296}", "significance.seed = 4294967296"),
    "a long text": (f"slippage_bps: {'x' * 5000}", "slippage_bps = 'xxx"),
    "a long list": (f"slippage_bps: [{', '.join(['7'] * 5000)}]", "slippage_bps = [7, 7, 7, 7, 7, 7, ...]"),
    "a long key": (f"{'k' * 1000}: 1", "unknown key 'kkk"),
    "a text of two lines": ('slippage_bps: "one\\n\\ntwo"', "slippage_bps = 'one\\n\\ntwo'"),
    "a key of two lines": ('"one\\ntwo": 1', "unknown key 'one two'"),
    "an unknown key": ("slipage_bps: 1", "unknown key 'slipage_bps'; did you mean 'slippage_bps'?"),
    "an unknown key deep inside": ("training: {ppo: {gama: 1}}", "did you mean 'training.ppo.gamma'?"),
    "a number as a key": ("1: 2", "Keys should be strings"),
    "nothing as a key": ("null: 2", "Keys should be strings"),
    "an object of Python": ("a: !!python/object/apply:os.system [ls]", "could not determine a constructor for the tag"),
    "half of a list": ("filters: {symbols: [A", "cannot be read as YAML: line 1: "),
    "two documents": ("a: 1\n---\nb: 2", "cannot be read as YAML"),
    "no mapping": ("[1, 2]", "must hold a mapping of settings"),
    "no text": ("\udcff\udcfe", "it is not UTF-8"),
    "a large file": ("# \n" * MOST_BYTES, "it has 750,000 bytes, and 250,000 is the most"),
    "maintenance that is never met": (
        "{account: by_exchange, leverage: 4, margin: {maintenance_margin_rate: 0.25}}",
        "margin.maintenance_margin_rate = 0.25 must be below 1 / leverage = 0.25",
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", FILES)
def test_a_file_that_says_nonsense_is_told_in_one_short_line(kind: str, tmp_path: Path) -> None:
    text, said = FILES[kind]
    assert said in refused(tmp_path, text)


READ: dict[str, object] = {
    "slippage_bps: 3e-4": 3e-4,
    "slippage_bps: .5": 0.5,
    "slippage_bps: +1.5E+1": 15.0,
    "slippage_bps: 010": 10.0,
    "slippage_bps: '4'": 4.0,
    "base: &b {slippage_bps: 9}\n<<: *b\nslippage_bps: 4": 4.0,
}


@pytest.mark.parametrize("text", READ)
def test_numbers_are_read_as_people_mean_them(text: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    values = {key: value for key, value in read_yaml(path).items() if key != "base"}
    assert parse_settings(type(load_settings()), values).slippage_bps == READ[text]


def test_switches_are_true_and_false_and_numbers_none(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("fit_to_free_margin: true\nfilters: {symbols: [NO, ON, Y]}\n")
    settings = load_settings(path)
    assert settings.fit_to_free_margin is True
    assert settings.filters.symbols == ("NO", "ON", "Y")


OVERRIDES: dict[str, str] = {
    "slippage_bps": "--set 'slippage_bps': write it as KEY=VALUE",
    "slippage_bps=": "--set 'slippage_bps=': write it as KEY=VALUE",
    "filters.symbols= ": "write it as KEY=VALUE",
    "=5": "--set '=5': write it as KEY=VALUE",
    "slippage_bps=true": "slippage_bps = True: true and false are no values of it",
    "slippage_bps=1:30": "slippage_bps = '1:30'",
    "slippage_bps=1e308": "slippage_bps = 1e+308",
    "slippage_bps=[1": "--set 'slippage_bps=[1': the value is not valid YAML: line 1: ",
    "filters={symbols: &a [*a]}": "the value is not valid YAML: something in it contains itself",
    "filters={symbols: [A], symbols: [B]}": "the key 'symbols' stands there twice",
    f"slippage_bps={'x' * 5000}": "slippage_bps = 'xxx",
    f"{'x' * 5000}=1": "--set xxx",
    "slipage_bps=1": "--set slipage_bps: unknown key; did you mean 'slippage_bps'?",
    "filters..symbols=[A]": "unknown key; did you mean 'filters.symbols'?",
    "strategies.=1": "unknown key",
    "fees.binanze.taker=0.01": "--set fees.binanze: unknown exchange; did you mean 'binanceusdm'?",
    f"fees.{'x' * 5000}.taker=0.1": "unknown exchange",
}


@pytest.mark.parametrize("override", OVERRIDES)
def test_an_option_that_says_nonsense_is_told_in_one_short_line(override: str) -> None:
    with pytest.raises(SettingsError) as told:
        load_settings(None, [override])
    assert OVERRIDES[override] in str(told.value)
    assert "\n" not in str(told.value)
    assert len(str(told.value)) < 300


@pytest.mark.parametrize(
    ("text", "override", "said"),
    [
        ("strategies: {carry: 3}", "strategies.carry.enter_margin=1", "strategies.carry = 3 holds no keys"),
        ("fees: 3", "fees.bybit.taker=0", "the fee table has none"),
        ("fees: {bybit: 3}", "fees.bybit.taker=0", "fees.bybit = 3: write a list of rows"),
        ("fees: {bybit: [3]}", "fees.bybit.taker=0", "fees.bybit = [3]: write a list of rows"),
    ],
)
def test_an_option_does_not_hide_what_is_wrong_in_the_file(text: str, override: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(SettingsError) as told:
        load_settings(path, [override])
    assert said in str(told.value)


def test_a_file_that_is_no_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="cannot be read: it is no regular file"):
        load_settings(tmp_path)
    with pytest.raises(SettingsError, match="it is no regular file"):
        load_settings(Path("/dev/zero"))
    with pytest.raises(SettingsError, match="does not exist"):
        load_settings(tmp_path / "none.yaml")


def test_a_paper_configuration_passes_the_same_door(tmp_path: Path) -> None:
    path = tmp_path / "paper.yaml"
    for text, said in (
        ("top: true", "top = True"),
        ("seed: -1", "seed = -1"),
        ("delay_seconds: 1:30", "delay_seconds = '1:30'"),
        ("exchanges: &e {bybit: {ccxt: *e}}", "contains itself"),
        ("collection: {attempts: true}\nexchanges: {bybit: }", "collection.attempts = True"),
        ('models: ["a\\0b"]', "models = ['a\\x00b']: it holds a NUL character"),
        ("{account: by_exchange, leverage: 2, margin: {maintenance_margin_rate: 0.6}}", "must be below 1 / leverage"),
    ):
        path.write_text(text)
        with pytest.raises(SettingsError) as told:
            load_config(path)
        assert said in str(told.value)


class Inner(Settings):
    """A model in a model that has a switch."""

    on: bool = False
    share: float = 0.0


class Outer(Settings):
    """Models in fields of every kind."""

    inner: Inner = Inner()
    several: tuple[Inner, ...] = ()
    number: float | None = None


def test_switches_of_inner_models_stay_switches() -> None:
    values = {"inner": {"on": True}, "several": [{"on": True}]}
    assert parse_settings(Outer, values).several[0].on
    for wrong in ({"inner": {"share": True}}, {"several": [{"share": True}]}, {"number": False}):
        with pytest.raises(SettingsError, match="true and false are no values"):
            parse_settings(Outer, wrong)


NUMBERS = st.integers(-(10**18), 10**18) | st.floats(-1e9, 1e9)
SCALARS = st.none() | st.booleans() | NUMBERS | st.text("ab:1#-_ '", max_size=6)
KEYS = st.text("abk_", min_size=1, max_size=4)
PLAIN = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3), max_leaves=12
)


@given(PLAIN)
def test_what_is_written_as_json_is_read_as_it_was_meant(value: object) -> None:
    """JSON is YAML: every plain value survives, whatever its texts look like."""
    import json

    assert parse_yaml(json.dumps({"value": value})) == {"value": value}


@given(st.text(max_size=200))
def test_any_text_is_read_or_refused_in_one_line(text: str) -> None:
    said = ""
    try:
        parse_yaml(text)
    except NotYamlError as error:
        said = str(error)
    assert "\n" not in said
    assert len(said) < 200
