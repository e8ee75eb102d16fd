# The test bench: a real two-node Kubernetes on this machine (tests/cluster/bench). Needs root and Go 1.26.
# It runs on any Python 3.11 without packages, so that it works before the virtual environment is made.
BENCH := python3 -m tests.cluster.bench

.PHONY: cluster-up cluster-down cluster-kubeconfig cluster-status

cluster-up: ## start the test cluster, or repair it (first time: about 12 minutes of building)
	@$(BENCH) up

cluster-down: ## end the test cluster and remove all it left
	@$(BENCH) down

cluster-kubeconfig: ## print the path of the test cluster's kubeconfig
	@$(BENCH) kubeconfig

cluster-status: ## print what runs, and where its kubectl is
	@$(BENCH) status
