.PHONY: fleet
# fleet measures several processes that share a Redis, through its faults, and writes docs/reliability.md's table. It needs
# redis-server and redis-cli. Full sizes: make fleet ARGS=-long
fleet:
	go run ./fleet $(ARGS)
