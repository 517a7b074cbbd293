package slack

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"
)

// request changes a request that is good but for that.
type request func(r *http.Request) *http.Request

func head(name, value string) request {
	return func(r *http.Request) *http.Request {
		r.Header.Set(name, value)
		return r
	}
}

func without(name string) request {
	return func(r *http.Request) *http.Request {
		r.Header.Del(name)
		return r
	}
}

func twice(name string) request {
	return func(r *http.Request) *http.Request {
		r.Header.Add(name, r.Header.Get(name))
		return r
	}
}

// body puts another body under the signature of the good one.
func body(change func(string) string) request {
	return func(r *http.Request) *http.Request {
		raw, _ := io.ReadAll(r.Body)
		r.Body = io.NopCloser(strings.NewReader(change(string(raw))))
		return r
	}
}

// signed makes another request altogether, well signed.
func signed(body string) request {
	return func(*http.Request) *http.Request { return signBody(body, time.Now(), secret) }
}

// stamped signs for another time, as it is written there.
func stamped(stamp string) request {
	return func(r *http.Request) *http.Request {
		raw, _ := io.ReadAll(r.Body)
		signed := signBody(string(raw), time.Now(), secret)
		signed.Header.Set("X-Slack-Request-Timestamp", stamp)
		signed.Header.Set("X-Slack-Signature", signatureOf("v0:"+stamp+":"+string(raw), secret))
		return signed
	}
}

// at signs for a time as far from when it is sent: the table is made when the tests begin.
func at(d time.Duration) request {
	return func(r *http.Request) *http.Request {
		return stamped(strconv.FormatInt(time.Now().Add(d).Unix(), 10))(r)
	}
}

// typed and button change a field of a good command or press and sign it anew.
func typed(field string, values ...string) request {
	f := form(anaID, "lock api in prod no")
	f[field] = values
	return signed(f.Encode())
}

func button(change func(map[string]any)) request {
	var p map[string]any
	_ = json.Unmarshal([]byte(press(anaID, actionDeploy, strings.Repeat("a", 32)).Get("payload")), &p)
	change(p)
	raw, _ := json.Marshal(p)
	return signed(url.Values{"payload": {string(raw)}}.Encode())
}

func in(p map[string]any, name string) map[string]any { return p[name].(map[string]any) }

