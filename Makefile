# `make help` lists what there is. Everything runs in .venv, built from the lock file on first use.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# runs every part, and reports at the end all that failed
EVERY := $(BIN)/python .ci/every.py
LINT := "$(BIN)/ruff check ." "$(BIN)/ruff format --check ." $(BIN)/mypy $(BIN)/lint-imports
# in parts, of two processes each: every compiled program keeps some memory maps, and a process may have 65,530
PYTEST := $(BIN)/python -m pytest --numprocesses 2 --dist loadgroup $(if $(COVERAGE),--cov --cov-append --cov-report= --cov-fail-under=0)
ARITHMETIC := $(patsubst %,tests/%,reference manual network judging agreement/test_matrix.py) --ignore=tests/judging/test_placement.py
# first, while the processes that start these are small
WORKERS := tests/training/test_workers.py
ROOMS := agreement checking fitting judging layers manual network reference rehearsal training
PARTS = "$(PYTEST) $(1) $(patsubst %,tests/%,agreement checking judging manual network reference rehearsal)" \
	"$(PYTEST) $(1) tests/fitting tests/layers" \
	"$(PYTEST) $(1) $(WORKERS) $(filter-out $(WORKERS),$(wildcard tests/training/test_*.py))" \
	"$(PYTEST) $(1) tests tfbp $(patsubst %,--ignore=tests/%,$(ROOMS))"

.PHONY: help setup train agree tensorboard benchmark docs figures quick test test-all lock clean
.DEFAULT_GOAL := help

help: ## this list
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

setup: .venv/installed ## the virtual environment, with the versions of requirements.lock

.venv/installed: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' \
		|| { echo "$(PYTHON) is $$($(PYTHON) --version); needed: Python 3.11 to 3.13 (make PYTHON=python3.12 …)"; exit 2; }
	@echo "Setting up .venv with TensorFlow and the rest of requirements.lock: some minutes, about 3 GB. Only this once."
	@$(PYTHON) -m venv .venv
	@# --no-deps: the lock is whole, and pip, asked for coverage[toml], would look at a release newer than the lock's
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps --requirement requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

quick: $(VENV)/installed ## lint, types, import contracts, and the tests of the arithmetic: what to run first, and often
	@$(EVERY) $(LINT) "$(PYTEST) --quick $(ARITHMETIC)"

test: .venv/installed ## lint, types, import contracts, then every test, warnings as errors (COVERAGE=1: branches, too)
	@$(if $(COVERAGE),$(BIN)/coverage erase)
	@$(EVERY) $(LINT) $(call PARTS) $(if $(COVERAGE),"$(BIN)/coverage report")

test-all: .venv/docs-installed ## every case of every test, browser and wheel, planted mistakes, other versions (hours)
	@$(EVERY) $(LINT) $(call PARTS,--all) "$(BIN)/python docs/building/notebook.py --run" \
		"$(BIN)/python scripts/trials/mutation.py" "$(BIN)/python scripts/trials/mutation_benchmark.py" \
		$(patsubst %,"make quick VENV=.venv-%",lowest 3.11 3.13)

train: .venv/installed ## train on digits by all three writings, in float64 (OPTIONS="--dataset …" for more)
	@$(BIN)/python scripts/train.py --dtype float64 --statistics $(OPTIONS)

tensorboard: .venv/installed ## the curves of logs/ in a browser
	@echo 'With the loss at the top: http://localhost:6006/?pinnedCards=%5B%7B%22plugin%22:%22scalars%22,%22tag%22:%22epoch_loss%22%7D%5D'
	@$(BIN)/tensorboard --logdir logs

agree: .venv/installed ## show that the three writings agree, in every dtype and execution mode (OPTIONS="--json FILE" …)
	@$(BIN)/python scripts/check.py $(OPTIONS)

benchmark: .venv-benchmark/installed ## time training against Keras, JAX, PyTorch and others, on an idle machine
	@.venv-benchmark/bin/python scripts/benchmarks/benchmark.py $(OPTIONS)

# the lock's versions first; what only the benchmark needs comes on top and moves none of them
.venv-benchmark/installed: requirements.lock pyproject.toml
	$(PYTHON) -m venv .venv-benchmark
	.venv-benchmark/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps \
		--requirement requirements.lock
	.venv-benchmark/bin/python -m pip freeze --all --exclude pip --exclude-editable > .venv-benchmark/constraints.txt
	.venv-benchmark/bin/python -m pip install --quiet --disable-pip-version-check --no-build-isolation \
		--constraint .venv-benchmark/constraints.txt --editable '.[benchmark]'
	@touch $@

docs: .venv/docs-installed ## the site, built strictly into build/site, the tour's notebook beside its pages
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet
	@echo "The site: build/site/index.html"

figures: .venv/docs-installed ## every figure of the site, from new runs (some minutes)
	@set -e; for script in docs/figures/[!s]*.py docs/figures/see_it_learn.py; do $(BIN)/python $$script; done

# for `make test-all`: the oldest TensorFlow and Keras, and other versions of Python; uv brings what is not here
.venv-lowest/installed: requirements-lowest.lock pyproject.toml
	@$(call INSTALL,3.11,requirements-lowest.lock)

.venv-3.%/installed: requirements.lock pyproject.toml
	@$(call INSTALL,3.$*,requirements.lock)

INSTALL = python=$$(python$(1) -c 'import sys; print(sys.executable)' 2> /dev/null || uv python find $(1)) \
		|| { echo "python$(1) is not here: install it, or uv"; exit 2; }; \
	$$python -m venv $(@D) \
	&& $(@D)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps --requirement $(2) \
	&& $(@D)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable . \
	&& touch $@

# what the site needs comes beside the lock's versions, in the same environment, and moves none of them
.venv/docs-installed: .venv/installed requirements-docs.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps --requirement requirements-docs.lock
	@touch $@

lock: ## requirements.lock, requirements-lowest.lock and requirements-docs.lock, from pyproject.toml (needs uv)
	uv pip compile --universal --generate-hashes --no-annotate --python-version 3.11 --extra dev --quiet \
		--output-file requirements.lock pyproject.toml lock-extras.in
	uv pip compile --universal --generate-hashes --no-annotate --python-version 3.11 --extra dev --quiet \
		--constraint lowest.in --output-file requirements-lowest.lock pyproject.toml lock-extras.in
	uv pip compile --universal --generate-hashes --no-annotate --python-version 3.11 --group docs --quiet \
		--constraint requirements.lock --output-file requirements-docs.lock

clean: ## remove the virtual environment and caches
	rm -rf .venv .venv-* build dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
