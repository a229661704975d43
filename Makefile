# Everything runs in a virtual environment of its own, one for each Python version:
#   make test                      with python3
#   make test PYTHON=python3.12    beside it
PYTHON ?= python3
PYTHON_VERSION := $(shell $(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null)
ifeq ($(PYTHON_VERSION),)
$(error cannot run $(PYTHON): install Python 3.11 or newer, or say which: make PYTHON=python3.12)
endif

# How many files of tests run side by side.
JOBS ?= 2

VENV ?= .venv/$(PYTHON_VERSION)
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.DEFAULT_GOAL := help
.PHONY: help venv demo test chaos lint format bench clean

help: ## show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-8s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

venv: $(READY) ## make the virtual environment, if it is missing or out of date

$(READY): pyproject.toml
	@echo "Preparing $(VENV) (about a minute the first time)"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@

demo: $(READY) ## show orders and their jobs run; URL=postgresql://... or POSTGRES=1 for PostgreSQL
	@$(BIN)/dibs demo $(if $(URL),--url '$(URL)') $(if $(filter-out 0,$(POSTGRES)),--postgres) $(ARGS)

test: $(READY) ## run the tests; ARGS='-k priority' for some of them
	@$(BIN)/python -m pytest --numprocesses $(JOBS) --dist loadfile --no-loadscope-reorder $(ARGS)

chaos: $(READY) ## run the tests that take long: more load, more faults
	@$(BIN)/python -m pytest -m chaos $(ARGS)

lint: $(READY) ## check format, style, types and import directions
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/ruff check --quiet .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

format: $(READY) ## format the code and fix what can be fixed
	@$(BIN)/ruff check --fix-only --quiet .
	@$(BIN)/ruff format .

bench: $(READY) ## measure; ARGS='--url postgresql://... --jobs 100000'
	@$(BIN)/dibs bench $(ARGS)

clean: ## remove everything that can be made again
	rm -rf .venv build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find src tests examples benchmarks -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true
