package slack

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	api "github.com/slack-go/slack"
)

const (
	bodyLimit = 64 << 10
	window    = 5 * time.Minute // that a signature is valid, both ways
)

// ServeHTTP takes what Slack sends, commands and presses alike: a press has the form field payload. Who cannot sign
// learns nothing but that: 401. What is signed and refused all the same is answered as Slack shows it to people: 200 with a
// sentence only they see.
func (d *Door) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Cache-Control", "no-store")
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		w.WriteHeader(http.StatusMethodNotAllowed)
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, bodyLimit))
	if err != nil {
		status := http.StatusBadRequest
		if tooLarge := new(http.MaxBytesError); errors.As(err, &tooLarge) {
			status = http.StatusRequestEntityTooLarge
		}
		w.WriteHeader(status)
		return
	}
	signature, ok := d.signed(r.Header, body)
	if !ok {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	request := w.Header().Get("X-Request-Id")
	if request == "" {
		request = newRequestID()
	}
	a, err := askOfForm(r.Header, body, request)
	if err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	if done := d.once(r.Context(), w, r.Header, signature, a); done {
		return
	}
	m, err := d.handle(r.Context(), a)
	if err != nil {
		d.answer(w, a, saySorry(err, request), http.StatusServiceUnavailable)
		return
	}
	d.answer(w, a, m, http.StatusOK)
}

// once refuses what was taken before; it tells whether the request is answered by that.
func (d *Door) once(ctx context.Context, w http.ResponseWriter, h http.Header, signature []byte, a ask) bool {
	ctx, cancel := context.WithTimeout(ctx, noteLimit)
	defer cancel()
	err := see(ctx, d.DB, signature)
	switch {
	case err == nil:
		return false
	case errors.Is(err, errSeen) && h.Get("X-Slack-Retry-Num") != "":
		w.WriteHeader(http.StatusOK) // Slack has not seen our answer; what was asked for is done or under way
	case errors.Is(err, errSeen):
		w.WriteHeader(http.StatusUnauthorized)
	default: // what cannot be noted could be taken twice
		d.Log.Error("slack: a request cannot be noted, so it is refused", "request", a.request, "err", err)
		d.answer(w, a, saySorry(err, a.request), http.StatusServiceUnavailable)
	}
	return true
}

// answer writes what a command is answered with; of a press Slack reads only the status. A command that fails is
// answered 200: with another status Slack shows its own words in place of ours.
func (d *Door) answer(w http.ResponseWriter, a ask, m Message, status int) {
	if a.press {
		w.WriteHeader(status)
		return
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	body := struct {
		Type   string      `json:"response_type"`
		Text   string      `json:"text"`
		Blocks []api.Block `json:"blocks,omitempty"`
	}{"ephemeral", m.Text, m.Blocks}
	if err := json.NewEncoder(w).Encode(body); err != nil {
		d.Log.Warn("slack: an answer did not arrive", "request", a.request, "err", err)
	}
}

// signed checks Slack's signature, v0: an HMAC over time and raw body, at most 5 minutes old or ahead
// (docs.slack.dev/authentication/verifying-requests-from-slack). It gives the signature that was valid.
func (d *Door) signed(h http.Header, body []byte) ([]byte, bool) {
	stamps, signatures := h.Values("X-Slack-Request-Timestamp"), h.Values("X-Slack-Signature")
	if d.SigningSecret == "" || len(stamps) != 1 || len(signatures) != 1 || len(stamps[0]) > 12 {
		return nil, false
	}
	at, err := strconv.ParseUint(stamps[0], 10, 40)
	if err != nil || d.Now().Sub(time.Unix(int64(at), 0)).Abs() > window {
		return nil, false
	}
	encoded, versioned := strings.CutPrefix(signatures[0], "v0=")
	got, err := hex.DecodeString(encoded)
	if !versioned || err != nil {
		return nil, false
	}
	mac := hmac.New(sha256.New, []byte(d.SigningSecret))
	mac.Write([]byte("v0:" + stamps[0] + ":"))
	mac.Write(body)
	return got, hmac.Equal(got, mac.Sum(nil))
}

// errMalformed is a signed request that is none of Slack's kinds.
var errMalformed = errors.New("the form is malformed")

// askOfForm reads a signed form. A field that stands twice is refused: two readers could each take another one.
func askOfForm(h http.Header, body []byte, request string) (ask, error) {
	kind, _, err := mime.ParseMediaType(h.Get("Content-Type"))
	if err != nil || kind != "application/x-www-form-urlencoded" || len(h.Values("Content-Type")) != 1 {
		return ask{}, errMalformed
	}
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return ask{}, errMalformed
	}
	for _, values := range form {
		if len(values) != 1 {
			return ask{}, errMalformed
		}
	}
	if form.Has("payload") {
		if len(form) != 1 {
			return ask{}, errMalformed
		}
		return askOfPress([]byte(form.Get("payload")), request)
	}
	if form.Get("command") == "" || form.Get("response_url") == "" {
		return ask{}, errMalformed
	}
	return askOfCommand(api.SlashCommand{TeamID: form.Get("team_id"), ChannelID: form.Get("channel_id"), UserID: form.Get("user_id"),
		APIAppID: form.Get("api_app_id"), IsEnterpriseInstall: form.Get("is_enterprise_install") == "true",
		Text: form.Get("text"), ResponseURL: form.Get("response_url")}, request), nil
}

func newRequestID() string {
	raw := make([]byte, 8)
	_, _ = rand.Read(raw) // never fails: the runtime ends the process instead
	return hex.EncodeToString(raw)
}
