// Package process measures caches inside one process, without sockets: what a hit and a miss cost, next to a bare handler
// and other libraries, and how that cost grows. It contains only benchmarks:
//
//	go test -run '^$' -bench Hit ./bench/process
package process
