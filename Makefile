# Everything is run from here. "make" alone lists what there is.
SHELL := /bin/sh
.DEFAULT_GOAL := help
RACE := -race -shuffle=on -count=1
SEED ?= 0

.PHONY: help
help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: generate
generate: ## Generate the pages' code from their templates
	go tool templ fmt web/templates
	go tool templ generate

# Four packages at a time whatever the machine has: these tests wait for disks and timers more than they compute.
.PHONY: check
check: lint ## Look for faults fast: linters, and tests that need neither cluster nor browser
	env -u DEVSTACK go test -p 4 -race -shuffle=on -short ./...

.PHONY: lint
lint: ## Run the linters
	build/lint.sh

.PHONY: build
build: ## Build the binary for this machine into bin/
	CGO_ENABLED=1 go build -trimpath -tags osusergo,netgo,sqlite_omit_load_extension -o bin/portal ./cmd/portal

.PHONY: dist
dist: ## Build and prove the static binaries of both architectures into bin/
	build/build.sh amd64 bin/portal-linux-amd64
	build/build.sh arm64 bin/portal-linux-arm64

.PHONY: test
test: ## Run every test: on a real control plane, real nodes, a real Gitea and in a real browser
	build/prepare.sh
	build/lint.sh
	go build -C devstack -o ../bin/devstack .
	bin/devstack run -- go test $(RACE) -timeout 30m -skip '^(TestReal|TestScenarios|TestSoak)' ./...
	bin/devstack run --gitea=real -- go test $(RACE) -timeout 30m -run '^TestRealGitea' ./internal/gitea/... ./internal/browser
	build/realnodes.sh go test $(RACE) -timeout 30m -run '^(TestRealNodes|TestScenarios|TestSoak)' ./internal/kube/... ./internal/scenario
	go -C devstack test $(RACE) -timeout 30m ./...
	go -C devstack/workloads/images test $(RACE) ./...
	build/build.sh amd64 bin/portal-linux-amd64
	build/build.sh arm64 bin/portal-linux-arm64

.PHONY: bench
bench: ## Measure on a simulated cluster and a real Gitea, and print each figure beside its target
	go build -C devstack -o ../bin/devstack .
	bin/devstack run --gitea=real -- build/bench.sh

.PHONY: scenarios
scenarios: ## Let rollouts fail on real nodes and read what the portal says (root on Linux)
	go build -C devstack -o ../bin/devstack .
	bin/devstack run --nodes=kubelet -- go test $(RACE) -timeout 30m -run TestScenarios -v ./internal/scenario -slack 1 -table $(CURDIR)/docs/scenarios.md -shots $(CURDIR)/docs/img/scenarios

.PHONY: soak
soak: ## Play 300 mixed rollouts on real nodes and count what the portal says wrongly (root on Linux; about half an hour)
	go build -C devstack -o ../bin/devstack .
	bin/devstack run --nodes=kubelet -- go test $(RACE) -timeout 60m -run 'TestSoak$$' -v ./internal/scenario -rollouts 300 -seed $(or $(SEED),0)

.PHONY: contention
contention: ## Let fifty people ask for the same at once, 200 times over (about 15 min)
	go build -C devstack -o ../bin/devstack .
	bin/devstack run -- build/harness.sh contention TestContention -contention.rounds=200 -harness.seed=$(SEED)

.PHONY: crash
crash: ## Kill the portal 100 times at each step of a deploy's path (about 26 min)
	go build -C devstack -o ../bin/devstack .
	bin/devstack run -- build/harness.sh crash TestCrash -crash.kills=100 -harness.seed=$(SEED) -crash.within=5s

.PHONY: trouble
trouble: ## Cut, delay and refuse what passes between portal and cluster, and time the way back (2 min)
	go build -C devstack -o ../bin/devstack .
	bin/devstack run -- build/harness.sh trouble TestClusterTrouble -trouble.slack=0s

.PHONY: demo
demo: ## Show the portal at work, on a cluster with simulated nodes
	@echo "building the driver of the demo (first time: about half a minute)"
	go run -C devstack . demo

.PHONY: dev
dev: demo ## The same, under the name one looks for while developing

.PHONY: clean
clean: ## Remove what was built here
	rm -rf bin
