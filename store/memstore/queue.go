package memstore

import "github.com/jellydator/ttlcache/v3"

// A queue is an order of nodes, kept by ttlcache, along with their number and cost. It is guarded by its shard's lock.
// ttlcache knows no expiry here, nor bounds: it would drop what the index still has, and tell of it in goroutines.
type queue struct {
	order *ttlcache.Cache[*node, struct{}]
	n     int
	bytes int64
}

func newQueue() queue { return queue{order: ttlcache.New[*node, struct{}]()} }

// push adds the node as the latest.
func (q *queue) push(n *node) {
	q.order.Set(n, struct{}{}, ttlcache.NoTTL)
	q.n++
	q.bytes += int64(n.cost)
}

// drop takes the node out.
func (q *queue) drop(n *node) {
	q.order.Delete(n)
	q.n--
	q.bytes -= int64(n.cost)
}

// renew makes the node the latest. It changes nothing if the node is not there.
func (q *queue) renew(n *node) { q.order.Touch(n) }

// last returns the node that has been there longest, or nil.
func (q *queue) last() (n *node) {
	q.order.RangeBackwards(func(i *ttlcache.Item[*node, struct{}]) bool {
		n = i.Key()
		return false
	})
	return n
}
