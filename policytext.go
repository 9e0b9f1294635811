package cache

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/larder-go/cache/keying"
)

// The text form of a policy: writing and parsing. Each setting occurs in three places here: in String, in set (with settingNames), and in
// the doc comment of ParsePolicy. Its rules are in validate.go.

// String returns the policy in the form that [ParsePolicy] reads, with its settings in a fixed order. Zero fields are left out. So are
// User, Skip and VaryBy, which are code; SkipName and VaryByName are not.
func (p Policy) String() string {
	words := []string{p.Class.String()}
	add := func(key, value string) { words = append(words, key+"="+value) }
	duration := func(key string, d time.Duration) {
		if d != 0 {
			add(key, d.String())
		}
	}
	list := func(key string, items []string) {
		if len(items) > 0 {
			add(key, quoteList(items))
		}
	}
	name := func(key, name string) {
		if name != "" {
			add(key, quoteList([]string{name}))
		}
	}
	duration("ttl", p.TTL)
	duration("near", p.NearTTL)
	duration("swr", p.StaleWhileRevalidate)
	if p.StaleIfError < 0 {
		add("sie", "off")
	} else {
		duration("sie", p.StaleIfError)
	}
	list("vary", p.Vary)
	list("cookies", p.Cookies)
	name("by", p.VaryByName)
	if names, only := p.Query.Names(); only {
		add("query", quoteList(names))
	} else if !p.Query.Raw() {
		add("except", quoteList(names))
	}
	list("tags", p.Tags)
	list("pass", p.Pass)
	name("skip", p.SkipName)
	if p.MaxBody != 0 {
		add("max-body", strconv.FormatInt(p.MaxBody, 10))
	}
	if p.MaxRuns != 0 {
		add("max-runs", strconv.Itoa(p.MaxRuns))
	}
	if len(p.StatusTTL) > 0 {
		add("status", statusText(p.StatusTTL))
	}
	if p.Client != "" {
		list("client", strings.Split(p.Client, ", "))
	}
	if p.IgnoreAuthorization {
		words = append(words, "ignore-authorization")
	}
	if p.RFC9111 {
		words = append(words, "rfc9111")
	}
	return strings.Join(words, " ")
}

// statusText writes the statuses in ascending order, so that equal policies have equal texts.
func statusText(ttls map[int]time.Duration) string {
	var items []string
	for _, status := range slices.Sorted(maps.Keys(ttls)) {
		items = append(items, fmt.Sprintf("%d:%s", status, ttls[status]))
	}
	return strings.Join(items, ",")
}

// quoteList joins the items with commas. It quotes, in Go syntax, every item that could not be read back otherwise.
func quoteList(items []string) string {
	quoted := make([]string, len(items))
	for i, item := range items {
		if quoted[i] = item; item == "" || strings.ContainsFunc(item, special) {
			quoted[i] = strconv.Quote(item)
		}
	}
	return strings.Join(quoted, ",")
}

// special reports whether the character needs quotes: it would end the item or the line, begin a comment, or be invisible.
func special(r rune) bool {
	return r <= ' ' || r == 0x7f || strings.ContainsRune("\",#\\\uFFFD\u0085\u00a0", r)
}

// ParsePolicy reads a policy: its class, then settings, separated by spaces.
//
//	hot-shared ttl=60s near=5s swr=30s vary=Accept-Language query=page,sort tags=product:{id}
//
// Durations are written as in Go ("90s", "5m"), lists are separated by commas, and an item with a space, a comma, a quote or a "#" in it
// is quoted as in Go.
//
//	ttl, near, swr, sie (or sie=off)   durations: TTL, NearTTL, StaleWhileRevalidate, StaleIfError
//	vary, cookies, tags, pass          lists
//	by, skip                           one name each: of Options.By, of Options.Skips
//	query=a,b or except=a,utm_*        keying.Only, keying.Except; "query=" ignores the query
//	max-body                           bytes, or KiB, MiB: 65536, 64KiB
//	max-runs                           a number: 64
//	status                             404:10s,301:1h
//	client                             Cache-Control's directives: no-cache, max-age=60,must-revalidate
//	ignore-authorization, rfc9111      flags
//
// A byte order mark at the beginning is ignored. An error names the column, the fault and the remedy. A policy with correct syntax that
// cannot work is an error, too, in the same words as at registration. Only registration checks what depends on [Options]: Redis, an
// identity, and the names of functions.
func ParsePolicy(text string) (Policy, error) {
	p, _, err := parsePolicy(strings.TrimPrefix(text, byteOrderMark))
	if err != nil {
		return Policy{}, fmt.Errorf("cache: policy %q: %w", clip(text), err)
	}
	return p, nil
}