// refusals are requests of which none may do anything. The good one they are made of locks api in prod. audited: they are
// signed, and name a person.
var refusals = []struct {
	name    string
	make    request
	status  int
	audited bool
}{
	{"GET", func(r *http.Request) *http.Request { r.Method = http.MethodGet; return r }, 405, false},
	{"PUT", func(r *http.Request) *http.Request { r.Method = http.MethodPut; return r }, 405, false},
	{"HEAD", func(r *http.Request) *http.Request { r.Method = http.MethodHead; return r }, 405, false},
	{"too large", signed("text=" + strings.Repeat("a", bodyLimit)), 413, false},
	{"much too large", signed("text=" + strings.Repeat("a", 10<<20)), 413, false},
	{"cut off", func(r *http.Request) *http.Request {
		r.Body = io.NopCloser(io.MultiReader(strings.NewReader("text="), &broken{}))
		return r
	}, 400, false},

	{"no signature", without("X-Slack-Signature"), 401, false},
	{"no time", without("X-Slack-Request-Timestamp"), 401, false},
	{"neither", func(r *http.Request) *http.Request {
		return without("X-Slack-Signature")(without("X-Slack-Request-Timestamp")(r))
	}, 401, false},
	{"empty signature", head("X-Slack-Signature", ""), 401, false},
	{"empty time", head("X-Slack-Request-Timestamp", ""), 401, false},
	{"signature twice", twice("X-Slack-Signature"), 401, false},
	{"time twice", twice("X-Slack-Request-Timestamp"), 401, false},
	{"a good signature behind a bad one", func(r *http.Request) *http.Request {
		good := r.Header.Get("X-Slack-Signature")
		r.Header["X-Slack-Signature"] = []string{"v0=" + strings.Repeat("0", 64), good}
		return r
	}, 401, false},
	{"other secret", func(*http.Request) *http.Request {
		return signBody(form(anaID, "lock api in prod no").Encode(), time.Now(), "other")
	}, 401, false},
	{"empty secret", func(*http.Request) *http.Request {
		return signBody(form(anaID, "lock api in prod no").Encode(), time.Now(), "")
	}, 401, false},
	{"the secret itself", head("X-Slack-Signature", "v0="+secret), 401, false},
	{"zeros", head("X-Slack-Signature", "v0="+strings.Repeat("0", 64)), 401, false},
	{"v0= alone", head("X-Slack-Signature", "v0="), 401, false},
	{"no hex", head("X-Slack-Signature", "v0="+strings.Repeat("z", 64)), 401, false},
	{"odd hex", head("X-Slack-Signature", "v0=abc"), 401, false},
	{"version 1", signatureWith(func(s string) string { return "v1" + s[2:] }), 401, false},
	{"no version", signatureWith(func(s string) string { return s[3:] }), 401, false},
	{"version twice", signatureWith(func(s string) string { return "v0=" + s }), 401, false},
	{"capital version", signatureWith(func(s string) string { return "V" + s[1:] }), 401, false},
	{"space before", signatureWith(func(s string) string { return "v0= " + s[3:] }), 401, false},
	{"half a signature", signatureWith(func(s string) string { return s[:35] }), 401, false},
	{"a longer signature", signatureWith(func(s string) string { return s + "00" }), 401, false},
	{"last digit", signatureWith(func(s string) string { return s[:len(s)-1] + strings.Trim("10", s[len(s)-1:])[:1] }), 401, false},
	{"huge signature", head("X-Slack-Signature", "v0="+strings.Repeat("a", 100000)), 401, false},

	{"other text", body(func(s string) string { return strings.Replace(s, "api", "admin", 1) }), 401, false},
	{"other user", body(func(s string) string { return strings.Replace(s, anaID, benID, 1) }), 401, false},
	{"one byte more", body(func(s string) string { return s + "&" }), 401, false},
	{"no body", body(func(string) string { return "" }), 401, false},
	{"encoded anew", body(func(s string) string { return strings.Replace(s, "+", "%20", 1) }), 401, false},
	{"reordered", body(func(s string) string { first, rest, _ := strings.Cut(s, "&"); return rest + "&" + first }), 401, false},
	{"other time", func(r *http.Request) *http.Request {
		return head("X-Slack-Request-Timestamp", strconv.FormatInt(time.Now().Unix()+1, 10))(r)
	}, 401, false},

	{"6 minutes old", at(-6 * time.Minute), 401, false},
	{"6 minutes ahead", at(6 * time.Minute), 401, false},
	{"a year old", at(-365 * 24 * time.Hour), 401, false},
	{"a year ahead", at(365 * 24 * time.Hour), 401, false},
	{"in 1970", stamped("0"), 401, false},
	{"before 1970", stamped("-1"), 401, false},
	{"the largest time", stamped("9223372036854775807"), 401, false},
	{"larger than that", stamped("99999999999999999999999"), 401, false},
	{"a time that wraps", stamped("18446744073709551615"), 401, false},
	{"a time in words", stamped("now"), 401, false},
	{"a time with a sign", stamped("+" + strconv.FormatInt(time.Now().Unix(), 10)), 401, false},
	{"a time with a space", stamped(" " + strconv.FormatInt(time.Now().Unix(), 10)), 401, false},
	{"milliseconds", stamped(strconv.FormatInt(time.Now().UnixMilli(), 10)), 401, false},
	{"a fraction", stamped(strconv.FormatInt(time.Now().Unix(), 10) + ".5"), 401, false},
	{"hexadecimal", stamped("0x" + strconv.FormatInt(time.Now().Unix(), 16)), 401, false},
	{"underscores", stamped("1_700_000_000"), 401, false},

	{"JSON", func(r *http.Request) *http.Request {
		s := signBody(`{"text":"lock api in prod no"}`, time.Now(), secret)
		s.Header.Set("Content-Type", "application/json")
		return s
	}, 400, false},
	{"multipart", head("Content-Type", "multipart/form-data; boundary=x"), 400, false},
	{"no type", without("Content-Type"), 400, false},
	{"type twice", twice("Content-Type"), 400, false},
	{"broken escape", signed(form(anaID, "status").Encode() + "&x=%zz"), 400, false},
	{"semicolons", signed(strings.ReplaceAll(form(anaID, "status").Encode(), "&", ";")), 400, false},
	{"an empty form", signed(""), 400, false},
	{"no command", typed("command"), 400, false},
	{"no response URL", typed("response_url"), 400, false},
	{"team twice", typed("team_id", team, "T0EVIL"), 400, false},
	{"user twice", typed("user_id", anaID, benID), 400, false},
	{"text twice", typed("text", "status", "lock api in prod no"), 400, false},
	{"a check of the certificate", signed("ssl_check=1&token=x"), 400, false},
	{"command and press", func(*http.Request) *http.Request {
		f := form(anaID, "lock api in prod no")
		f.Set("payload", press(anaID, actionDeploy, "x").Get("payload"))
		return signBody(f.Encode(), time.Now(), secret)
	}, 400, false},
	{"payload is no JSON", signed("payload=hello"), 400, false},
	{"payload is a list", signed("payload=[]"), 400, false},
	{"payload is null", signed("payload=null"), 400, false},
	{"a view", button(func(p map[string]any) { p["type"] = "view_submission" }), 400, false},
	{"a shortcut", button(func(p map[string]any) { p["type"] = "message_action" }), 400, false},
	{"no actions", button(func(p map[string]any) { delete(p, "actions") }), 400, false},
	{"two actions", button(func(p map[string]any) { p["actions"] = append(p["actions"].([]any), p["actions"].([]any)...) }), 400, false},
	{"no user", button(func(p map[string]any) { delete(p, "user") }), 400, false},

	{"other workspace", typed("team_id", "T0EVIL"), 200, true},
	{"no workspace", typed("team_id", ""), 200, false},
	{"the workspace in small letters", typed("team_id", strings.ToLower(team)), 200, false},
	{"other app", typed("api_app_id", "A0EVIL"), 200, true},
	{"no app", typed("api_app_id", ""), 200, true},
	{"a whole organisation", typed("is_enterprise_install", "true"), 200, true},
	{"nobody", typed("user_id", ""), 200, false},
	{"a user that is a name", typed("user_id", "ana"), 200, false},
	{"a user with a path", typed("user_id", "U1/../U2"), 200, false},
	{"a long user", typed("user_id", "U"+strings.Repeat("0", 5000)), 200, false},
	{"no channel", typed("channel_id", ""), 200, false},
	{"a press of another workspace", button(func(p map[string]any) { in(p, "user")["team_id"] = "T0EVIL" }), 200, true},
	{"a press in another workspace", button(func(p map[string]any) { in(p, "team")["id"] = "T0EVIL" }), 200, true},
	{"a press in no workspace", button(func(p map[string]any) { delete(p, "team") }), 200, true},
	{"a press for another app", button(func(p map[string]any) { p["api_app_id"] = "A0EVIL" }), 200, true},
	{"a press in an organisation", button(func(p map[string]any) { p["is_enterprise_install"] = true }), 200, true},
	{"a press of nobody", button(func(p map[string]any) { in(p, "user")["id"] = "" }), 200, false},
	{"a press of who is not linked", button(func(p map[string]any) { in(p, "user")["id"] = benID }), 200, true},
	{"a command of who is not linked", typed("user_id", benID), 200, true},
}

