# Each target does its own set-up. `make help` lists them.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

export WEFT_CACHE ?= $(HOME)/.cache/weft
export PATH := $(CURDIR)/node_modules/.bin:$(PATH)

ARGS ?=
stamps := build/stamps

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' Makefile

$(stamps)/npm: package-lock.json
	@setup/machine.sh setup
	@echo "installing npm packages (about 200 MB, cached in $(WEFT_CACHE)/npm)"
	@npm ci --cache "$(WEFT_CACHE)/npm" --prefer-offline --no-audit --no-fund --loglevel=error
	@mkdir -p $(stamps) && touch $@

$(stamps)/gen: $(stamps)/npm releases.json setup/gen.ts setup/json-names.ts setup/descriptors.py setup/buf.gen.yaml $(shell find proto -type f)
	@echo "generating protobuf code from Envoy's API descriptors"
	@node setup/gen.ts
	@touch $@

.PHONY: bpf
bpf: $(stamps)/npm ## compile the kernel's programs of bpf/
	@setup/machine.sh bpf
	@node setup/bpf.ts > build/bpf.path

$(stamps)/envoy: $(stamps)/npm releases.json
	@node setup/program.ts envoy > build/envoy.path
	@touch $@

.PHONY: setup
setup: $(stamps)/gen $(stamps)/envoy ## install what Weft needs, without starting anything

.PHONY: gen
gen: ## generate the protobuf code again
	@rm -f $(stamps)/gen
	@$(MAKE) $(stamps)/gen

.PHONY: demo
demo: setup ## run the demonstration mesh (ARGS="--detach", ARGS="--stop", ...)
	@setup/machine.sh demo
	@exec ./weft demo $(ARGS)

.PHONY: demo-info
demo-info: ## print the running demonstration's addresses as JSON
	@./weft demo info -o json

.PHONY: test
test: setup bpf ## run all tests but those of real Kubernetes
	@setup/machine.sh test
	@setup/test.sh tests

.PHONY: kubernetes
kubernetes: setup ## build Kubernetes' own programs, for tests: once, a quarter of an hour on two cores
	@node setup/kubernetes.ts > /dev/null

.PHONY: test-kubernetes
test-kubernetes: setup ## run the tests of real Kubernetes clusters, building Kubernetes first if need be
	@setup/machine.sh kubernetes
	@$(MAKE) kubernetes
	@WEFT_TEST_MINUTES=$${WEFT_TEST_MINUTES:-35} setup/test.sh kubernetes-tests --config test/kubernetes/vitest.config.ts

.PHONY: soak
soak: setup bpf ## run the tests with the full counts of their generators (about an hour)
	@setup/machine.sh test
	@WEFT_SOAK=$${WEFT_SOAK:-20} setup/test.sh tests

.PHONY: check
check: setup ## everything that the type checker, the linter, the formatter and the dead-code finder can say
	@tsc -p .
	@oxlint --deny-warnings
	@oxfmt --check
	@knip
	@node setup/check-rooms.ts
	@node setup/check-compatibility.ts

.PHONY: format
format: $(stamps)/npm ## format all code
	@oxfmt

.PHONY: golden
golden: setup ## write the golden files anew and remove stale ones
	@WEFT_GOLDEN=write vitest run golden

.PHONY: bench
bench: setup ## run the benchmarks
	@setup/machine.sh test
	@node bench/all.ts $(ARGS)

.PHONY: bench-dataplane
bench-dataplane: setup bpf ## measure what the mesh costs a request, beside Istio's default configuration (hours; ARGS="--groups headline" for a part)
	@setup/machine.sh test
	@node bench/dataplane.ts $(ARGS)

.PHONY: clean
clean: ## remove build results
	rm -rf build src/proto/gen node_modules

.PHONY: distclean
distclean: clean ## remove build results and everything downloaded
	rm -rf "$(WEFT_CACHE)"