// clip shortens a text of the user's for an error.
func clip(text string) string { return clipAt(text, 200) }

func clipAt(text string, most int) string {
	if len(text) > most {
		return text[:most] + "…"
	}
	return text
}

// A syntaxError is a fault at a column of the text. ParseRoutes adds the line, and shifts the column by where the policy begins in it.
type syntaxError struct {
	column int // in bytes, from 1
	text   string
}

func (e *syntaxError) Error() string { return fmt.Sprintf("column %d: %s", e.column, e.text) }

// places are the columns of a policy's settings, by their names. With them, a fault that only validation finds gets the column of the
// setting that causes it.
type places map[string]int

// of gives a refusal the column of the setting at fault. The name of the class is "".
func (at places) of(err error) error {
	var r *refusal
	if !errors.As(err, &r) {
		return err
	}
	return &syntaxError{at[r.setting], clipAt(r.text, 500)}
}

// parsePolicy parses a policy and checks everything that can be checked without a Cache. A setting that is given twice is a mistake:
// nobody would know which one counts.
func parsePolicy(text string) (p Policy, at places, err error) {
	words, err := splitWords(text)
	if err != nil {
		return p, nil, err
	}
	if len(words) == 0 {
		return p, nil, &syntaxError{1, "the policy is empty; begin with a class: " + classList()}
	}
	if p.Class, err = parseClass(words[0]); err != nil {
		return p, nil, err
	}
	at = places{}
	for _, w := range words[1:] {
		key, value, hasValue := strings.Cut(w.text, "=")
		switch {
		case at[key] > 0:
			return p, nil, w.fault("%q is given twice; keep one", key)
		case key == "query" && at["except"] > 0, key == "except" && at["query"] > 0:
			return p, nil, w.fault("query and except exclude each other; keep one")
		}
		at[key] = w.column
		if err := p.set(setting{w, key, value, hasValue}); err != nil {
			return p, nil, err
		}
	}
	at[""] = words[0].column
	if at["query"] == 0 { // both are Policy.Query
		at["query"] = at["except"]
	}
	return p, at, at.of(p.check())
}

// classList lists the classes for errors.
func classList() string { return strings.Join(classNames[1:], ", ") }

// parseClass parses the first word. Names must match exactly: "Shared-Global" is refused rather than guessed.
func parseClass(w word) (Class, error) {
	for c := SharedGlobal; c.valid(); c++ {
		if c.String() == w.text {
			return c, nil
		}
	}
	return 0, w.fault("unknown class %q; the classes are %s", clip(w.text), classList())
}

// A setting is one key=value, or a flag without "=", with its place in the text.
type setting struct {
	word
	key, value string
	hasValue   bool
}

// settingNames are listed in the error about an unknown setting.
const settingNames = "ttl, near, swr, sie, vary, cookies, query, except, tags, pass, by, skip, max-body, max-runs, status, client, ignore-authorization, rfc9111"

// set applies the setting to the policy. Lists are in setList.
func (p *Policy) set(s setting) (err error) {
	switch s.key {
	case "ignore-authorization":
		p.IgnoreAuthorization, err = s.flag()
	case "rfc9111":
		p.RFC9111, err = s.flag()
	case "ttl":
		p.TTL, err = s.duration()
	case "near":
		p.NearTTL, err = s.duration()
	case "swr":
		p.StaleWhileRevalidate, err = s.duration()
	case "sie":
		if p.StaleIfError = -1; s.value != "off" {
			p.StaleIfError, err = s.duration()
		}
	case "max-body":
		p.MaxBody, err = s.bytes()
	case "max-runs":
		p.MaxRuns, err = s.count()
	case "by":
		p.VaryByName, err = s.name("tenant")
	case "skip":
		p.SkipName, err = s.name("preview")
	case "status":
		p.StatusTTL, err = s.statuses()
	case "client":
		var directives []string
		directives, err = s.list()
		p.Client = strings.Join(directives, ", ")
	default:
		err = p.setList(s)
	}
	return err
}

// setList applies a setting whose value is a list. It refuses unknown settings.
func (p *Policy) setList(s setting) error {
	lists := map[string]*[]string{"vary": &p.Vary, "cookies": &p.Cookies, "tags": &p.Tags, "pass": &p.Pass}
	target, known := lists[s.key]
	if !known && s.key != "query" && s.key != "except" {
		return s.fault("unknown setting %q; the settings are %s", clip(s.key), settingNames)
	}
	items, err := s.list()
	if err != nil {
		return err
	}
	switch s.key {
	case "query":
		p.Query = keying.Only(items...)
	case "except":
		p.Query = keying.Except(items...)
	default:
		*target = items
	}
	return nil
}

