package gitea

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"

	"deployportal/internal/deploys"
	"deployportal/internal/foreign"
)

// pageSize is the largest page Gitea gives ([api] MAX_RESPONSE_ITEMS).
const pageSize = 50

// apiPackage is one version of a package as Gitea lists it; only the fields the portal uses.
type apiPackage struct {
	ID      int64  `json:"id"`
	Version string `json:"version"`
	Creator *struct {
		Login string `json:"login"`
	} `json:"creator"`
	HTMLURL   string    `json:"html_url"`
	CreatedAt time.Time `json:"created_at"`
}

// apiCommit is one commit as Gitea lists it.
type apiCommit struct {
	SHA     string `json:"sha"`
	HTMLURL string `json:"html_url"`
	Commit  *struct {
		Message string `json:"message"`
		Author  *struct {
			Name string    `json:"name"`
			Date time.Time `json:"date"`
		} `json:"author"`
	} `json:"commit"`
	Parents []struct {
		SHA string `json:"sha"`
	} `json:"parents"`
	Files []fileOfCommit `json:"files"`
}

// fileOfCommit is a file that a commit touched; only where files were asked for.
type fileOfCommit struct {
	Filename string `json:"filename"`
	Status   string `json:"status"`
}

// get asks the API for one document. Errors are raw: statusError, foreignError, or the transport's; apiFault
// classifies them.
func (c *Client) get(ctx context.Context, path string, query url.Values, out any) (http.Header, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	addr := c.base.String() + "/api/v1/" + path
	if len(query) > 0 {
		addr += "?" + query.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, addr, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", "deploy-portal")
	if c.token != "" {
		req.Header.Set("Authorization", "token "+c.token)
	}
	res, err := c.http.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return nil, err
	}
	if res.StatusCode != http.StatusOK {
		e := apiStatus(res, body)
		c.leaveAlone(e)
		return nil, e
	}
	if err := json.Unmarshal(body, out); err != nil {
		// The decoder's text can quote the answer.
		return nil, fmt.Errorf("%w: no valid JSON (%d bytes of %.40s)", errUnreadable, len(body), res.Header.Get("Content-Type"))
	}
	return res.Header, nil
}

var scopePattern = regexp.MustCompile(`required=\[([a-z:, ]{1,100})\]`)

func apiStatus(res *http.Response, body []byte) *statusError {
	e := &statusError{status: res.StatusCode, wait: retryAfter(res.Header.Get("Retry-After"))}
	var told struct {
		Message *string `json:"message"`
	}
	if json.Unmarshal(body, &told) != nil || told.Message == nil {
		// For a sha that names no commit Gitea answers with nothing but a JSON null.
		isNull := string(bytes.TrimSpace(body)) == "null" && strings.HasPrefix(res.Header.Get("Content-Type"), "application/json")
		e.plain = !isNull
		return e
	}
	if m := scopePattern.FindStringSubmatch(*told.Message); m != nil && res.StatusCode == http.StatusForbidden {
		e.scopes = m[1]
	}
	return e
}

// retryAfter reads the seconds form of Retry-After, bounded so that a wrong value cannot silence the portal.
func retryAfter(s string) time.Duration {
	n, err := strconv.Atoi(s)
	if err != nil || n <= 0 {
		return 0
	}
	return min(time.Duration(n), 300) * time.Second
}

// total reads how many items a listing has in all; -1 when Gitea does not say.
func total(h http.Header) int {
	for _, name := range []string{"X-Total-Count", "X-Total"} {
		if n, err := strconv.Atoi(h.Get(name)); err == nil && n >= 0 {
			return n
		}
	}
	return -1
}

// segments joins path segments, each escaped: Gitea wants a slash inside a package name as %2F.
func segments(s ...string) string {
	for i := range s {
		s[i] = url.PathEscape(s[i])
	}
	return strings.Join(s, "/")
}

// commit makes the domain's commit. It trusts nothing: lengths are bounded, and a link must be one.
func (a apiCommit) commit() deploys.Commit {
	c := deploys.Commit{SHA: strings.ToLower(a.SHA), URL: webURL(a.HTMLURL)}
	if !isSHA(c.SHA) {
		c.SHA = ""
	}
	if a.Commit == nil {
		return c
	}
	subject, _, _ := strings.Cut(strings.TrimSpace(a.Commit.Message), "\n")
	c.Subject = foreign.Line(subject, 200)
	if a.Commit.Author != nil {
		c.Author = foreign.Line(a.Commit.Author.Name, 100)
		c.At = a.Commit.Author.Date.UTC()
	}
	return c
}

const maxURL = 2000

// webURL lets only web addresses through: they end up as links on a page.
func webURL(s string) string {
	if u, err := url.Parse(s); err != nil || len(s) > maxURL || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
		return ""
	}
	return s
}
