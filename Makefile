# What one does here. `make` alone lists it.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

IMAGE ?= phasegate:dev
CHART := charts/phasegate
ARCH := $(shell uname -m)
TARGET := $(ARCH)-unknown-linux-gnu
TARGET_DIR := $(or $(CARGO_TARGET_DIR),target)

.PHONY: help fmt lint test e2e chaos restored bench-git binary image crds chart deny demo clean

help: ## This list
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 10

fmt: ## Format the code
	cargo fmt --all

lint: ## Formatting and lints, as CI wants them (needs shellcheck)
	cargo fmt --all --check
	cargo clippy --locked --all-targets -- -D warnings
	shellcheck -x -P SCRIPTDIR -P e2e .ci/run e2e/cluster e2e/image e2e/demo e2e/run e2e/faults e2e/chaos e2e/restored e2e/bench-git e2e/*.sh e2e/*.d/*.sh e2e/upstream.d/serve

test: ## Every test that needs no container runtime; a real API server included (built the first time)
	cargo test --locked -- --include-ignored

e2e: ## The chart on the real cluster: kubelet, containerd, real pods (Linux, root); ONLY="wip conflict" for some lines
	e2e/run $(ONLY)
	VALUES=dist/e2e-values.yaml e2e/faults

chaos: ## Alicia while operator, git service and task pods are killed; it must end as if nothing had happened
	e2e/chaos

restored: ## Alicia over an API server that is put back to an older state; git must stay as it was
	e2e/restored

bench-git: ## Clones and pushes of the git service beside git http-backend behind nginx: the table of docs/benchmarks.md
	e2e/bench-git

# Static, since `prepare` copies it into images of every kind.
binary: ## dist/phasegate, a static binary
	CARGO_TARGET_$(shell echo $(TARGET) | tr a-z- A-Z_)_RUSTFLAGS='-C target-feature=+crt-static' \
	  cargo build --locked --release --target $(TARGET)
	mkdir -p dist
	install -m 0755 $(TARGET_DIR)/$(TARGET)/release/phasegate dist/phasegate

image: binary ## The product's image
	e2e/image $(IMAGE) .

crds: ## Generate crds/ and the chart's copy from src/api
	cargo run --quiet --locked -- crds --output crds
	mkdir -p $(CHART)/files/crds
	cp crds/*.yaml $(CHART)/files/crds/

chart: ## Lint the chart and render it
	eval "$$(e2e/cluster env)"; helm lint --strict $(CHART)
	eval "$$(e2e/cluster env)"; helm template phasegate $(CHART) --namespace phasegate \
	  --set 'projects[0].name=hello' > /dev/null

deny: ## Licenses, sources and bans of all dependencies (needs cargo-deny)
	cargo deny --offline check bans licenses sources

demo: ## A cluster, the chart, the Alicia phases: no key; the network is needed the first time
	e2e/demo

clean: ## Remove what was built here; the cluster and its cache stay
	cargo clean
	rm -rf dist
