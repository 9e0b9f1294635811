package process

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
)

// BenchmarkGrowth is what a hit costs, and what an entry takes in memory beyond the bytes of its answer, among so many
// entries.
func BenchmarkGrowth(b *testing.B) {
	sizes := []int{1_000, 10_000, 100_000, 1_000_000}
	if testing.Short() {
		sizes = sizes[:2]
	}
	for _, entries := range sizes {
		b.Run(fmt.Sprintf("entries=%d", entries), func(b *testing.B) {
			for _, c := range scaling() {
				if !c.bare {
					b.Run(c.name, func(b *testing.B) { visitAmong(b, c, entries) })
				}
			}
		})
	}
}

func visitAmong(b *testing.B, c contestant, entries int) {
	const size = 128
	s := newSite(entries, size)
	before := heap()
	visitors := c.ready(b, s)
	taken := float64(heap()-before) / float64(entries)
	visitAll(b, s, visitors())
	b.ReportMetric(taken-float64(answerBytes(size)), "overhead-B/entry")
}

// answerBytes is how many bytes a page's answer has, as it is sent.
func answerBytes(size int) int {
	var header strings.Builder
	for _, f := range fields {
		fmt.Fprintf(&header, "%s: %s\r\n", f.name, f.value)
	}
	fmt.Fprintf(&header, "Content-Length: %d\r\n", size)
	return header.Len() + size
}

// heap is how many bytes are in use.
func heap() uint64 {
	runtime.GC()
	runtime.GC() // what the first one has only marked as unused, pools among them
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
