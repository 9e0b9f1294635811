.DEFAULT_GOAL := help
.PHONY: help test short check fleet bench lint fuzz surface

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

test: ## all tests; one of them: make test ARGS="-run Purge"
	./test.sh $(ARGS)

short: ## the essential tests, in two minutes
	./test.sh -short $(ARGS)

check: ## what CI runs on every commit: tests, 32 bits, fleet, bench, linters
	.ci/run

lint: ## the linters of .golangci.yml on every module
	.ci/lint

# It needs redis-server and redis-cli, and writes the table in docs/reliability.md.
fleet: ## processes that share a Redis, through its faults: 4 minutes; full sizes: make fleet ARGS=-long
	go run ./fleet $(ARGS)

# It writes the figures in docs/performance.md, and the plots next to it.
bench: ## hits, misses and hit ratios beside other libraries: 20 to 30 minutes; a glance: make bench ARGS=-short
	go run ./bench $(ARGS)

fuzz: ## every fuzz target for a minute; longer: make fuzz ARGS=10m
	.ci/fuzz $(ARGS)

surface: ## record the public surface anew, after a change that is meant
	go test ./internal/api -run TestSurface -update
