package main

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// An origin that hangs costs a client the time-out and no more: what was kept stands in, or it is told. One that hangs in
// the middle of its answer leaves it broken.
func TestAHungOriginIsGivenUp(t *testing.T) {
	hang := false
	handler := func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "max-age=2, stale-if-error=600")
		if r.URL.Path == "/half" {
			io.WriteString(w, "half")
			w.(http.Flusher).Flush()
		}
		if hang {
			<-r.Context().Done()
			return
		}
		io.WriteString(w, "kept")
	}
	behind(t, handler, func(t *testing.T, s *site) {
		s.get("/x")
		hang = true
		time.Sleep(3 * time.Second)
		start := time.Now()
		if got := s.get("/x"); got.StatusCode != 200 || got.body != "kept" || got.err != nil {
			t.Errorf("%d %q %v, want what was kept", got.StatusCode, got.body, got.err)
		}
		if got := s.get("/y"); got.StatusCode != 504 || got.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("nothing was kept: %d, %v", got.StatusCode, got.Header)
		}
		if took := time.Since(start); took != 2*patienceInTests {
			t.Errorf("the two took %v", took)
		}
		got, err := s.via.RoundTrip(s.request(t.Context(), "GET", "/half"))
		if err == nil {
			_, err = io.ReadAll(got.Body)
			got.Body.Close()
		}
		if err == nil {
			t.Error("the broken answer looks whole")
		}
	})
}

// An error of the origin's that hangs, or breaks off, is stood in for as one that comes whole.
func TestAnErrorThatHangsIsStoodInFor(t *testing.T) {
	for name, end := range map[string]func(r *http.Request){
		"hangs":      func(r *http.Request) { <-r.Context().Done() },
		"breaks off": func(*http.Request) { panic(http.ErrAbortHandler) },
	} {
		failing := false
		handler := func(w http.ResponseWriter, r *http.Request) {
			if failing {
				w.WriteHeader(http.StatusServiceUnavailable)
				w.(http.Flusher).Flush()
				end(r)
			}
			w.Header().Set("Cache-Control", "max-age=2, stale-if-error=600")
			io.WriteString(w, "kept")
		}
		behind(t, handler, func(t *testing.T, s *site) {
			s.get("/x")
			failing = true
			time.Sleep(3 * time.Second)
			response, err := s.via.RoundTrip(s.request(t.Context(), "GET", "/x"))
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			defer response.Body.Close()
			if body, err := io.ReadAll(response.Body); response.StatusCode != 200 || string(body) != "kept" || err != nil {
				t.Errorf("%s: %s %q %v, want what was kept", name, response.Status, body, err)
			}
		})
	}
}

// A client that takes its time, and a body that comes slowly but goes on, are no hung origin.
func TestWhatGoesOnIsNotGivenUp(t *testing.T) {
	handler := func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		for range 5 {
			time.Sleep(patienceInTests - time.Second)
			w.Write(body)
			w.(http.Flusher).Flush()
		}
	}
	behind(t, handler, func(t *testing.T, s *site) {
		reader, writer := io.Pipe()
		go func() {
			for range 3 {
				time.Sleep(2 * patienceInTests)
				io.WriteString(writer, "a")
			}
			writer.Close()
		}()
		r := s.request(t.Context(), "POST", "/x")
		r.Body = reader
		if got := s.ask(r); got.body != strings.Repeat("aaa", 5) || got.err != nil {
			t.Errorf("%s %q %v", got.Status, got.body, got.err)
		}
	})
}

// A stream of events may be quiet.
func TestQuietEventsAreNotGivenUp(t *testing.T) {
	handler := func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		w.WriteHeader(200)
		w.(http.Flusher).Flush()
		time.Sleep(10 * patienceInTests)
		io.WriteString(w, "data: late\n\n")
	}
	behind(t, handler, func(t *testing.T, s *site) {
		if got := s.get("/events"); got.body != "data: late\n\n" || got.err != nil {
			t.Errorf("%q %v", got.body, got.err)
		}
	})
}
