package slack

import (
	"context"
	"net/http"
)

// Door is the front door.
type Door struct{ o Options }

// New checks the options and opens nothing.
func New(o Options) (*Door, error) { return &Door{o}, nil }

// Run runs until ctx ends.
func (d *Door) Run(ctx context.Context) error {
	<-ctx.Done()
	return nil
}

// ServeHTTP takes what Slack sends.
func (d *Door) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	w.WriteHeader(http.StatusServiceUnavailable)
}
