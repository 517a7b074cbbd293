package giteatest

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// maxPush bounds what one request may store; the fake keeps everything in memory.
const maxPush = 32 << 20

var v2Path = regexp.MustCompile(`^/v2/(.+)/(tags/list|manifests/[^/]+|blobs/uploads/[^/]*|blobs/[^/]+)$`)

// registry serves everything under /v2.
func (s *Server) registry(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/v2/token" {
		s.token(w, r)
		return
	}
	who, ok := s.authRegistry(r)
	if !ok {
		realm := "http://" + r.Host + "/v2/token"
		if u, err := url.Parse(s.o.RootURL); err == nil && u.Host != "" {
			realm = u.Scheme + "://" + u.Host + "/v2/token" // always at the root, whatever the sub-path
		}
		w.Header().Add("WWW-Authenticate", `Bearer realm="`+realm+`",service="container_registry",scope="*"`)
		w.Header().Add("WWW-Authenticate", `Basic realm="Gitea Container Registry"`)
		ociError(w, http.StatusUnauthorized, "UNAUTHORIZED")
		return
	}
	switch r.URL.Path {
	case "/v2", "/v2/":
		w.Header().Set("Docker-Distribution-Api-Version", "registry/2.0")
		w.WriteHeader(http.StatusOK)
		return
	case "/v2/_catalog":
		s.catalog(w, r, who)
		return
	}
	m := v2Path.FindStringSubmatch(r.URL.Path)
	if m == nil || !strings.Contains(m[1], "/") {
		http.NotFound(w, r)
		return
	}
	scope := "read:package"
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		scope = "write:package"
	}
	if !s.sees(who) || !who.may(scope) || (scope == "write:package" && who == nil) {
		w.Header().Set("WWW-Authenticate", `Basic realm="Gitea Package API"`)
		http.Error(w, "reqPackageAccess", http.StatusUnauthorized)
		return
	}
	s.image(w, r, who, strings.ToLower(m[1]), m[2])
}

// image serves what belongs to one image.
func (s *Server) image(w http.ResponseWriter, r *http.Request, who *Account, image, rest string) {
	kind, arg, _ := strings.Cut(rest, "/")
	upload, isUpload := strings.CutPrefix(arg, "uploads/")
	read := r.Method == http.MethodGet || r.Method == http.MethodHead
	switch {
	case kind == "tags" && read:
		s.tagList(w, r, image)
	case kind == "manifests" && read:
		s.getManifest(w, r, image, arg)
	case kind == "manifests" && r.Method == http.MethodPut:
		s.pushManifest(w, r, who, image, arg)
	case kind == "manifests" && r.Method == http.MethodDelete:
		if !s.state.deleteVersion(image, arg, who.Name) {
			ociError(w, http.StatusNotFound, "MANIFEST_UNKNOWN")
			return
		}
		w.WriteHeader(http.StatusAccepted)
	case kind == "blobs" && isUpload:
		s.upload(w, r, image, upload)
	case kind == "blobs" && read:
		s.getBlob(w, r, image, arg)
	default:
		w.WriteHeader(http.StatusMethodNotAllowed)
	}
}

func ociError(w http.ResponseWriter, status int, code string) {
	w.Header().Set("Docker-Distribution-Api-Version", "registry/2.0")
	writeJSON(w, status, map[string]any{"errors": []any{map[string]string{"code": code, "message": ""}}})
}

func (s *Server) catalog(w http.ResponseWriter, r *http.Request, who *Account) {
	n, err := strconv.Atoi(r.URL.Query().Get("n"))
	if err != nil || n > 100 || n < 0 {
		n = 100
	}
	names := []string{}
	if s.sees(who) && who.may("read:package") {
		for _, name := range s.state.images() {
			if name > r.URL.Query().Get("last") && len(names) < n {
				names = append(names, name)
			}
		}
	}
	if len(names) == n && n > 0 {
		v := url.Values{"n": {strconv.Itoa(n)}, "last": {names[n-1]}}
		w.Header().Set("Link", `</v2/_catalog?`+v.Encode()+`>; rel="next"`)
	}
	writeJSON(w, http.StatusOK, map[string]any{"repositories": names})
}

// tagList gives tags by name. Gitea sets Link whenever it gave a tag, on the last page too.
func (s *Server) tagList(w http.ResponseWriter, r *http.Request, image string) {
	tags, ok := s.state.tags(image)
	if !ok {
		ociError(w, http.StatusNotFound, "NAME_UNKNOWN")
		return
	}
	q := r.URL.Query()
	if last := strings.ToLower(q.Get("last")); last != "" {
		tags = slices.DeleteFunc(tags, func(t string) bool { return t <= last })
	}
	v := url.Values{}
	if q.Get("n") != "" {
		n, _ := strconv.Atoi(q.Get("n"))
		tags = tags[:min(max(n, 0), len(tags))]
		if n > 0 {
			v.Set("n", strconv.Itoa(n))
		}
	}
	if len(tags) > 0 {
		v.Set("last", tags[len(tags)-1])
		w.Header().Set("Link", fmt.Sprintf(`</v2/%s/tags/list?%s>; rel="next"`, image, v.Encode()))
	}
	writeJSON(w, http.StatusOK, map[string]any{"name": image, "tags": tags})
}

