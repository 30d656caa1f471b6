# `make help` lists what there is. Everything runs in .venv, built from the lock file on first use.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: help setup train agree test tensorboard lock clean
.DEFAULT_GOAL := help

help: ## this list
	@grep -E '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

setup: .venv/installed ## the virtual environment, with the versions of requirements.lock

.venv/installed: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' \
		|| { echo "$(PYTHON) is $$($(PYTHON) --version); needed: Python 3.11 to 3.13 (make PYTHON=python3.12 …)"; exit 2; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

test: .venv/installed ## lint, types, import contracts, then every test, warnings as errors
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest tests tfbp

lock: ## requirements.lock anew, from pyproject.toml (needs uv)
	uv pip compile --universal --generate-hashes --no-annotate --python-version 3.11 --extra dev --quiet \
		--output-file requirements.lock pyproject.toml lock-extras.in

clean: ## remove the virtual environment and caches
	rm -rf .venv build dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