// flag parses a setting that has no value: that it is there is enough.
func (s setting) flag() (bool, error) {
	if s.hasValue {
		return false, s.fault("%s takes no value; write %s", s.key, s.key)
	}
	return true, nil
}

// duration parses a Go duration above zero. A bare number is refused: it could mean seconds or milliseconds.
func (s setting) duration() (time.Duration, error) {
	d, err := time.ParseDuration(s.value)
	if err != nil || d <= 0 {
		return 0, s.fault("%s=%q is not a duration above zero; write for example %s=60s, or leave it out", s.key, clip(s.value), s.key)
	}
	return d, nil
}

// name parses a list of exactly one item, the name of a function in the Options.
func (s setting) name(example string) (string, error) {
	if !s.hasValue || s.value == "" {
		return "", s.fault("%s needs a name; write for example %s=%s", s.key, s.key, example)
	}
	items, err := s.list()
	switch {
	case err != nil:
		return "", err
	case len(items) != 1 || items[0] == "":
		return "", s.fault("%s takes one name; write for example %s=%s", s.key, s.key, example)
	}
	return items[0], nil
}

// list parses a comma-separated list. Only "query=" may be empty: then no parameter selects.
func (s setting) list() (items []string, err error) {
	if !s.hasValue {
		return nil, s.fault("%s needs a list; write for example %s=a,b", s.key, s.key)
	}
	for rest := s.value; rest != ""; {
		var item string
		if strings.HasPrefix(rest, `"`) {
			quoted, err := strconv.QuotedPrefix(rest)
			if err != nil {
				return nil, s.fault("a quoted item of %s is not closed; end it with \"", s.key)
			}
			item, _ = strconv.Unquote(quoted)
			if rest = rest[len(quoted):]; rest != "" && rest[0] != ',' {
				return nil, s.fault("after a quoted item of %s comes %q; separate items with commas", s.key, clip(rest))
			}
		} else {
			end := strings.IndexByte(rest, ',')
			if end < 0 {
				end = len(rest)
			}
			if item, rest = rest[:end], rest[end:]; item == "" || strings.ContainsFunc(item, special) {
				return nil, s.fault("%s has an empty or unquoted item in %q; write for example %s=a,\"b c\"", s.key, clip(s.value), s.key)
			}
		}
		items = append(items, item)
		if rest == "," {
			return nil, s.fault("%s ends with a comma; remove it", s.key)
		}
		rest = strings.TrimPrefix(rest, ",")
	}
	if len(items) == 0 && s.key != "query" {
		return nil, s.fault("%s is empty; name something or leave it out", s.key)
	}
	return items, nil
}

// bytes parses a number of bytes, KiB or MiB (powers of 1,024), up to 1 TiB.
func (s setting) bytes() (int64, error) {
	digits, unit := s.value, int64(1)
	for suffix, size := range map[string]int64{"KiB": 1 << 10, "MiB": 1 << 20} {
		if cut, ok := strings.CutSuffix(s.value, suffix); ok {
			digits, unit = cut, size
		}
	}
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || n <= 0 || n > (1<<40)/unit {
		return 0, s.fault("%s=%q is not a number of bytes above zero; write for example %s=64KiB", s.key, clip(s.value), s.key)
	}
	return n * unit, nil
}

// count parses a number above zero.
func (s setting) count() (int, error) {
	n, err := strconv.Atoi(s.value)
	if err != nil || n <= 0 {
		return 0, s.fault("%s=%q is not a number above zero; write for example %s=64, or leave it out", s.key, clip(s.value), s.key)
	}
	return n, nil
}

// statuses parses lifetimes by status, "404:10s,301:1h". Which statuses may have one is checked later.
func (s setting) statuses() (map[int]time.Duration, error) {
	ttls := map[int]time.Duration{}
	for item := range strings.SplitSeq(s.value, ",") {
		code, ttl, _ := strings.Cut(item, ":")
		status, err := strconv.Atoi(code)
		d, err2 := time.ParseDuration(ttl)
		if err != nil || err2 != nil || d <= 0 {
			return nil, s.fault("status=%q is not a list of status:duration; write for example status=404:10s,301:1h", clip(s.value))
		}
		if _, twice := ttls[status]; twice {
			return nil, s.fault("status %d is given twice; keep one", status)
		}
		ttls[status] = d
	}
	return ttls, nil
}
