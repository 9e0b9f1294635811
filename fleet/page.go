package main

import (
	"fmt"
	"hash/crc32"
	"strconv"
	"strings"

	"github.com/larder-go/cache"
)

// kind is the first segment of a path: a class, or plain for routes without a policy.
type kind int

const (
	global kind = iota
	user
	hot
	fleet
	plain // the same handler without a cache, for comparison
	kinds
)

var kindNames = [kinds]string{global: "shared-global", user: "per-user", hot: "hot-shared", fleet: "fleet-shared", plain: "plain"}

var classes = map[kind]cache.Class{
	global: cache.SharedGlobal, user: cache.PerUser, hot: cache.HotShared, fleet: cache.FleetShared,
}

func (k kind) String() string { return kindNames[k] }

// far reports whether responses of the kind are stored in Redis.
func (k kind) far() bool { return k == user || k == hot || k == fleet }

// How many routes each kind has, and how many ids each route.
const (
	routes = 50
	ids    = 1024
	slots  = int(kinds) * routes * ids
)

// A key is a resource and, on per-user routes, the user who requests it.
type key struct {
	kind  kind
	route int
	id    int
	user  int
}

// nth spreads n over the routes and ids of a kind.
func nth(k kind, n int) key { return key{kind: k, route: n % routes, id: n / routes % ids} }

func (k key) path() string { return fmt.Sprintf("/%s/r%d/%d", k.kind, k.route, k.id) }

// slot is the resource's index on the board, the same for all users.
func (k key) slot() int { return (int(k.kind)*routes+k.route)*ids + k.id }

// tag is what the resource is purged by.
func (k key) tag() string { return fmt.Sprintf("%s:%d:%d", k.kind, k.route, k.id) }

// owner is the user that the response must name.
func (k key) owner() string {
	if k.kind == user {
		return "u" + strconv.Itoa(k.user)
	}
	return "-"
}

// parsePath is the inverse of path.
func parsePath(path string) (key, error) {
	parts := strings.Split(strings.TrimPrefix(path, "/"), "/")
	if len(parts) != 3 || !strings.HasPrefix(parts[1], "r") {
		return key{}, fmt.Errorf("not a path of ours: %q", path)
	}
	for k, name := range kindNames {
		if name != parts[0] {
			continue
		}
		route, err := strconv.Atoi(parts[1][1:])
		id, err2 := strconv.Atoi(parts[2])
		if err != nil || err2 != nil || uint(route) >= routes || uint(id) >= ids {
			break
		}
		return key{kind: kind(k), route: route, id: id}, nil
	}
	return key{}, fmt.Errorf("not a path of ours: %q", path)
}

// An answer is a response that names its request, so that the client can tell whether it is the right one. A checksum in its
// body tells whether it is complete.
type answer struct {
	path    string
	owner   string
	version uint64
	run     uint64 // the number of the handler run that made it
	by      uint64 // the process that made it
}

// compose returns the body: a line with the answer's fields and the length of the filling, the filling, and a checksum over
// both.
func (a answer) compose() string {
	fill := int(crc32.ChecksumIEEE([]byte(a.path+a.owner)) % 2000)
	var b strings.Builder
	b.Grow(fill + 200)
	fmt.Fprintf(&b, "path=%s owner=%s version=%d run=%d by=%d fill=%d\n", a.path, a.owner, a.version, a.run, a.by, fill)
	for line := a.path + " " + a.owner + "\n"; fill > 0; fill -= len(line) {
		b.WriteString(line[:min(fill, len(line))])
	}
	fmt.Fprintf(&b, "%08x\n", crc32.ChecksumIEEE([]byte(b.String())))
	return b.String()
}

const sumLength = 9

// parse is the inverse of compose. An error says what is wrong with the body.
func parse(body string) (answer, error) {
	var a answer
	if len(body) < sumLength {
		return a, fmt.Errorf("%d bytes", len(body))
	}
	text, sum := body[:len(body)-sumLength], body[len(body)-sumLength:]
	if want := fmt.Sprintf("%08x\n", crc32.ChecksumIEEE([]byte(text))); sum != want {
		return a, fmt.Errorf("checksum %q over %d bytes, want %q", sum, len(text), want)
	}
	line, filling, _ := strings.Cut(text, "\n")
	var fill int
	_, err := fmt.Sscanf(line, "path=%s owner=%s version=%d run=%d by=%d fill=%d", &a.path, &a.owner, &a.version, &a.run, &a.by, &fill)
	if err != nil {
		return a, fmt.Errorf("first line %q: %w", line, err)
	}
	if len(filling) != fill {
		return a, fmt.Errorf("%d bytes of filling, want %d", len(filling), fill)
	}
	return a, nil
}

// is reports whether the answer belongs to a request for the key.
func (a answer) is(k key) bool { return a.path == k.path() && a.owner == k.owner() }
