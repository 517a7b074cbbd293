package gitea

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"deployportal/internal/deploys"
	"deployportal/internal/foreign"
)

const (
	hookLimit  = 256 << 10              // a package event has about 5 KB
	hookSettle = 500 * time.Millisecond // a push brings several events for one image
	hookQueue  = 64                     // images waiting for their refresh; beyond that the poll has to do
)

// Hook takes Gitea's webhook for packages. What it is told is only a hint to look now: what the portal then shows is
// what it reads itself, and it polls all the same. Make it with Client.Hook; Run does the looking.
type Hook struct {
	client *Client
	secret []byte
	apps   func() []deploys.App
	seen   *lru[string, struct{}] // X-Gitea-Delivery
	images chan string            // repository of an app, with host
}

// Hook makes the receiver of webhooks. The secret is the one given to Gitea; without one it refuses everything. apps
// gives the apps to look for.
func (c *Client) Hook(secret string, apps func() []deploys.App) *Hook {
	return &Hook{
		client: c, secret: []byte(secret), apps: apps,
		seen: newLRU[string, struct{}](1024), images: make(chan string, hookQueue),
	}
}

// ServeHTTP answers POST with Receive's status and sentence. It needs no session and no protection against forged
// forms: the signature is both.
func (h *Hook) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	status, sentence := h.read(w, r)
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, sentence+"\n") // the reader may be gone; there is nobody to tell
}

func (h *Hook) read(w http.ResponseWriter, r *http.Request) (int, string) {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		return http.StatusMethodNotAllowed, "Webhooks come by POST."
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, hookLimit))
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		return http.StatusRequestEntityTooLarge, "The event is larger than 256 KiB."
	}
	if err != nil {
		return http.StatusBadRequest, "The event could not be read to its end."
	}
	return h.Receive(r.Header, body)
}

// hookEvent is what the portal reads of a package event.
type hookEvent struct {
	Action  string `json:"action"`
	Package *struct {
		Type    string `json:"type"`
		Name    string `json:"name"`
		Version string `json:"version"`
		Owner   *struct {
			Login string `json:"login"`
		} `json:"owner"`
	} `json:"package"`
}

// Receive judges one event: the signature over the body as it came, then the rest. The answer is an HTTP status and a
// sentence for whoever looks at Gitea's list of deliveries. It never waits.
func (h *Hook) Receive(header http.Header, body []byte) (status int, sentence string) {
	switch {
	case len(h.secret) == 0:
		return http.StatusNotFound, "This portal takes no webhooks: it has no secret for them."
	case len(body) > hookLimit:
		return http.StatusRequestEntityTooLarge, "The event is larger than 256 KiB."
	case !h.signed(header.Get("X-Gitea-Signature"), body):
		return http.StatusUnauthorized, "The signature is missing or wrong: compare the secrets of the webhook and of the portal."
	case header.Get("X-Gitea-Event") != "package":
		return http.StatusOK, "Not of interest: the portal wants package events only."
	}
	var event hookEvent
	if err := json.Unmarshal(body, &event); err != nil {
		return http.StatusBadRequest, "The event is no valid JSON."
	}
	p := event.Package
	if p == nil || p.Owner == nil || p.Owner.Login == "" || p.Name == "" {
		return http.StatusBadRequest, "The event names no package."
	}
	// A manifest without a tag is a part of an image whose tag follows.
	if p.Type != "container" || strings.HasPrefix(p.Version, "sha256:") {
		return http.StatusOK, "Not of interest: the portal wants tags of container images only."
	}
	// The header is not signed, so this only saves work: who replays an event with another number makes the portal
	// look once more, at most twice a second.
	if id := header.Get("X-Gitea-Delivery"); id != "" && !h.fresh(foreign.Line(id, 100)) {
		return http.StatusOK, "Seen before."
	}
	image := p.Owner.Login + "/" + p.Name
	repository, ok := h.repository(image)
	if !ok {
		return http.StatusOK, "Not of interest: no app uses " + foreign.Line(image, 200) + "."
	}
	select {
	case h.images <- repository:
		return http.StatusAccepted, "Looking for new images of " + foreign.Line(image, 200) + "."
	default:
		return http.StatusServiceUnavailable, "Too many events at once; the portal finds the image when it next polls."
	}
}

func (h *Hook) signed(signature string, body []byte) bool {
	got, err := hex.DecodeString(signature)
	if err != nil {
		return false
	}
	mac := hmac.New(sha256.New, h.secret)
	mac.Write(body)
	return hmac.Equal(got, mac.Sum(nil))
}

// fresh notes a delivery and tells whether it is a new one.
func (h *Hook) fresh(id string) bool {
	h.client.mu.Lock() // between get and put
	defer h.client.mu.Unlock()
	if _, known := h.seen.get(id); known {
		return false
	}
	h.seen.put(id, struct{}{})
	return true
}

// repository finds how the apps write an image of Gitea, which knows no upper case.
func (h *Hook) repository(image string) (string, bool) {
	for _, a := range h.apps() {
		if strings.EqualFold(a.Repository, h.client.registry+"/"+image) {
			return a.Repository, true
		}
	}
	return "", false
}

// Run refreshes the lists of images that events told of, half a second after an image's first one, until ctx ends. It
// returns when its last call has ended.
func (h *Hook) Run(ctx context.Context) {
	var work sync.WaitGroup
	defer work.Wait()
	var mu sync.Mutex
	settling := map[string]bool{} // images that are waited for
	for {
		var repository string
		select {
		case repository = <-h.images:
		case <-ctx.Done():
			return
		}
		mu.Lock()
		known := settling[repository]
		settling[repository] = true
		mu.Unlock()
		if known {
			continue // the refresh to come sees this one too
		}
		settled := h.client.after(hookSettle)
		work.Go(func() {
			select {
			case <-settled:
			case <-ctx.Done():
				return
			}
			mu.Lock()
			delete(settling, repository)
			mu.Unlock()
			h.refresh(ctx, repository)
		})
	}
}

// refresh asks for every list of an image.
func (h *Hook) refresh(ctx context.Context, repository string) {
	if h.client.leftAlone() {
		return
	}
	var users []deploys.App
	for _, a := range h.apps() {
		if a.Repository == repository {
			users = append(users, a)
		}
	}
	for _, a := range distinct(users) {
		h.client.refreshAfter(ctx, a) // it logs its faults and rings the bell
	}
}