type broken struct{}

func (*broken) Read([]byte) (int, error) { return 0, errors.New("the line is cut") }

func signatureWith(change func(string) string) request {
	return func(r *http.Request) *http.Request {
		r.Header.Set("X-Slack-Signature", change(r.Header.Get("X-Slack-Signature")))
		return r
	}
}

func TestRefused(t *testing.T) {
	w := newWorld(t)
	if len(refusals) < 60 {
		t.Fatalf("only %d requests", len(refusals))
	}
	for _, c := range refusals {
		before, told := len(w.people.refusals()), w.slack.count()
		good := sign(fresh(form(anaID, "lock api in prod no")), time.Now())
		valid := good.Header.Get("X-Slack-Signature")
		rec := w.serve(c.make(good))
		w.door.work.Wait()
		if rec.Code != c.status {
			t.Errorf("%s: status %d, not %d", c.name, rec.Code, c.status)
		}
		if audited := len(w.people.refusals()) - before; audited != map[bool]int{true: 1}[c.audited] {
			t.Errorf("%s: %d entries", c.name, audited)
		}
		checkRefusal(t, c.name, rec, valid)
		if pressed := strings.Contains(c.name, "press") && c.status == 200; pressed {
			if said := w.slack.since(w, told); !strings.Contains(said, `."`) {
				t.Errorf("%s: told %s", c.name, said)
			}
		} else if w.slack.count() != told {
			t.Errorf("%s: somebody is told something", c.name)
		}
	}
	if n := w.count(`SELECT (SELECT count(*) FROM locks) + (SELECT count(*) FROM deploys) + (SELECT count(*) FROM slack_plans)`); n != 0 {
		t.Errorf("%d requests were taken", n)
	}
	if s := w.log.String(); strings.Contains(s, secret) || strings.Contains(s, "v0=") || strings.Contains(s, responding) {
		t.Errorf("the log tells a secret: %s", s)
	}
	if rec := w.serve(sign(form(anaID, "lock api in prod no"), time.Now())); rec.Code != 200 || w.count(`SELECT count(*) FROM locks`) != 1 {
		t.Errorf("the good one is not taken: %d %s", rec.Code, rec.Body)
	}
}

