# The commands of this project, for people and for the build. `make help` lists them.
# The machine needs Python 3.11 or newer and make. Everything else is installed into .venv.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
SERVICES := $(VENV)/services
PEERS := $(VENV)/peers
LOCKS := requirements/build.lock requirements/development.lock
ROOTS := schemas pipeline topologies load
COMPILE := $(BIN)/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-header --python-version 3.11

.DEFAULT_GOAL := help

.PHONY: help
help:  ## list the targets
	@awk -F ':.*##' '/^[a-z-]+:.*##/ { printf "  %-14s%s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: setup
setup: $(READY)  ## create .venv with the locked dependencies

$(READY): pyproject.toml $(LOCKS)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "make: driftwire needs Python 3.11 or newer: set PYTHON=... to one")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/build.lock
	$(BIN)/uv pip sync --quiet --python $(BIN)/python --require-hashes $(LOCKS)
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable . --editable client
	@touch $(READY)

$(SERVICES)/.ready: $(READY) requirements/services.lock
	$(BIN)/uv venv --quiet --clear --python $(BIN)/python $(SERVICES)
	$(BIN)/uv pip sync --quiet --compile-bytecode --python $(SERVICES)/bin/python --require-hashes requirements/services.lock
	$(BIN)/uv pip install --quiet --python $(SERVICES)/bin/python --no-deps --no-build-isolation --editable client
	@touch $@

$(PEERS)/.ready: $(READY) requirements/peers.lock
	$(BIN)/uv venv --quiet --clear --python $(BIN)/python $(PEERS)
	$(BIN)/uv pip sync --quiet --compile-bytecode --python $(PEERS)/bin/python --require-hashes requirements/peers.lock
	@touch $@

.PHONY: demo
demo: $(READY)  ## break a simulated support bot twice and show the incidents
	$(BIN)/driftwire-load demo

.PHONY: example
example: $(READY)  ## run an incident on a real Kafka and write docs/review/example
	$(BIN)/driftwire-load walk --output docs/review

.PHONY: quick
quick: lint  ## run lint and the fast tests without Kafka
	$(BIN)/python -m pytest -n logical --dist worksteal -m "not kafka and not slow"

.PHONY: check
check: lint test  ## run lint and all tests

.PHONY: test
test: $(READY) $(SERVICES)/.ready  ## run all tests, including those on a real Kafka
	$(BIN)/python -m pytest -n logical --dist worksteal -m "not kafka"
	$(BIN)/python -m pytest -n 2 --dist worksteal -m kafka

.PHONY: faults
faults: $(READY)  ## kill and pause detect workers twenty times and compare the results
	DRIFTWIRE_TEST_FAULTS=20 $(BIN)/python -m pytest -s tests/test_faults.py

SEED ?= 1

.PHONY: chaos
chaos: $(READY)  ## break a topology with a hundred faults of SEED=N, in up to 30 minutes
	$(BIN)/driftwire-load chaos --seed $(SEED)

.PHONY: coverage
coverage: $(READY) $(SERVICES)/.ready  ## run all tests and measure branch coverage of pipeline and schemas
	$(BIN)/python -m pytest --cov --cov-report=term-missing

.PHONY: lint
lint: $(READY)  ## check style, formatting, types and import directions
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

.PHONY: format
format: $(READY)  ## fix and format the sources
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

.PHONY: peers
peers: $(PEERS)/.ready  ## install the other frameworks that the benchmarks compare driftwire with

.PHONY: bench
bench: $(READY) $(PEERS)/.ready  ## compare the speed of detect with plain pipelines
	$(BIN)/driftwire-load bench detect

.PHONY: bench-client
bench-client: $(READY)  ## time a million calls of the Python client while Kafka works, hangs, is away and is slow
	PYTHONPATH=client $(BIN)/python -m tests.client.benchmark

.PHONY: audit
audit: $(READY)  ## check the locked dependencies for known vulnerabilities, which needs the network
	$(BIN)/uv venv --quiet --clear $(VENV)/audit
	$(BIN)/uv pip sync --quiet --python $(VENV)/audit/bin/python --require-hashes requirements/audit.lock
	$(VENV)/audit/bin/pip-audit --strict --disable-pip --require-hashes $(addprefix -r ,$(LOCKS) requirements/runtime.lock requirements/services.lock requirements/peers.lock)

.PHONY: lock
lock: $(READY)  ## update the locks to the newest compatible versions
	$(COMPILE) --upgrade requirements/build.in -o requirements/build.lock
	$(COMPILE) --upgrade pyproject.toml -o requirements/runtime.lock
	$(COMPILE) --upgrade pyproject.toml --extra development -o requirements/development.lock
	$(COMPILE) --upgrade requirements/services.in -o requirements/services.lock
	$(COMPILE) --upgrade requirements/peers.in -o requirements/peers.lock
	$(COMPILE) --upgrade requirements/audit.in -o requirements/audit.lock
	$(BIN)/python -m topologies.broker.lock_jars

.PHONY: clean
clean:  ## remove everything that the other targets created, including .venv
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .coverage
