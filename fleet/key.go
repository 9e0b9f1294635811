package main

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/larder-go/cache"
)

// kind is what a path begins with: a class, or plain for routes without a policy.
type kind int

const (
	global kind = iota
	user
	hot
	fleet
	plain // the same handler without a cache, to compare with
	kinds
)

var kindNames = [kinds]string{global: "shared-global", user: "per-user", hot: "hot-shared", fleet: "fleet-shared", plain: "plain"}

var classes = map[kind]cache.Class{
	global: cache.SharedGlobal, user: cache.PerUser, hot: cache.HotShared, fleet: cache.FleetShared,
}

func (k kind) String() string { return kindNames[k] }

// far says whether answers of the kind live in Redis.
func (k kind) far() bool { return k == user || k == hot || k == fleet }

// How many routes each kind has, and how many ids each route.
const (
	routes = 50
	ids    = 1024
	slots  = int(kinds) * routes * ids
)

// key is what one answer is of: a resource and, on per-user routes, who asks.
type key struct {
	kind  kind
	route int
	id    int
	user  int
}

// nth spreads n over the routes and ids of a kind.
func nth(k kind, n int) key { return key{kind: k, route: n % routes, id: n / routes % ids} }

func (k key) path() string { return fmt.Sprintf("/%s/r%d/%d", k.kind, k.route, k.id) }

// slot is the resource's place on the board, whoever asks.
func (k key) slot() int { return (int(k.kind)*routes+k.route)*ids + k.id }

// tag is what the resource is purged by.
func (k key) tag() string { return fmt.Sprintf("%s:%d:%d", k.kind, k.route, k.id) }

// owner is whom the answer must name.
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
