package keying

import (
	"slices"
	"strings"
)

// Query says which query parameters select an answer. The zero Query takes the raw query as it stands: nothing is
// reordered, decoded or dropped. With [Only] and [Except], parameters are sorted by name (values of one name keep their
// order), and what does not select the answer is hidden from the handler too.
type Query struct {
	mode  queryMode
	names []string
}

type queryMode uint8

const (
	rawQuery queryMode = iota
	onlyNames
	exceptNames
)

// Only returns a Query in which just the named parameters count. A name that ends in "*" stands for every name with
// that prefix. Only() without names ignores the whole query.
func Only(names ...string) Query { return Query{onlyNames, slices.Clone(names)} }

// Except returns a Query in which all parameters but the named ones count. A name that ends in "*" stands for every
// name with that prefix, as in Except("utm_*").
func Except(names ...string) Query { return Query{exceptNames, slices.Clone(names)} }

// Raw reports whether the query counts as it stands.
func (q Query) Raw() bool { return q.mode == rawQuery }

// Names returns the names given to [Only] (only is true) or [Except]. The caller must not change the slice.
func (q Query) Names() (names []string, only bool) { return q.names, q.mode == onlyNames }

// Selects reports whether the parameter of this (decoded) name selects the answer.
func (q Query) Selects(name string) bool {
	return slices.ContainsFunc(q.names, func(pattern string) bool {
		if prefix, ok := strings.CutSuffix(pattern, "*"); ok {
			return strings.HasPrefix(name, prefix)
		}
		return name == pattern
	}) == (q.mode == onlyNames)
}
