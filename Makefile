# Gopura's chores. `make` alone lists them.

GO       ?= go
VERSION  ?= 0.1.0-dev
T        ?= 30s
N        ?= 1000000
M        ?= 30
PKGS     ?= ./...
ARGS     ?=

# grpcnotrace keeps text/template, and with it 15 MB, out of the binary.
TAGS     := grpcnotrace
LDFLAGS  := -s -w -X main.version=$(VERSION)
VULN     := golang.org/x/vuln/cmd/govulncheck@v1.9.0

.DEFAULT_GOAL := help

.PHONY: help
help: ## list the chores
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: build
build: ## build bin/gopura (VERSION=1.2.3)
	CGO_ENABLED=0 $(GO) build -trimpath -tags $(TAGS) -ldflags '$(LDFLAGS)' -o bin/gopura ./cmd/gopura

.PHONY: demo
demo: build ## run a small shop behind the gateway (ARGS='--listen :9000')
	bin/gopura demo $(ARGS)

.PHONY: test
test: ## run what CI runs: formatting, vet, and every test, with the race detector
	./scripts/test

.PHONY: test-ui
test-ui: ## drive the console, and the protocols (gRPC-Web, Connect, WebSockets, event streams) with a browser
	./scripts/test-ui
	./scripts/test-browser

.PHONY: traces
traces: ## send traces to the receiver of the OpenTelemetry collector (needs the network once)
	./scripts/traces

.PHONY: pictures
pictures: ## make the pictures of the console (docs/img/console-*.png)
	./scripts/console-pictures

.PHONY: bench
bench: ## measure against other proxies (ARGS='-only plain,gopura')
	$(GO) run ./internal/bench $(ARGS)

.PHONY: picture
picture: build ## measure and draw what limits admit (docs/img/limits.svg; needs redis-server)
	$(GO) run ./internal/limitpicture

.PHONY: overload
overload: ## measure a service under overload, and draw it (docs/img/overload.svg; ARGS='-length 30s')
	$(GO) run ./internal/overload -write $(ARGS)

.PHONY: chaos
chaos: ## send tagged exchanges through faults and reloads, and look for one that is mixed up (N=1000000)
	$(GO) run -tags $(TAGS) ./internal/chaos -n $(N)

.PHONY: soak
soak: ## hold load, reloads, faults and upgrades for M minutes (M=30; writes docs/img/soak.svg; ARGS='-upgrades 100 -reloads 1000')
	$(GO) run -tags $(TAGS) ./internal/soak -minutes $(M) -write $(ARGS)

.PHONY: fuzz
fuzz: ## run every fuzz target for a while (T=30s, PKGS=./h1)
	./scripts/fuzz $(T) $(PKGS)

.PHONY: conformance
conformance: ## run h2spec against a gateway (needs the network)
	./scripts/conformance

.PHONY: lint
lint: ## gofmt, vet, staticcheck, licences, known vulnerabilities (needs the network)
	./scripts/lint
	$(MAKE) vuln

.PHONY: release
release: ## make what users download, in dist/ (VERSION=1.2.3 ARGS='-verify -arch amd64')
	$(GO) run -tags $(TAGS) ./internal/release -version $(VERSION) $(ARGS)

.PHONY: vuln
vuln: ## look for known vulnerabilities (needs the network)
	$(GO) run $(VULN) -tags $(TAGS) ./...

.PHONY: golden
golden: ## rewrite the golden files, for a person to read the difference
	$(GO) test ./config -update
	$(GO) test -tags $(TAGS) ./cmd/gopura -run 'TestExplain|TestDiffGolden' -update

.PHONY: clean
clean: ## remove what was built
	rm -rf bin coverage.out
