package slacktest

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// The rules of a response URL (docs.slack.dev/interactivity/handling-user-interaction).
const (
	responseUses = 5
	responseLife = 30 * time.Minute
)

// response is a response URL that was handed out.
type response struct {
	made   time.Time
	uses   int
	origin *Message // what an answer may replace: what the button stands in, or the first answer to a command; nil: nothing yet
	by     string   // who alone sees an answer
	in     string   // channel
}

// refusal is what Slack answers instead of ok.
type refusal struct {
	Error    string   `json:"error"`
	Needed   string   `json:"needed,omitempty"`
	Provided string   `json:"provided,omitempty"`
	Messages []string `json:"-"`
	after    time.Duration
}

func refuse(word string) *refusal { return &refusal{Error: word} }

// ServeHTTP implements http.Handler: the API, response URLs and the WebSocket.
func (s *Slack) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch method, isAPI := strings.CutPrefix(r.URL.Path, "/api/"); {
	case isAPI:
		s.call(w, r, method)
	case strings.HasPrefix(r.URL.Path, "/commands/"):
		s.respond(w, r)
	case r.URL.Path == "/link":
		s.connect(w, r)
	default:
		http.NotFound(w, r)
	}
}

func (s *Slack) call(w http.ResponseWriter, r *http.Request, method string) {
	form, token, err := formOf(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down {
		s.calls = append(s.calls, Call{At: s.now(), Method: method, Error: "down"})
		http.Error(w, "<html>503</html>", http.StatusServiceUnavailable)
		return
	}
	answer, no := s.answer(method, token, form)
	done := Call{At: s.now(), Method: method, Channel: form.Get("channel"), Error: "ok"}
	switch {
	case no != nil && no.after > 0:
		done.Error = "429"
		w.Header().Set("Retry-After", strconv.Itoa(int((no.after+time.Second-1)/time.Second)))
		w.WriteHeader(http.StatusTooManyRequests)
	case no != nil:
		done.Error = no.Error
		reply(w, map[string]any{"ok": false, "error": no.Error, "needed": no.Needed, "provided": no.Provided,
			"response_metadata": map[string]any{"messages": no.Messages}})
	default:
		answer["ok"] = true
		reply(w, answer)
	}
	s.calls = append(s.calls, done)
}

func reply(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	_ = json.NewEncoder(w).Encode(v)
}

// formOf reads the arguments of a call and its token: form-encoded as Slack takes them from everybody, the token there or as
// a bearer's.
func formOf(r *http.Request) (url.Values, string, error) {
	body, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	if err != nil {
		return nil, "", err
	}
	token, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if strings.HasPrefix(r.Header.Get("Content-Type"), "application/json") {
		return url.Values{}, token, nil // only apps.connections.open, which has no arguments
	}
	form, err := url.ParseQuery(string(body))
	if token == "" {
		token = form.Get("token")
	}
	return form, token, err
}

func (s *Slack) answer(method, token string, form url.Values) (map[string]any, *refusal) {
	if until := s.limits[method]; until.After(s.now()) {
		return nil, &refusal{after: until.Sub(s.now())}
	}
	switch {
	case token == "":
		return nil, refuse("not_authed")
	case method == "apps.connections.open" && token == s.BotToken:
		return nil, refuse("not_allowed_token_type")
	case method == "apps.connections.open" && token == s.AppToken:
		return s.open()
	case method != "apps.connections.open" && token == s.AppToken:
		return nil, refuse("not_allowed_token_type")
	case token != s.BotToken:
		return nil, refuse("invalid_auth")
	}
	switch method {
	case "auth.test":
		return map[string]any{"team_id": s.Team, "bot_id": bot, "user_id": "U0BOT"}, nil
	case "chat.postMessage", "chat.update", "chat.delete":
	default:
		return nil, refuse("unknown_method")
	}
	if !slices.Contains(s.Scopes, "chat:write") {
		return nil, &refusal{Error: "missing_scope", Needed: "chat:write", Provided: strings.Join(s.Scopes, ",")}
	}
	c := s.channels[form.Get("channel")]
	switch {
	case c == nil:
		return nil, refuse("channel_not_found")
	case c.archived:
		return nil, refuse("is_archived")
	case !c.member && method == "chat.postMessage" && !slices.Contains(s.Scopes, "chat:write.public"):
		return nil, refuse("not_in_channel")
	}
	switch method {
	case "chat.postMessage":
		return s.post(form)
	case "chat.update":
		return s.update(form)
	}
	m := s.message(form.Get("channel"), form.Get("ts"))
	switch {
	case m == nil || m.For != "":
		return nil, refuse("message_not_found")
	case m.By != bot:
		return nil, refuse("cant_delete_message")
	}
	m.Deleted = true
	return map[string]any{"channel": m.Channel, "ts": m.TS}, nil
}

// said looks at text and blocks of a message.
func said(form url.Values, limit int) (json.RawMessage, *refusal) {
	blocks := json.RawMessage(form.Get("blocks"))
	none := len(blocks) == 0 || string(blocks) == "[]"
	switch {
	case form.Get("text") == "" && none:
		return nil, refuse("no_text")
	case utf8.RuneCountInString(form.Get("text")) > limit:
		return nil, refuse("msg_too_long")
	case none:
		return blocks, nil
	case !json.Valid(blocks) || !bytes.HasPrefix(bytes.TrimSpace(blocks), []byte("[")):
		return nil, refuse("invalid_blocks_format")
	}
	if wrong := Validate(blocks); len(wrong) > 0 {
		return nil, &refusal{Error: "invalid_blocks", Messages: wrong}
	}
	return blocks, nil
}

func (s *Slack) post(form url.Values) (map[string]any, *refusal) {
	blocks, no := said(form, 40000)
	if no != nil {
		return nil, no
	}
	m := &Message{Channel: form.Get("channel"), Text: form.Get("text"), Blocks: blocks, By: bot}
	if parent := s.message(m.Channel, form.Get("thread_ts")); parent != nil {
		m.Thread = parent.TS // else it stands in the channel, as with a parent that was deleted
	}
	s.put(m)
	return map[string]any{"channel": m.Channel, "ts": m.TS}, nil
}

func (s *Slack) update(form url.Values) (map[string]any, *refusal) {
	m := s.message(form.Get("channel"), form.Get("ts"))
	switch {
	case m == nil || m.For != "":
		return nil, refuse("message_not_found")
	case m.By != bot:
		return nil, refuse("cant_update_message")
	}
	last := m.At
	if n := len(m.Edits); n > 0 {
		last = m.Edits[n-1].At
	}
	if wait := s.Every - s.now().Sub(last); s.Every > 0 && wait > 0 {
		return nil, &refusal{after: wait}
	}
	blocks, no := said(form, maxFallback)
	if no != nil {
		return nil, no
	}
	s.edit(m, form.Get("text"), blocks)
	return map[string]any{"channel": m.Channel, "ts": m.TS, "text": m.Text}, nil
}

// edit puts other words into a message; without blocks it keeps its own, with an empty list it loses them.
func (s *Slack) edit(m *Message, words string, blocks json.RawMessage) {
	m.Text = words
	if len(blocks) > 0 {
		m.Blocks = blocks
	}
	m.Edits = append(m.Edits, Edit{At: s.now(), Seen: m.Seen()})
}

// answered is what is posted to a response URL, or is the body of the answer to a command.
type answered struct {
	Text            string          `json:"text"`
	Blocks          json.RawMessage `json:"blocks"`
	ResponseType    string          `json:"response_type"`
	ReplaceOriginal bool            `json:"replace_original"`
	DeleteOriginal  bool            `json:"delete_original"`
}

func (s *Slack) respond(w http.ResponseWriter, r *http.Request) {
	var a answered
	err := json.NewDecoder(io.LimitReader(r.Body, 1<<20)).Decode(&a)
	s.mu.Lock()
	defer s.mu.Unlock()
	to := s.responses[r.URL.Path]
	word, status := "ok", http.StatusOK
	switch {
	case to == nil:
		word, status = "no_such_url", http.StatusNotFound
	case s.now().Sub(to.made) > responseLife:
		word, status = "expired_url", http.StatusNotFound
	case to.uses >= responseUses:
		word, status = "used_url", http.StatusNotFound
	case err != nil:
		word, status = "invalid_payload", http.StatusBadRequest
	default:
		to.uses++
		if no := s.take(to, a); no != nil {
			word, status = no.Error+" "+strings.Join(no.Messages, "; "), http.StatusBadRequest
		}
	}
	s.calls = append(s.calls, Call{At: s.now(), Method: "response_url", Error: word})
	w.WriteHeader(status)
	_, _ = io.WriteString(w, word)
}

// take shows an answer to the person who asked, or to the channel.
func (s *Slack) take(to *response, a answered) *refusal {
	if a.DeleteOriginal {
		if to.origin != nil {
			to.origin.Deleted = true
		}
		return nil
	}
	if string(a.Blocks) == "null" {
		a.Blocks = nil
	}
	blocks, no := said(url.Values{"text": {a.Text}, "blocks": {string(a.Blocks)}}, 40000)
	if no != nil {
		return no
	}
	if a.ReplaceOriginal && to.origin != nil {
		to.origin.Blocks = nil
		s.edit(to.origin, a.Text, blocks)
		return nil
	}
	m := &Message{Channel: to.in, Text: a.Text, Blocks: blocks, By: bot, For: to.by}
	if a.ResponseType == "in_channel" {
		m.For = ""
	}
	s.put(m)
	if to.origin == nil {
		to.origin = m // what a command was answered with first, a later answer may replace
	}
	return nil
}
