# Everything that people and the build do with this project, by name. `make help` lists it.
# A machine needs Python 3.11 or newer and make; the rest goes into .venv.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
LOCKS := requirements/build.lock requirements/development.lock
ROOTS := schemas pipeline topologies load
COMPILE := $(BIN)/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-header --python-version 3.11

.DEFAULT_GOAL := help

.PHONY: help
help:  ## list the targets
	@awk -F ':.*##' '/^[a-z-]+:.*##/ { printf "  %-10s%s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: setup
setup: $(READY)  ## make .venv with everything that the locks name

$(READY): pyproject.toml $(LOCKS)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "make: driftwire needs Python 3.11 or newer: name one with PYTHON=...")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/build.lock
	$(BIN)/uv pip sync --quiet --python $(BIN)/python --require-hashes $(LOCKS)
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@touch $(READY)

.PHONY: demo
demo: $(READY)  ## play a support bot that breaks twice, and see the incidents
	$(BIN)/driftwire-load demo

.PHONY: example
example: $(READY)  ## walk through an incident on a real Kafka, and write docs/review/example
	$(BIN)/driftwire-load walk --output docs/review

.PHONY: test
test: $(READY)  ## run all tests, those on a real Kafka too
	$(BIN)/python -m pytest

.PHONY: faults
faults: $(READY)  ## kill and pause detect workers twenty times: what they find stays the same
	DRIFTWIRE_TEST_FAULTS=20 $(BIN)/python -m pytest -s tests/test_faults.py

.PHONY: coverage
coverage: $(READY)  ## run all tests and measure the branches of pipeline and schemas
	$(BIN)/python -m pytest --cov --cov-report=term-missing

.PHONY: lint
lint: $(READY)  ## check style, formatting, types and the direction of imports
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

.PHONY: format
format: $(READY)  ## put the sources into the one format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

.PHONY: bench
bench: $(READY)  ## measure detect beside the obvious pipeline
	$(BIN)/driftwire-load bench detect

.PHONY: lock
lock: $(READY)  ## write the locks anew, with the newest versions that fit
	$(COMPILE) --upgrade requirements/build.in -o requirements/build.lock
	$(COMPILE) --upgrade pyproject.toml -o requirements/runtime.lock
	$(COMPILE) --upgrade pyproject.toml --extra development -o requirements/development.lock
	$(BIN)/python -m topologies.broker.lock_jars

.PHONY: clean
clean:  ## take away what the other targets made, .venv too
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .coverage
