package rfc9111_test

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
)

var (
	memberForm    = regexp.MustCompile(`(?s)(?:"(?:\\.|[^"\\])*"|[^",])+`)
	parameterForm = regexp.MustCompile(`(?s);(?:"(?:\\.|[^"\\])*"|[^";])*`)
	tokenForm     = regexp.MustCompile("^[!#$%&'*+.^_`|~0-9A-Za-z-]+$")
	rangeForm     = regexp.MustCompile("^[!#$%&'*+.^_`|~0-9A-Za-z-]+/[!#$%&'*+.^_`|~0-9A-Za-z-]+$")
	weightForm    = regexp.MustCompile(`^[qQ]=(0|1|0\.[0-9]{0,3}|1\.0{0,3})$`)
)

// meaning is another, slower Selection, which writes things otherwise.
func meaning(name string, lines []string) string {
	raw := make([]string, len(lines))
	for i, line := range lines {
		raw[i] = strings.Trim(line, " \t")
	}
	switch {
	case name == "Cookie":
		return strings.Join(slices.DeleteFunc(raw, func(s string) bool { return s == "" }), "; ")
	case name == "User-Agent", slices.ContainsFunc(raw, func(s string) bool { return !closed(s) }):
		return "raw: " + strings.Join(raw, "\n")
	}
	var list, things, weighed []string
	for _, member := range memberForm.FindAllString(strings.Join(raw, ","), -1) {
		if member = strings.Trim(member, " \t"); member != "" {
			list = append(list, member)
		}
	}
	for _, member := range list {
		thing, q, ok := understood(name, member)
		if !ok {
			return strings.Join(list, " and ")
		}
		things, weighed = append(things, thing), append(weighed, thing+" at "+strconv.FormatFloat(q, 'f', 3, 64))
	}
	slices.Sort(things)
	slices.Sort(weighed)
	if weighed = slices.Compact(weighed); len(slices.Compact(things)) != len(weighed) {
		return strings.Join(list, " and ")
	}
	return strings.Join(weighed, " or ")
}

// understood is a member of a field of content negotiation that has the form that RFC 9110 §12.5 gives it.
func understood(name, member string) (thing string, q float64, ok bool) {
	head := member[:strings.IndexAny(member+";", `";`)]
	parameters := parameterForm.FindAllString(member[len(head):], -1)
	if !strings.HasPrefix(name, "Accept") || head+strings.Join(parameters, "") != member {
		return "", 0, false
	}
	thing, q = strings.Trim(head, " \t"), 1
	form := rangeForm
	if name != "Accept" {
		form, thing = tokenForm, strings.ToLower(thing)
	}
	if !form.MatchString(thing) {
		return "", 0, false
	}
	for i, parameter := range parameters {
		parameter = strings.Trim(parameter[1:], " \t")
		weight := weightForm.FindStringSubmatch(parameter)
		switch {
		case weight != nil && i == len(parameters)-1:
			q, _ = strconv.ParseFloat(weight[1], 64)
		case name != "Accept", parameter == "", strings.HasPrefix(strings.ToLower(parameter), "q="):
			return "", 0, false
		default:
			thing += " with " + parameter
		}
	}
	return thing, q, true
}

// closed reports whether the quoted strings of a line end in it.
func closed(line string) bool { return strings.Trim(memberForm.ReplaceAllString(line, ""), ",") == "" }
