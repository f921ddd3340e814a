PYTHON ?= python3
BIN := .venv/bin

## Of `make fuzz`.
SEED ?= $(shell date +%s)
CASES ?= 2000

.PHONY: setup train compare docs test fuzz clean

## Prepare .venv with everything; train and test do so by themselves.
setup: .venv/ready

.venv/ready: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "splitgym needs Python 3.11 or newer: make PYTHON=python3.11 ...")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	touch $@

## The main job: train a scheduler on the surrogate, compare it with the heuristics on real split learning.
train: setup
	$(BIN)/python train_agent.py

## Compare all schedulers on a hundred held-out seeds of iot, with the surrogate; a minute.
compare: setup
	$(BIN)/python -m agents.compare

## The documentation, into docs/_build/html; a warning is an error.
docs: setup
	$(BIN)/sphinx-build -W --keep-going -b html docs docs/_build/html

## Lint, types, import directions, tests.
test: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/pytest --numprocesses 2 --dist loadfile

## Thousands of drawn scenarios, decisions, actions and files: make fuzz SEED=1 CASES=2000; without SEED new ones.
fuzz: setup
	FUZZ_CASES=$(CASES) $(BIN)/pytest tests/fuzz --hypothesis-seed=$(SEED) --numprocesses 2 --capture=no

clean:
	rm -rf .venv
