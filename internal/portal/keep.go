package portal

import (
	"context"
	"regexp"
	"slices"
	"strings"

	"deployportal/internal/deploys"
	"deployportal/internal/errs"
)

// Keep is an image that must stay in the registry.
type Keep struct {
	App        string `json:"app"`
	Env        string `json:"env"`
	Repository string `json:"repository"`
	Tag        string `json:"tag,omitempty"`
	Digest     string `json:"digest,omitempty"`
	Why        string `json:"why"`
}

// Keep lists what every target runs, is about to run, or can be rolled back to: of the latter the newest n. Errors:
// errs.Invalid for an n below 1, else the database's.
func (s *Store) Keep(ctx context.Context, n int) ([]Keep, error) {
	if n < 1 {
		return nil, errs.New(errs.Invalid, "Keep at least one image that ran well, or nothing can be rolled back to.")
	}
	kept, err := deploys.NewPast(s.db).Keep(ctx, n)
	out := []Keep{}
	for _, k := range kept {
		out = append(out, Keep{k.Target.App, k.Target.Env, k.Repository, k.Tag, k.Digest, k.Why})
	}
	return out, err
}

// KeepPattern is a regular expression that Gitea's cleanup rules take: it matches the versions of a list and no other. Gitea
// puts \A and \z around it without a group, so it brings its own. The untagged parts of a multi-platform image need no
// mention: Gitea spares them while an index that stays refers to them. A list of nothing gives a pattern that matches nothing.
func KeepPattern(list []Keep) string {
	var words []string
	for _, k := range list {
		word := k.Tag
		if word == "" {
			word = k.Digest
		}
		if word = regexp.QuoteMeta(word); !slices.Contains(words, word) {
			words = append(words, word)
		}
	}
	slices.Sort(words)
	if len(words) == 0 {
		return "(?:[^\\s\\S])"
	}
	return "(?:" + strings.Join(words, "|") + ")"
}
