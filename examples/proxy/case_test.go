package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strings"
)

// A suite, its cases and their steps are what a file of HTTP caching cases has.
type suite struct {
	ID    string      `json:"id"`
	Cases []*caseData `json:"tests"`
}

type caseData struct {
	ID          string   `json:"id"`
	Name        string   `json:"name"`
	Kind        string   `json:"kind"`
	DependsOn   []string `json:"depends_on"`
	CDN         bool     `json:"cdn_only"`
	BrowserOnly bool     `json:"browser_only"`
	Steps       []*step  `json:"requests"`
}

// A step is one request, the origin's answer to it, and what is expected of both.
type step struct {
	Method         string          `json:"request_method"`
	Request        []field         `json:"request_headers"`
	RequestBody    string          `json:"request_body"`
	Query          string          `json:"query_arg"`
	File           string          `json:"filename"`
	Status         []any           `json:"response_status"` // code and phrase
	Header         []field         `json:"response_headers"`
	Body           *string         `json:"response_body"` // nil or "": the case's token
	Pause          float64         `json:"response_pause"`
	Disconnect     bool            `json:"disconnect"`
	Interim        []interim       `json:"interim_responses"`
	PauseAfter     bool            `json:"pause_after"`
	Setup          bool            `json:"setup"`
	SetupTests     []string        `json:"setup_tests"`
	Type           string          `json:"expected_type"`
	WantStatus     json.RawMessage `json:"expected_status"`        // null: whatever it is
	WantText       json.RawMessage `json:"expected_response_text"` // null: whatever it is
	WantHeader     []field         `json:"expected_response_headers"`
	WantMissing    []field         `json:"expected_response_headers_missing"`
	WantRequest    []field         `json:"expected_request_headers"`
	WantNotAsked   []field         `json:"expected_request_headers_missing"`
	WantMethod     string          `json:"expected_method"`
	WantInterim    []interim       `json:"expected_interim_responses"`
	MagicIMS       bool            `json:"magic_ims"`
	MagicLocations bool            `json:"magic_locations"`
	RFC850         []string        `json:"rfc850date"`
	CheckBody      *bool           `json:"check_body"`
}

func (s *step) method() string {
	if s.Method == "" {
		return http.MethodGet
	}
	return s.Method
}

// status is what the origin answers with.
func (s *step) status() (code int, phrase string) {
	if len(s.Status) < 2 {
		return http.StatusOK, "OK"
	}
	number, _ := s.Status[0].(float64)
	phrase, _ = s.Status[1].(string)
	return int(number), phrase
}

// texts are the fields of the origin's answer that do not depend on when it is sent, by lower-case name.
func (s *step) texts() map[string]string {
	texts := map[string]string{}
	for _, f := range s.Header {
		if text, ok := f.rest[0].(string); ok {
			texts[strings.ToLower(f.name)] = text
		}
	}
	return texts
}

// load reads the cases of all files. Of those with one ID the first counts. Cases for browsers, and those of the header
// field Surrogate-Control, which no standard has, are left out.
func load(paths ...string) (cases []*caseData, err error) {
	seen := map[string]bool{}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		var suites []suite
		if err := json.Unmarshal(text, &suites); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		for _, s := range suites {
			for _, c := range s.Cases {
				if !seen[c.ID] && !c.BrowserOnly && s.ID != "surrogate-control" {
					seen[c.ID] = true
					if c.Kind == "" {
						c.Kind = "required"
					}
					cases = append(cases, c)
				}
			}
		}
	}
	return cases, nil
}