// getManifest gives what is stored, whatever the request accepts.
func (s *Server) getManifest(w http.ResponseWriter, r *http.Request, image, ref string) {
	v, ok := s.state.manifest(image, ref)
	if !ok {
		ociError(w, http.StatusNotFound, "MANIFEST_UNKNOWN")
		return
	}
	s.content(w, r, v.digest, v.mediaType, v.manifest)
}

func (s *Server) getBlob(w http.ResponseWriter, r *http.Request, image, digest string) {
	b, ok := s.state.blob(image, digest)
	if !ok {
		ociError(w, http.StatusNotFound, "BLOB_UNKNOWN")
		return
	}
	s.content(w, r, digest, "application/octet-stream", b)
}

func (s *Server) content(w http.ResponseWriter, r *http.Request, digest, mediaType string, b []byte) {
	h := w.Header()
	h.Set("Docker-Distribution-Api-Version", "registry/2.0")
	h.Set("Docker-Content-Digest", digest)
	h.Set("ETag", `"`+digest+`"`)
	h.Set("Content-Type", mediaType)
	h.Set("Content-Length", strconv.Itoa(len(b)))
	w.WriteHeader(http.StatusOK)
	if r.Method != http.MethodHead {
		_, _ = w.Write(b) // the reader may be gone; there is nobody to tell
	}
}

// upload serves the three steps of a blob's way in: POST opens, PATCH appends, PUT ends.
func (s *Server) upload(w http.ResponseWriter, r *http.Request, image, id string) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxPush))
	if err != nil {
		ociError(w, http.StatusRequestEntityTooLarge, "SIZE_INVALID")
		return
	}
	digest := r.URL.Query().Get("digest")
	switch r.Method {
	case http.MethodPost:
		if mount := r.URL.Query().Get("mount"); mount != "" {
			if b, ok := s.state.blob(r.URL.Query().Get("from"), mount); ok {
				s.state.putBlob(image, b)
				stored(w, image, "blobs", mount, mount)
				return
			}
		}
		id = s.state.openUpload()
	case http.MethodPatch, http.MethodPut:
	default:
		w.WriteHeader(http.StatusMethodNotAllowed)
		return
	}
	whole, ok := s.state.appendUpload(id, body)
	if !ok {
		ociError(w, http.StatusNotFound, "BLOB_UPLOAD_UNKNOWN")
		return
	}
	if r.Method == http.MethodPut || digest != "" {
		if digestOf(whole) != digest {
			ociError(w, http.StatusBadRequest, "DIGEST_INVALID")
			return
		}
		s.state.putBlob(image, slices.Clone(whole))
		s.state.closeUpload(id)
		stored(w, image, "blobs", digest, digest)
		return
	}
	w.Header().Set("Location", "/v2/"+image+"/blobs/uploads/"+id)
	w.Header().Set("Docker-Upload-Uuid", id)
	w.Header().Set("Range", fmt.Sprintf("0-%d", max(len(whole)-1, 0)))
	w.WriteHeader(http.StatusAccepted)
}

func stored(w http.ResponseWriter, image, kind, ref, digest string) {
	w.Header().Set("Location", "/v2/"+image+"/"+kind+"/"+ref)
	w.Header().Set("Docker-Content-Digest", digest)
	w.WriteHeader(http.StatusCreated)
}

var tagPattern = regexp.MustCompile(`^[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}$`)

// pushManifest stores a manifest whose parts must be there already; an index inside an index is refused.
func (s *Server) pushManifest(w http.ResponseWriter, r *http.Request, who *Account, image, ref string) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxPush))
	type part struct{ Digest, MediaType string }
	var m struct {
		MediaType string
		Config    part
		Layers    []part
		Manifests []part
	}
	if err != nil || json.Unmarshal(body, &m) != nil || (!isDigest(ref) && !tagPattern.MatchString(ref)) ||
		(isDigest(ref) && ref != digestOf(body)) {
		ociError(w, http.StatusBadRequest, "MANIFEST_INVALID")
		return
	}
	for _, child := range m.Manifests {
		if strings.Contains(child.MediaType, "index") || strings.Contains(child.MediaType, "manifest.list") {
			ociError(w, http.StatusBadRequest, "MANIFEST_INVALID")
			return
		}
		if _, ok := s.state.manifest(image, child.Digest); !ok {
			ociError(w, http.StatusNotFound, "BLOB_UNKNOWN")
			return
		}
	}
	if len(m.Manifests) == 0 {
		for _, blob := range append([]part{m.Config}, m.Layers...) {
			if _, ok := s.state.blob(image, blob.Digest); !ok {
				ociError(w, http.StatusNotFound, "BLOB_UNKNOWN")
				return
			}
		}
	}
	mediaType := r.Header.Get("Content-Type")
	if mediaType == "" {
		mediaType = m.MediaType
	}
	v := s.state.putManifest(image, ref, mediaType, who.Name, body, time.Time{})
	stored(w, image, "manifests", ref, v.digest)
}
