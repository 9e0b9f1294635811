// Package process measures caches inside one process, without sockets: what a hit and a miss cost beside a bare handler
// and beside other libraries, and how that grows. All its contents are benchmarks:
//
//	go test -run '^$' -bench Hit ./bench/process
package process
