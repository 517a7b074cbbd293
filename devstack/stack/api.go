package stack

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"
)

// API is a small administrator's client of the stack's API server. It exists because client-go would make the driver
// take minutes to compile for the handful of calls a start needs.
type API struct {
	server string
	http   *http.Client
}

// APIError is an answer of the API server that is not a success.
type APIError struct {
	Status  int
	Message string
}

// Error gives the server's own sentence.
func (e *APIError) Error() string { return fmt.Sprintf("API server: %d %s", e.Status, e.Message) }

func newAPI(server string, ca []byte, client keyPair) (*API, error) {
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(ca)
	pair, err := tls.X509KeyPair(client.certPEM, client.keyPEM)
	if err != nil {
		return nil, fmt.Errorf("load administrator's certificate: %w", err)
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, Certificates: []tls.Certificate{pair}}}
	return &API{server: server, http: &http.Client{Transport: transport, Timeout: 30 * time.Second}}, nil
}

// Get reads an object or a list into out, which may be nil.
// The error is an *APIError when the server answered with anything but a success.
func (a *API) Get(ctx context.Context, path string, out any) error {
	return a.do(ctx, http.MethodGet, path, "", nil, out)
}

// Create posts an object to a collection. Errors are as for Get.
func (a *API) Create(ctx context.Context, path string, object, out any) error {
	return a.do(ctx, http.MethodPost, path, "application/json", object, out)
}

// Apply creates or changes an object by server-side apply, as field manager "devstack". Errors are as for Get.
func (a *API) Apply(ctx context.Context, path string, object any) error {
	return a.do(ctx, http.MethodPatch, path+"?fieldManager=devstack&force=true", "application/apply-patch+yaml", object, nil)
}

// Delete removes an object. Errors are as for Get.
func (a *API) Delete(ctx context.Context, path string) error {
	return a.do(ctx, http.MethodDelete, path, "", nil, nil)
}

func (a *API) do(ctx context.Context, method, path, contentType string, in, out any) error {
	var body io.Reader
	if in != nil {
		text, err := json.Marshal(in)
		if err != nil {
			return fmt.Errorf("encode body of %s %s: %w", method, path, err)
		}
		body = bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(ctx, method, a.server+path, body)
	if err != nil {
		return fmt.Errorf("%s %s: %w", method, path, err)
	}
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	resp, err := a.http.Do(req)
	if err != nil {
		return fmt.Errorf("call API server: %w", err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return fmt.Errorf("read answer to %s %s: %w", method, path, err)
	}
	if resp.StatusCode >= 300 {
		return fmt.Errorf("%s %s: %w", method, path, &APIError{Status: resp.StatusCode, Message: message(text)})
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(text, out); err != nil {
		return fmt.Errorf("decode answer to %s %s: %w", method, path, err)
	}
	return nil
}

// message takes the sentence out of a Status object; other bodies (health endpoints) are sentences already.
func message(body []byte) string {
	var status struct{ Message string }
	if json.Unmarshal(body, &status) == nil && status.Message != "" {
		return status.Message
	}
	return string(body)
}

func apiStatus(err error) int {
	var e *APIError
	if errors.As(err, &e) {
		return e.Status
	}
	return 0
}
