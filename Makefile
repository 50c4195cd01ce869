# Weir's targets. Each ends with one line that says what came of it; logs and
# profiles are kept in .cache/, binaries in bin/.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

KILLS  ?= 50
SEED   ?=
BENCH  ?= Ingest
COUNT  ?= 1
TIME   ?= 30s
VALUES ?= 20000000
ROUNDS ?= 2
SAMPLES ?= 100000000

LINTER := .cache/golangci-lint

.PHONY: help
help: ## list the targets
	@awk -F':.*## ' '/^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2; n++ } END { print "help: " n " targets" }' $(MAKEFILE_LIST)

.PHONY: build
build: ## compile bin/weir
	@tools/build.sh

.PHONY: test
test: ## all tests with the race detector, end to end too, and the coverage limits
	@tools/test.sh

.PHONY: check
check: $(LINTER) ## format, vet, lint, architecture and short tests, in under two minutes
	@tools/check.sh $(LINTER)

.PHONY: bench
bench: build ## ingest on the real server; BENCH=. for all benchmarks, COUNT=<runs of each>
	@BENCH='$(BENCH)' COUNT='$(COUNT)' tools/bench.sh

.PHONY: bench-peers
bench-peers: build ## Weir beside Debian's victoria-metrics, with limits; VALUES=<n> ROUNDS=<n>
	@VALUES='$(VALUES)' ROUNDS='$(ROUNDS)' tools/bench-peers.sh

.PHONY: bench-rollup
bench-rollup: build ## rollups beside DuckDB's SQL, with limits; SAMPLES=<n>
	@SAMPLES='$(SAMPLES)' tools/bench-rollup.sh

.PHONY: fuzz
fuzz: ## run each fuzz test for TIME=30s, in about 10 minutes all together (TIME=10m: hours)
	@TIME='$(TIME)' tools/fuzz.sh

.PHONY: crash
crash: build ## kill the real process and look for what was lost; KILLS=<n> SEED=<n>
	@KILLS='$(KILLS)' SEED='$(SEED)' tools/crash.sh

.PHONY: demo
demo: build ## real and simulated data through a running Weir, with a summary
	@bin/weir demo

.PHONY: clean
clean: ## remove what the targets made; data folders stay
	@rm -rf bin .cache
	@echo "clean: removed bin/ and .cache/"

# The linter has requirements of its own, which are not the program's.
$(LINTER): tools/golangci-lint.mod tools/golangci-lint.sum
	@tools/prerequisites.sh
	@echo "building the linter (once for each version)"
	@mkdir -p $(@D)
	@go build -modfile=$< -o $@ github.com/golangci/golangci-lint/v2/cmd/golangci-lint
	@touch $@
