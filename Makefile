.PHONY: fleet bench
# fleet measures several processes that share a Redis, through its faults, and writes docs/reliability.md's table. It needs
# redis-server and redis-cli. Full sizes: make fleet ARGS=-long
fleet:
	go run ./fleet $(ARGS)

# bench measures hits, misses and hit ratios beside bare handlers and other libraries, and writes docs/performance.md and the
# plots beside it: ten minutes in process, then as long over sockets. A glance: make bench ARGS=-short
bench:
	go run ./bench $(ARGS)
