# Two commands do all set-up on a fresh machine: make demo and make test.
SHELL := /bin/bash
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
COMMIT  ?= $(shell git rev-parse HEAD 2>/dev/null || echo unknown)
LDFLAGS := -s -w -X main.version=$(VERSION) -X main.commit=$(COMMIT)

.PHONY: help
help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-13s %s\n", $$1, $$2}'

.PHONY: demo
demo: ## Barong, a real Envoy and an upstream: two requests allowed, two denied (KEEP=1 leaves them running)
	go run ./e2e/demo

.PHONY: demo-cluster
demo-cluster: ## Two replicas on PostgreSQL and Redis behind Envoy, and both servers taken away under load
	go run ./e2e/cluster/demo

.PHONY: test
test: ## Everything that CI runs: format, vet, lint, generated files, all tests, real proxies
	scripts/test

.PHONY: build
build: ## One static binary: bin/barong
	CGO_ENABLED=0 go build -trimpath -tags nomsgpack -ldflags '$(LDFLAGS)' -o bin/barong ./cmd/barong

.PHONY: run
run: ## The embedded server, nothing else needed
	go run ./cmd/barong serve

.PHONY: unit
unit: ## Go tests only, without the race detector and without proxies
	go test $$(go list ./... | grep -v '/e2e')

.PHONY: lint
lint: ## golangci-lint at the version that CI uses
	scripts/golangci-lint run

.PHONY: generate
generate: ## Rewrite the files that are made from code: docs/configuration.md, docs/limits.md, docs/cli.md, docs/openapi*.json
	go run ./cmd/barong config docs > docs/configuration.md
	go run ./cmd/barong config limits > docs/limits.md
	go run ./cmd/barong config commands > docs/cli.md
	go run ./cmd/barong openapi user > docs/openapi.json
	go run ./cmd/barong openapi admin > docs/openapi-admin.json
	go run ./cmd/barong openapi management > docs/openapi-management.json

.PHONY: fuzz
fuzz: ## Every fuzz target for five minutes (FUZZTIME=5m); scripts/fuzz keep puts what they found into the tree
	scripts/fuzz

.PHONY: bench
bench: ## What one decision costs, against empty authorizers, in one alternating run
	go run ./e2e/bench

.PHONY: clean
clean: ## Remove what was built; data/ stays
	rm -rf bin .tools