// checkRefusal looks at what a refusal tells: a person a sentence, who cannot sign nothing.
func checkRefusal(t *testing.T, name string, rec *httptest.ResponseRecorder, valid string) {
	t.Helper()
	body := rec.Body.String()
	if rec.Code != 200 {
		if body != "" {
			t.Errorf("%s: it tells %q", name, body)
		}
		return
	}
	if strings.Contains(body, secret) || strings.Contains(body, valid) {
		t.Errorf("%s: it tells a secret: %s", name, body)
	}
	if strings.Contains(name, "press") {
		return
	}
	var said struct {
		Type string `json:"response_type"`
		Text string `json:"text"`
	}
	if err := json.Unmarshal([]byte(body), &said); err != nil || said.Type != "ephemeral" || !strings.HasSuffix(said.Text, ".") {
		t.Errorf("%s: answered %s", name, body)
	}
}

func TestReplay(t *testing.T) {
	w := newWorld(t)
	now := time.Now()
	f := form(anaID, "lock api in prod no")
	if rec := w.serve(sign(f, now)); rec.Code != 200 {
		t.Fatal(rec.Code)
	}
	again := func(what string, status int, change request) {
		t.Helper()
		rec := w.serve(change(sign(f, now)))
		if rec.Code != status || rec.Body.Len() > 0 {
			t.Errorf("%s: answered %d %q", what, rec.Code, rec.Body)
		}
	}
	same := func(r *http.Request) *http.Request { return r }
	again("a replay", 401, same)
	again("a replay in capitals", 401, signatureWith(func(s string) string { return "v0=" + strings.ToUpper(s[3:]) }))
	again("Slack's own repetition", 200, head("X-Slack-Retry-Num", "1"))
	w.door = w.open() // the portal is started anew
	again("a replay after a restart", 401, same)
	if n := w.count(`SELECT count(*) FROM audit_entries WHERE action LIKE 'lock.%'`); n != 1 {
		t.Errorf("%d entries, not one", n)
	}
	must(t, sweep(t.Context(), w.db))
	again("a replay after a sweep", 401, same)
	if n := w.count(`SELECT count(*) FROM slack_seen`); n != 1 {
		t.Errorf("%d are noted", n)
	}
	var kept []byte
	must(t, w.db.QueryRow(t.Context(), `SELECT signature FROM slack_seen`).Scan(&kept))
	if signature := sign(f, now).Header.Get("X-Slack-Signature"); bytes.Contains([]byte(signature), []byte(strings.ToLower(hex.EncodeToString(kept)))) {
		t.Error("the signature itself is kept")
	}
}

func TestNoSecretNoHTTP(t *testing.T) {
	w := newWorld(t)
	w.door.SigningSecret, w.door.AppToken = "", "xapp-1"
	if rec := w.serve(signBody(form(anaID, "status").Encode(), time.Now(), "")); rec.Code != 401 {
		t.Errorf("answered %d", rec.Code)
	}
}

func TestDatabaseGone(t *testing.T) {
	w := newWorld(t)
	must(t, w.db.Close())
	rec := w.serve(sign(form(anaID, "lock api in prod no"), time.Now()))
	w.says(rec.Body.String(), "Something went wrong on our side.", "Request ")
}
