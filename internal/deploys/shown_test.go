package deploys_test

import (
	"fmt"
	"testing"

	"deployportal/internal/deploys"
	"deployportal/internal/deploys/deploystest"
)

// TestServing: what answers requests is named by what its pods run, also where the deploy before was held and never served.
func TestServing(t *testing.T) {
	const repo = "git.example.org/acme/api"
	version := func(tag string) deploys.Version {
		return deploys.Version{Repository: repo, Tag: tag, Images: map[string]string{"api": repo + ":" + tag, "a-tool": "busybox"}}
	}
	known := deploys.Version{Repository: repo, Digest: deploystest.Digest("bare"), Images: map[string]string{"api": repo}} // its pods told the digest
	for _, c := range []struct {
		name  string
		from  deploys.Version
		ready map[string]int // by ReplicaSet
		want  string
	}{
		{"before it", version("bbbbbbb"), map[string]int{"b": 3}, "3 pods of bbbbbbb, untouched. 3 wanted."},
		{"what came before a deploy that was held", version("bbbbbbb"), map[string]int{"a": 3}, "3 pods of aaaaaaa, untouched. 3 wanted."},
		{"two old ones", version("bbbbbbb"), map[string]int{"a": 2, "b": 1}, "2 pods of aaaaaaa and 1 pod of bbbbbbb, untouched. 3 wanted."},
		{"all three", version("bbbbbbb"), map[string]int{"a": 1, "b": 1, "c": 1}, "1 pod of aaaaaaa, 1 pod of bbbbbbb and 1 pod of ccccccc. 3 wanted."},
		{"one image in two templates", version("bbbbbbb"), map[string]int{"a": 1, "again": 2}, "3 pods of aaaaaaa, untouched. 3 wanted."},
		{"a digest that only pods told", known, map[string]int{"bare": 1}, "1 pod of " + known.Short() + ", untouched. 3 wanted."},
		{"the new one", version("bbbbbbb"), map[string]int{"c": 3}, "3 pods of ccccccc. 3 wanted."},
		{"nothing", version("bbbbbbb"), nil, "nothing. No pod is ready."},
	} {
		r := &deploys.Rollout{Exists: true, Desired: 3, ReplicaSets: []deploys.ReplicaSet{
			{Name: "c", Template: "c", Images: version("ccccccc").Images}, {Name: "b", Template: "b", Images: version("bbbbbbb").Images},
			{Name: "again", Template: "again", Images: version("aaaaaaa").Images}, {Name: "a", Template: "a", Images: version("aaaaaaa").Images},
			{Name: "bare", Template: "bare", Images: map[string]string{"api": repo, "a-tool": "busybox"}}}}
		for rs, n := range c.ready {
			for i := range n {
				r.Pods = append(r.Pods, deploys.Pod{Name: fmt.Sprint(rs, i), ReplicaSet: rs, Phase: "Running", Ready: true})
			}
		}
		d := deploys.Deploy{Template: "c", From: c.from, To: version("ccccccc")}
		if got := d.Serving(r, deploys.Version.Short); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}
