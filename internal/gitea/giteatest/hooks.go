package giteatest

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"
)

// hooks are the webhooks of all owners, and what they are still to be told.
type hooks struct {
	mu      sync.Mutex
	all     []hook
	queue   []delivery
	sending bool
}

type hook struct{ owner, url, secret string }

type delivery struct {
	hook hook
	body []byte
}

// AddHook has the package events of an owner sent to an address, signed with a secret: one for each manifest of a
// push, in the order of the push, from then on. An address that does not answer misses them.
func (s *Server) AddHook(owner, url, secret string) {
	s.hooks.mu.Lock()
	defer s.hooks.mu.Unlock()
	s.hooks.all = append(s.hooks.all, hook{owner, url, secret})
}

// tell queues the event of a version that came or went.
func (s *Server) tell(action, image string, v version, doer string) {
	owner, _, _ := strings.Cut(image, "/")
	h := &s.hooks
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, to := range h.all {
		if to.owner != owner {
			continue
		}
		body, err := json.MarshalIndent(map[string]any{
			"action": action, "repository": nil, "package": apiVersion(s.o.RootURL, image, v),
			"organization": map[string]any{"id": 1, "name": owner, "username": owner}, "sender": apiUser(s.o.RootURL, doer),
		}, "", "  ")
		if err != nil {
			panic(fmt.Sprintf("giteatest: event cannot be encoded: %v", err))
		}
		h.queue = append(h.queue, delivery{to, body})
	}
	if !h.sending && len(h.queue) > 0 {
		h.sending = true
		go h.send()
	}
}

// send empties the queue, one delivery after the other.
func (h *hooks) send() {
	client := &http.Client{Timeout: 5 * time.Second}
	for {
		h.mu.Lock()
		if len(h.queue) == 0 {
			h.sending = false
			h.mu.Unlock()
			return
		}
		next := h.queue[0]
		h.queue = h.queue[1:]
		h.mu.Unlock()
		next.send(client)
	}
}

func (d delivery) send(client *http.Client) {
	req, err := http.NewRequest(http.MethodPost, d.hook.url, bytes.NewReader(d.body))
	if err != nil {
		return // not an address; Gitea would not have taken it
	}
	mac := hmac.New(sha256.New, []byte(d.hook.secret))
	mac.Write(d.body)
	sum := hex.EncodeToString(mac.Sum(nil))
	for k, v := range map[string]string{
		"Content-Type": "application/json", "X-Gitea-Event": "package", "X-Gitea-Event-Type": "package",
		"X-Gitea-Delivery": uuid(), "X-Gitea-Signature": sum, "X-Hub-Signature-256": "sha256=" + sum,
		"X-Gitea-Hook-Installation-Target-Type": "organization",
	} {
		req.Header.Set(k, v)
	}
	res, err := client.Do(req)
	if err == nil {
		_ = res.Body.Close() // Gitea only notes what came back
	}
}

func uuid() string {
	b := make([]byte, 16)
	_, _ = rand.Read(b) // never fails
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
