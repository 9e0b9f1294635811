package main

import (
	"context"
	"errors"
	"io"
	"net/http"
	"sync"
	"time"
)

// errHung says that the origin sent nothing for too long.
var errHung = errors.New("the origin does not go on")

// patient is a transport to an origin that may hang at any point. It gives up when nothing has come from the origin for the
// limit. It does not count the time that the client takes, nor the silence of a stream of events, which is normal.
type patient struct {
	next  http.RoundTripper
	limit time.Duration
}

func (p patient) RoundTrip(r *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithCancelCause(r.Context())
	v := &vigil{limit: p.limit}
	v.timer = time.AfterFunc(p.limit, func() { cancel(errHung) })
	out := r.WithContext(ctx)
	if r.Body != nil && r.Body != http.NoBody {
		out.Body = &upload{r.Body, v}
	}
	response, err := p.next.RoundTrip(out)
	v.answered()
	if err != nil {
		defer cancel(nil)
		return nil, errors.Join(err, context.Cause(ctx))
	}
	if isStream(response) {
		// The context must last as long as the stream: it ends with the client's.
		context.AfterFunc(r.Context(), func() { cancel(nil) })
		return response, nil
	}
	response.Body = &download{response.Body, v, cancel}
	return response, nil
}

// A vigil is the timer for one exchange. It runs only while the proxy waits for the origin.
type vigil struct {
	limit time.Duration
	mu    sync.Mutex
	timer *time.Timer
	head  bool // the response's status and header have come, or an error
}

// answered stops waiting for the head of the response.
func (v *vigil) answered() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.head = true
	v.timer.Stop()
}

// uploading stops the timer while the proxy reads the request body from the client, and restarts it afterwards. When there is
// a response it does nothing.
func (v *vigil) uploading(client bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	switch {
	case v.head:
	case client:
		v.timer.Stop()
	default:
		v.timer.Reset(v.limit)
	}
}

// upload is the body of a request.
type upload struct {
	io.ReadCloser
	vigil *vigil
}

func (u *upload) Read(p []byte) (int, error) {
	u.vigil.uploading(true)
	defer u.vigil.uploading(false)
	return u.ReadCloser.Read(p)
}

// download is the body of a response.
type download struct {
	io.ReadCloser
	vigil  *vigil
	cancel context.CancelCauseFunc
}

func (d *download) Read(p []byte) (int, error) {
	d.vigil.timer.Reset(d.vigil.limit)
	defer d.vigil.timer.Stop()
	return d.ReadCloser.Read(p)
}

func (d *download) Close() error {
	d.vigil.timer.Stop()
	defer d.cancel(nil)
	return d.ReadCloser.Close()
}

// isStream reports whether a response may be silent for any time: events, or another protocol.
func isStream(response *http.Response) bool {
	return response.StatusCode == http.StatusSwitchingProtocols || isEvents(response.Header)
}
