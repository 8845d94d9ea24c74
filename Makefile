# What people type: `make demo`, `make test`. What developers type before every commit: `make check`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
LAB := $(BIN)/python -m tests.lab
CYCLES ?= 200
SEEDS ?= 100
SEED ?= 0

.PHONY: help demo test check format lint types layers unit lab-build lab-test \
	soak sim sim-fresh mutants clean

help:  ## these lines
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

demo: lab-build  ## the story on two real nodes: record, replicate, delete, restore, crash, read on beta
	@$(BIN)/python -m tests.lab.demo

test: check lab-build lab-test  ## everything: check, then the lab's tests on two real OpenZFS nodes

check: format lint types layers unit  ## format, lint, types, layers, unit, property, conformance on the model

format: $(STAMP)
	@$(BIN)/ruff format --check --quiet . || { echo "run: $(BIN)/ruff format ."; exit 1; }

lint: $(STAMP)
	@$(BIN)/ruff check --quiet .

types: $(STAMP)
	@$(BIN)/mypy

layers: $(STAMP)
	@$(BIN)/lint-imports > $(VENV)/layers.log || { cat $(VENV)/layers.log; exit 1; }

unit: $(STAMP)
	@$(BIN)/pytest -q -n 2 -m "not lab" tests

lab-build: $(STAMP)  ## build the lab's kernel, modules and image (cached)
	@$(LAB) build

lab-test: $(STAMP)
	@$(BIN)/pytest -q -n 2 --dist loadfile -m lab --durations=15 tests

soak: lab-build  ## CYCLES=200 random crashes, cuts and writes; every common snapshot compared
	@$(BIN)/python -m tests.lab.soak --cycles $(CYCLES)

sim: $(STAMP)  ## SEED=n: one simulated site, exactly as it was, with its trace
	@$(BIN)/python -m tests.simulation --seed $(SEED) --trace

sim-fresh: $(STAMP)  ## SEEDS=100 new seeds; what fails becomes a fixed seed
	@$(BIN)/python -m tests.simulation --fresh $(SEEDS)

mutants: $(STAMP)  ## deliberate bugs, each of which a seed or a test must notice
	@$(BIN)/python -m tests.simulation.mutants

$(STAMP): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "zr needs Python 3.11 or newer; $(PYTHON) is older. Try: make PYTHON=python3.11"; exit 1; }
	@test -x $(BIN)/pip || $(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); \
		if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
			apt-get update -qq && apt-get install -y -qq python3-venv && $(PYTHON) -m venv $(VENV); \
		else echo "The venv module is missing: apt install python3-venv"; exit 1; fi; }
	@$(BIN)/pip install --quiet --disable-pip-version-check -e '.[dev]'
	@touch $@

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
