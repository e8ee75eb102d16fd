# Everything that is done to this repository, by name. `make help` lists it.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

include bench.mk

.PHONY: help setup demo test check lint types floors test-unit test-cluster test-versions bench examples clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sort | sed 's/:.*## /\t/' | expand -t 20

setup: $(STAMP) ## make the virtual environment with netinspect and the development tools in it

$(STAMP): setup.cfg pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	$(BIN)/python -m compileall -q netinspect
	@touch $@

demo: setup ## ask a recording that is shipped: pods' veths, the rules for a Service, DNS; no cluster is needed
	$(BIN)/kubectl-netinspect veth -n demo deploy/web --from examples/faulty.tar.gz
	$(BIN)/kubectl-netinspect rules web:http -n demo --all-nodes --family 4 --from examples/faulty.tar.gz
	$(BIN)/kubectl-netinspect dns --from examples/faulty.tar.gz

test: setup cluster-up check test-cluster ## set everything up, then pass all tests, the real cluster's included

check: lint types floors test-unit ## all that needs no cluster: style, types, floors, tests with branch coverage

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: setup
	$(BIN)/mypy

floors: setup
	$(BIN)/lint-imports

test-unit: setup
	$(BIN)/python -m pytest --cov --cov-report=term:skip-covered

test-cluster: setup ## the tests against a real cluster: $KUBECONFIG, or else the test cluster
	$(BIN)/python -m pytest tests/cluster

test-versions: setup ## the cluster door against old and new versions of the Kubernetes client
	$(BIN)/python tests/client_versions.py

bench: setup ## the benchmarks of the README, as ratios in one run (needs the test cluster)
	$(BIN)/python -m bench
	$(BIN)/python -m bench.conntrack_top
	$(BIN)/python -m bench.iptables_save
	$(BIN)/python -m bench.nft_json

examples: setup ## make the recordings in examples/ anew (needs the test cluster)
	$(BIN)/python -m tests.cluster.make_examples

clean: ## remove the virtual environment and caches
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache build dist *.egg-info
