# The one list of tasks: people and .ci/run call these names.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
GO ?= go
TOOL := $(GO) tool -modfile=tools/go.mod
FUZZTIME ?= 60s
export SEALMQ_BIN := $(CURDIR)/bin/sealmq

.PHONY: build check test race bench bench-baseline peers compare growth fuzz fuzz-short cross static vectors conformance conformance-update interop suites mutate

build: ; CGO_ENABLED=0 $(GO) build -trimpath -o $(SEALMQ_BIN) ./cmd/sealmq

check: ## formatting, vet, staticcheck, module files
	test -z "$$($(TOOL) gofumpt -l . | tee /dev/stderr)"
	$(GO) vet ./...
	$(GO) vet -tags interop ./test/interop/... ./test/docs
	$(TOOL) staticcheck ./...
	$(GO) mod tidy -diff
	cd tools && $(GO) mod tidy -diff
	cd test/bench/peers && $(GO) mod tidy -diff && $(GO) vet ./...

test: ; $(GO) test -shuffle on $(ARGS) ./...
race: ; $(GO) test -race -shuffle on $(ARGS) ./...

# What the hot path is made of: decode, encode, match, session step, a message through the broker, rights, seal, open and
# verify, store.
BENCH := Publish311|Publish5$$|Puback5|TenThousand|Deep|Deliver|Match|Through|AuthorizeTenRules|Unconcerned|Signed|Seal64|Open64|Verify64|Encrypt0x64|StoreAndAcknowledge|Commit$$|Acknowledged
BENCHED := ./mqtt ./topic ./cose ./internal/router ./internal/retained ./internal/session ./internal/acl ./internal/payload ./protect ./internal/store/memstore ./internal/store/pebblestore ./test/bench/load
MICRO = $(GO) test -run '^$$' -bench '$(BENCH)' -benchmem -count 6 -benchtime 100ms $(BENCHED)
bench: ## microbenchmarks, compared with the committed baseline
	mkdir -p bin
	$(MICRO) | tee bin/bench.txt
	$(TOOL) benchstat test/bench/baseline.txt bin/bench.txt
bench-baseline:
	$(MICRO) | tee test/bench/baseline.txt

peers: ## other brokers that are Go modules, to be compared with; mosquitto is a package of the system
	cd test/bench/peers && $(GO) build -o $(CURDIR)/bin/ github.com/nats-io/nats-server/v2 ./mochi
compare: build ## SealMQ beside the brokers that are there: docs/performance/compare.md
	$(MAKE) peers || echo "without nats-server and mochi, which cannot be built here"
	$(GO) run ./test/bench -bin $(CURDIR)/bin -out docs/performance $(ARGS)
growth: build ## how costs grow with connections, subscriptions, levels, queues and processors: docs/performance/growth.md
	$(GO) run ./test/bench -growth -bin $(CURDIR)/bin -out docs/performance $(ARGS)

mutate: ## which conditions of a package no test needs, for example: make mutate PKG="./internal/acl mosquitto.go"
	$(GO) run ./test/mutation $(ARGS) $(PKG)

fuzz: ; .ci/fuzz $(FUZZTIME)
fuzz-short: ; .ci/fuzz 3s
cross: ; .ci/cross
static: ; .ci/static

vectors: ; python3 vectors/run.py

conformance: ; $(GO) test -count 1 ./internal/conformance/
conformance-update: ; $(GO) test -count 1 ./internal/conformance/ -update

interop: build ; $(GO) test -count 1 -p 1 -tags interop $(ARGS) ./test/interop/... ./test/docs
suites: build ; test/interop/suites/run
