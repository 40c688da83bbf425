# Two commands need nothing but Python 3.11+ and make: `make backtest` and `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

# Worker processes share the cores; one thread of linear algebra each.
export OMP_NUM_THREADS ?= 1


.PHONY: help setup openapi policy backtest test slow lint check golden bench bench-pbt soak mutations fuzz lock clean

help:
	@echo "make backtest   run the shipped policy and the rules on the sample data set"
	@echo "make test       run the tests"
	@echo "make slow       the tests that train populations or kill processes again and again"
	@echo "make check      what CI runs: tests, lint, types, import layers"
	@echo "make golden     run every kind of command here and at another revision: does any output differ? (minutes)"
	@echo "make policy     make the shipped policy again from raw tables (under an hour on two cores)"
	@echo "make bench      benchmarks (speed claims live here, not in tests)"
	@echo "make soak       a month of paper trading against a loopback server, with faults and kill -9"
	@echo "make mutations  break the code on purpose and demand that the tests see it (minutes)"
	@echo "make fuzz       mutated inputs and requests of every kind, for minutes: refused, or right"
	@echo "make bench-pbt  one interval of population based training against plain stable-baselines3"
	@echo "make lock       write requirements.lock anew from pyproject.toml"

$(STAMP): requirements.lock pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "arb needs Python 3.11 or newer; try: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $(STAMP)

setup: $(STAMP)

backtest: $(STAMP)
	$(BIN)/arb backtest --strategy ppo,week,carry,greedy,basis,hold --data data/sample

test: $(STAMP)
	$(BIN)/python -m pytest -q -n 2 --dist worksteal

slow: $(STAMP)
	$(BIN)/python -m pytest -q -n 2 --dist worksteal -m slow

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

check: test lint

# make golden BASE=<revision>; default: the last commit
golden: $(STAMP)
	$(BIN)/python benchmarks/golden.py $(if $(BASE),--base $(BASE))

# Raw tables of the market that the policy is made of, as `arb data build` reads them; POLICY: a new folder.
RAW ?= ../shared/market2
POLICY ?= runs/policy

policy: $(STAMP)
	@test -d $(RAW) || { echo "make policy needs raw tables: make policy RAW=path/to/folder"; exit 1; }
	$(BIN)/arb data build $(RAW) --name market2 --source "raw tables" --out $(POLICY)-data --replace
	$(BIN)/arb make-policy --data $(POLICY)-data --config configs/policy_week.yaml --out $(POLICY)

# Speed claims are about real data: make bench DATA=path/to/dataset
DATA ?= data/sample

bench: $(STAMP)
	$(BIN)/python benchmarks/bench_environment.py $(DATA)
	$(BIN)/python benchmarks/bench_backtest.py
	$(BIN)/python benchmarks/bench_load.py
	$(BIN)/python benchmarks/bench_hindsight.py
	$(BIN)/python benchmarks/bench_report.py
	$(BIN)/python benchmarks/bench_audit.py
	$(BIN)/python benchmarks/bench_paper_hour.py

mutations: $(STAMP)
	$(BIN)/python benchmarks/run_mutations.py

soak: $(STAMP)
	$(BIN)/python benchmarks/soak_paper.py
	$(BIN)/python benchmarks/absurd_answers.py

# MINUTES=30 for a longer one; the same SEED gives the same inputs.
MINUTES ?= 5
SEED ?= 1

fuzz: $(STAMP)
	$(BIN)/python benchmarks/fuzz.py --minutes $(MINUTES) --seed $(SEED)
	$(BIN)/python benchmarks/fuzz_api.py --minutes $(MINUTES) --seed $(SEED)

# After a change of the API; a test compares the file.
openapi: $(STAMP)
	$(BIN)/python -c 'from pathlib import Path; from adapters.web.app import openapi_text; from adapters.web.serving import Serving; here = Path(); Path("docs/openapi.json").write_text(openapi_text(Serving(here, here, here, older_api=True)), encoding="utf-8")'

bench-pbt: $(STAMP)
	$(BIN)/python benchmarks/bench_pbt.py

lock: $(STAMP)
	$(BIN)/python -m pip install --quiet pip-tools
	$(BIN)/python -m piptools compile --quiet --strip-extras --no-emit-index-url --no-emit-trusted-host \
		--no-header --extra api --extra dev --output-file requirements.lock pyproject.toml
	@# The label of a local build would tie the lock to one place; the version alone installs everywhere.
	sed -i 's/^torch==\([0-9.]*\)+.*/torch==\1/' requirements.lock

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache runs
