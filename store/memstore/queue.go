package memstore

import "github.com/jellydator/ttlcache/v3"

// A queue is an order of nodes, along with their number and cost. ttlcache keeps it, by the row: nodes that came one after
// another go one after another, so that what an item of ttlcache costs, in time and in memory, is shared by a row of them.
// In an exact LRU each node has a row of its own. ttlcache knows no expiry here, nor bounds: it would drop what the index
// still has. A queue is guarded by its shard's lock.
type queue struct {
	order  *ttlcache.Cache[*row, struct{}]
	length int // of a row
	newest *row
	oldest *row // nil: not known
	n      int
	bytes  int64
}

const rowLength = 31

// A row is some nodes in the order in which they came, without those that were taken out.
type row struct {
	nodes     [rowLength]*node
	end, left uint8
}

func newQueue(length int) queue {
	return queue{order: ttlcache.New[*row, struct{}](), length: length}
}

// push adds the node as the latest.
func (q *queue) push(n *node) {
	r := q.newest
	if r == nil || int(r.end) == q.length {
		r = new(row)
		q.order.Set(r, struct{}{}, ttlcache.NoTTL)
		q.newest = r
	}
	r.nodes[r.end], n.row = n, r
	r.end++
	r.left++
	q.n++
	q.bytes += int64(n.cost)
}

// drop takes the node out.
func (q *queue) drop(n *node) {
	r := n.row
	for i := range r.nodes {
		if r.nodes[i] == n {
			r.nodes[i] = nil
			break
		}
	}
	q.n--
	q.bytes -= int64(n.cost)
	if r.left--; r.left > 0 {
		return
	}
	q.order.Delete(r)
	if q.newest == r {
		q.newest = nil
	}
	if q.oldest == r {
		q.oldest = nil
	}
}

// renew makes the node the latest.
func (q *queue) renew(n *node) {
	q.drop(n)
	q.push(n)
}

// touch makes the node of an exact LRU the latest. It changes nothing if the node is not there any more, and needs no
// lock.
func (q *queue) touch(n *node) { q.order.Touch(n.row) }

// last returns the node that has been there longest, or nil.
func (q *queue) last() *node {
	if q.n == 0 {
		return nil
	}
	r := q.oldest
	if r == nil {
		q.order.RangeBackwards(func(i *ttlcache.Item[*row, struct{}]) bool {
			r = i.Key()
			return false
		})
	}
	if q.length > 1 { // rows of one are reordered by touch
		q.oldest = r
	}
	for _, n := range r.nodes {
		if n != nil {
			return n
		}
	}
	return nil
}
