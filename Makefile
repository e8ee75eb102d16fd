# Everything that is done to this repository, by name. `make help` lists it.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

include bench.mk

.PHONY: help setup demo test check lint types floors test-unit test-cluster test-versions bench clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sort | sed 's/:.*## /\t/' | expand -t 20

setup: $(STAMP) ## make the virtual environment with netinspect and the development tools in it

$(STAMP): setup.cfg pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	$(BIN)/python -m compileall -q netinspect
	@touch $@

demo: setup cluster-up ## set everything up, then ask the real cluster: which veths are the pods of demo/web?
	@PATH="$$($(BENCH) bin):$(CURDIR)/$(BIN):$$PATH" KUBECONFIG="$$($(BENCH) kubeconfig)" \
	  kubectl netinspect veth --namespace demo deploy/web --image netinspect.test/node-tools:1

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

clean: ## remove the virtual environment and caches
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache build dist *.egg-info
