package giteatest

import (
	"net/http"
	"strconv"
	"strings"
	"time"
)

// apiRepo serves the part of the repository API that the portal reads.
func (s *Server) apiRepo(w http.ResponseWriter, r *http.Request, key, rest string) {
	found := s.state.withRepo(strings.ToLower(key), func(re *repo) {
		switch {
		case rest == "":
			writeJSON(w, http.StatusOK, map[string]any{"full_name": re.owner + "/" + re.name, "default_branch": "main", "empty": re.head == ""})
		case rest == "commits":
			s.apiCommits(w, r, re)
		case strings.HasPrefix(rest, "git/commits/"):
			c, ok := re.find(strings.TrimPrefix(rest, "git/commits/"))
			if !ok {
				s.apiError(w, r, http.StatusNotFound, "not found")
				return
			}
			writeJSON(w, http.StatusOK, s.apiCommit(r, re, c))
		case strings.HasPrefix(rest, "commits/") && strings.HasSuffix(rest, "/status"):
			s.apiStatus(w, r, re, strings.TrimSuffix(strings.TrimPrefix(rest, "commits/"), "/status"))
		case strings.HasPrefix(rest, "compare/"):
			s.apiCompare(w, r, re, strings.TrimPrefix(rest, "compare/"))
		default:
			http.NotFound(w, r)
		}
	})
	if !found {
		s.apiError(w, r, http.StatusNotFound, "not found")
	}
}

// apiCommits lists history newest first, without what not names.
func (s *Server) apiCommits(w http.ResponseWriter, r *http.Request, re *repo) {
	q := r.URL.Query()
	if re.head == "" {
		s.apiError(w, r, http.StatusConflict, "Git Repository is empty.")
		return
	}
	c, ok := re.find(q.Get("sha"))
	if !ok {
		writeJSON(w, http.StatusNotFound, nil) // Gitea says no more here
		return
	}
	var not map[string]bool
	if n := q.Get("not"); n != "" {
		base, ok := re.find(n)
		if !ok {
			s.apiError(w, r, http.StatusInternalServerError, "") // git's own failure, which Gitea does not translate
			return
		}
		not = re.ancestors(base.SHA)
	}
	all := re.history(c.SHA, not)
	from, to := s.page(w, r, len(all))
	w.Header().Set("X-Total", strconv.Itoa(len(all)))
	w.Header().Set("X-HasMore", strconv.FormatBool(to < len(all)))
	out := []map[string]any{}
	for _, c := range all[from:to] {
		out = append(out, s.apiCommit(r, re, c))
	}
	writeJSON(w, http.StatusOK, out)
}

func (s *Server) apiCommit(r *http.Request, re *repo, c Commit) map[string]any {
	home := s.root(r) + "/" + re.owner + "/" + re.name
	person := map[string]any{"name": c.Author, "email": c.Email, "date": c.At.Format(time.RFC3339)}
	parents := []any{}
	if c.Parent != "" {
		parents = append(parents, map[string]string{"sha": c.Parent})
	}
	answer := map[string]any{
		"sha": c.SHA, "html_url": home + "/commit/" + c.SHA, "created": c.At.Format(time.RFC3339),
		"author": nil, "committer": nil, "parents": parents,
		"commit": map[string]any{"message": c.Message, "author": person, "committer": person},
	}
	if want := r.URL.Query().Get("files"); want == "" || want == "true" {
		files := []map[string]string{}
		for _, f := range c.Files {
			files = append(files, map[string]string{"filename": f.Path, "status": f.Status})
		}
		answer["files"] = files
	}
	return answer
}

// apiCompare lists what head has and base has not, unpaged; two or three dots.
func (s *Server) apiCompare(w http.ResponseWriter, r *http.Request, re *repo, spec string) {
	base, head, ok := strings.Cut(spec, "..")
	a, okA := re.find(base)
	b, okB := re.find(strings.TrimPrefix(head, "."))
	if !ok || !okA || !okB {
		s.apiError(w, r, http.StatusNotFound, "not found")
		return
	}
	out := []map[string]any{}
	for _, c := range re.history(b.SHA, re.ancestors(a.SHA)) {
		out = append(out, s.apiCommit(r, re, c))
	}
	writeJSON(w, http.StatusOK, map[string]any{"total_commits": len(out), "commits": out})
}

// apiStatus combines the newest status of each context. No status at all is pending with a null list.
func (s *Server) apiStatus(w http.ResponseWriter, r *http.Request, re *repo, ref string) {
	c, ok := re.find(ref)
	if !ok {
		s.apiError(w, r, http.StatusNotFound, "not found")
		return
	}
	newest := map[string]int{}
	for i, st := range re.statuses[c.SHA] {
		newest[st.Context] = i
	}
	var list []map[string]any
	state := "success"
	for i, st := range re.statuses[c.SHA] {
		if newest[st.Context] != i {
			continue
		}
		list = append(list, map[string]any{
			"id": i + 1, "status": st.State, "context": st.Context, "description": st.Description, "target_url": st.TargetURL,
		})
		switch st.State {
		case "error", "failure", "warning":
			state = "failure"
		case "success", "skipped":
		default:
			if state == "success" {
				state = "pending"
			}
		}
	}
	if len(list) == 0 {
		state = "pending"
	}
	writeJSON(w, http.StatusOK, map[string]any{"state": state, "sha": c.SHA, "total_count": len(list), "statuses": list})
}
