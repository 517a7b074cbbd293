package giteatest

import (
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

func writeJSON(w http.ResponseWriter, status int, v any) {
	b, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("giteatest: answer cannot be encoded: %v", err))
	}
	w.Header().Set("Content-Type", "application/json;charset=utf-8")
	w.Header().Set("Content-Length", strconv.Itoa(len(b)))
	w.WriteHeader(status)
	_, _ = w.Write(b) // the reader may be gone; there is nobody to tell
}

func (s *Server) apiError(w http.ResponseWriter, r *http.Request, status int, message string) {
	v := map[string]any{"message": message, "url": s.root(r) + "/api/swagger"}
	if status == http.StatusNotFound {
		v["errors"] = nil
	}
	writeJSON(w, status, v)
}

// api serves what follows /api/v1/. It works on the escaped path: a slash in a package's name counts only as %2F.
func (s *Server) api(w http.ResponseWriter, r *http.Request, rest string) {
	seg := strings.Split(rest, "/")
	for i := range seg {
		var err error
		if seg[i], err = url.PathUnescape(seg[i]); err != nil {
			s.apiError(w, r, http.StatusBadRequest, "bad path")
			return
		}
	}
	who, ok := s.authAPI(r)
	switch {
	case !ok:
		s.apiError(w, r, http.StatusUnauthorized, "user does not exist [uid: 0, name: ]")
	case r.Method != http.MethodGet:
		w.WriteHeader(http.StatusMethodNotAllowed)
	case rest == "version":
		writeJSON(w, http.StatusOK, map[string]string{"version": "1.26.0"})
	case seg[0] == "packages" && len(seg) >= 2:
		if s.allowed(w, r, who, "read:package", http.StatusForbidden, "user should have specific permission or be a site admin") {
			s.apiPackages(w, r, seg[1:])
		}
	case seg[0] == "repos" && len(seg) >= 3:
		if s.allowed(w, r, who, "read:repository", http.StatusNotFound, "not found") {
			s.apiRepo(w, r, seg[1]+"/"+seg[2], strings.Join(seg[3:], "/"))
		}
	default:
		http.NotFound(w, r)
	}
}

// allowed answers a request that may not go on and tells whether it may.
func (s *Server) allowed(w http.ResponseWriter, r *http.Request, who *Account, scope string, status int, message string) bool {
	if !who.may(scope) {
		s.apiError(w, r, http.StatusForbidden, fmt.Sprintf(
			"token does not have at least one of required scope(s), required=[%s], token scope=%s", scope, strings.Join(who.Scopes, ",")))
		return false
	}
	if !s.sees(who) {
		s.apiError(w, r, status, message)
		return false
	}
	return true
}

// page reads page and limit, and sets the headers of a listing.
func (s *Server) page(w http.ResponseWriter, r *http.Request, total int) (from, to int) {
	q := r.URL.Query()
	page, _ := strconv.Atoi(q.Get("page"))
	limit, _ := strconv.Atoi(q.Get("limit"))
	page = max(page, 1)
	if limit <= 0 {
		limit = 30
	}
	limit = min(limit, 50)
	pages := int(math.Ceil(float64(total) / float64(limit)))
	var links []string
	link := func(n int, rel string) {
		q.Set("page", strconv.Itoa(n))
		links = append(links, fmt.Sprintf(`<%s%s?%s>; rel="%s"`, s.root(r), strings.TrimPrefix(r.URL.EscapedPath(), s.o.SubPath), q.Encode(), rel))
	}
	if page < pages {
		link(page+1, "next")
		link(pages, "last")
	}
	if page > 1 {
		link(1, "first")
		link(page-1, "prev")
	}
	if len(links) > 0 {
		w.Header().Set("Link", strings.Join(links, ","))
	}
	w.Header().Set("X-Total-Count", strconv.Itoa(total))
	return min((page-1)*limit, total), min(page*limit, total)
}

// apiPackages serves the versions of one image, or all images of an owner.
func (s *Server) apiPackages(w http.ResponseWriter, r *http.Request, seg []string) {
	owner := strings.ToLower(seg[0])
	var all []map[string]any
	switch {
	case len(seg) == 1:
		for _, image := range s.state.images() {
			if strings.HasPrefix(image, owner+"/") && strings.Contains(image, r.URL.Query().Get("q")) {
				all = append(all, s.apiVersions(r, image)...)
			}
		}
	case len(seg) == 3 && seg[1] == "container":
		if all = s.apiVersions(r, owner+"/"+strings.ToLower(seg[2])); len(all) == 0 {
			writeJSON(w, http.StatusNotFound, map[string]string{
				"message": "GetPackageByName: package does not exist", "url": s.root(r) + "/api/swagger"})
			return
		}
	case len(seg) == 4 && seg[1] == "container":
		for _, v := range s.apiVersions(r, owner+"/"+strings.ToLower(seg[2])) {
			if v["version"] == strings.ToLower(seg[3]) {
				writeJSON(w, http.StatusOK, v)
				return
			}
		}
		s.apiError(w, r, http.StatusNotFound, "not found")
		return
	default:
		http.NotFound(w, r)
		return
	}
	from, to := s.page(w, r, len(all))
	writeJSON(w, http.StatusOK, append([]map[string]any{}, all[from:to]...))
}

func (s *Server) apiVersions(r *http.Request, image string) []map[string]any {
	rows, _ := s.state.rows(image)
	out := make([]map[string]any, 0, len(rows))
	for _, v := range rows {
		out = append(out, apiVersion(s.root(r), image, v))
	}
	return out
}

func apiUser(root, login string) map[string]any {
	return map[string]any{"id": 1, "login": login, "username": login, "full_name": "", "html_url": root + "/" + login}
}

// apiVersion is a row of the package list, and the package of an event.
func apiVersion(root, image string, v version) map[string]any {
	owner, name, _ := strings.Cut(image, "/")
	return map[string]any{
		"id": v.id, "owner": apiUser(root, owner), "repository": nil, "creator": apiUser(root, v.creator),
		"type": "container", "name": name, "version": v.name,
		"html_url":   root + "/" + owner + "/-/packages/container/" + url.PathEscape(name) + "/" + url.PathEscape(v.name),
		"created_at": v.created.Format(time.RFC3339),
	}
}
