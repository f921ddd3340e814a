PYTHON ?= python3
BIN := .venv/bin
## What `make lowest` tests: all but commands, experiments and pages.
LOWEST := $(addprefix tests/,agents allocation data envs frameworks learning models network scenario schedulers timing)

## Test processes: one more than cores, as some tests wait for processes of their own.
JOBS ?= $(shell echo $$(($$(getconf _NPROCESSORS_ONLN) + 1)))

## Of `make fuzz`.
SEED ?= $(shell date +%s)
CASES ?= 2000

.PHONY: setup train compare docs test types tests fuzz coverage lowest clean

## Prepare .venv with everything; train and test do so by themselves.
setup: .venv/ready

.venv/ready: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "splitgym needs Python 3.11 or newer: make PYTHON=python3.11 ...")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --no-compile --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	touch $@

## The main job: train a scheduler on the surrogate, compare it with the heuristics on real split learning.
train: setup
	$(BIN)/python train_agent.py --imitate tuned:rule=index

## Compare all schedulers on a hundred held-out seeds of iot, with the surrogate; a minute.
compare: setup
	$(BIN)/splitgym compare

## The documentation, into docs/_build/html; a warning is an error.
docs: setup
	$(BIN)/sphinx-build -W --keep-going -b html docs docs/_build/html

## Lint, types, import directions, tests.
test: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(MAKE) --jobs 2 types tests

types:
	$(BIN)/mypy
	$(BIN)/lint-imports

tests:
	$(BIN)/pytest --numprocesses $(JOBS) --dist loadfile --no-loadscope-reorder

## Thousands of drawn scenarios, decisions, actions and files: make fuzz SEED=1 CASES=2000; without SEED new ones.
fuzz: setup
	SPLITGYM_FUZZ_CASES=$(CASES) SPLITGYM_FUZZ_SEED=$(SEED) $(BIN)/pytest tests/fuzz --hypothesis-seed=$(SEED) --numprocesses $(JOBS) --capture=no

## Lines and branches that tests run. Of compiled kernels none are seen, so those of timing and network also run as Python.
coverage: setup
	$(BIN)/pytest --numprocesses $(JOBS) --dist loadfile --no-loadscope-reorder --cov --cov-report=
	NUMBA_DISABLE_JIT=1 $(BIN)/pytest --numprocesses $(JOBS) --dist loadfile --no-loadscope-reorder --cov --cov-append tests/timing tests/network

## Tests with the lowest versions that pyproject.toml allows, in an environment of their own (two gigabytes).
lowest: .venv-lowest/ready
	.venv-lowest/bin/pytest --numprocesses $(JOBS) --dist loadfile --no-loadscope-reorder $(LOWEST)

.venv-lowest/ready: pyproject.toml
	$(PYTHON) -m venv .venv-lowest
	.venv-lowest/bin/python -m pip install --quiet --disable-pip-version-check uv
	.venv-lowest/bin/uv pip install --quiet --python .venv-lowest --resolution lowest-direct --editable '.[dev]'
	touch $@

clean:
	rm -rf .venv .venv-lowest
