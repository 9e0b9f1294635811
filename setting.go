package cache

import (
	"strconv"
	"strings"
	"time"

	"github.com/larder-go/cache/keying"
)

// setting is one key=value, or a flag.
type setting struct {
	word
	key, value string
	hasValue   bool
}

const settingNames = "ttl, near, swr, sie, vary, cookies, query, except, tags, pass, by, skip, max-body, max-runs, status, client, ignore-authorization, rfc9111"

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

func (s setting) flag() (bool, error) {
	if s.hasValue {
		return false, s.fault("%s takes no value; write %s", s.key, s.key)
	}
	return true, nil
}

func (s setting) duration() (time.Duration, error) {
	d, err := time.ParseDuration(s.value)
	if err != nil || d <= 0 {
		return 0, s.fault("%s=%q is not a duration above zero; write for example %s=60s, or leave it out", s.key, clip(s.value), s.key)
	}
	return d, nil
}

// name reads one item of a list.
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

// list reads a comma-separated list; an empty value is an empty one.
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
