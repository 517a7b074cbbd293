package main

import (
	"fmt"
	"io"
	"log"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"deployportal/devstack/workloads"
)

// pushTo pushes an image made of this test's own binary, an ELF file like any other.
func pushTo(t *testing.T, host string, image workloads.Image) workloads.Pushed {
	t.Helper()
	image.Repository, image.Env = "acme/api", map[string]string{"WORKLOAD_VERSION": "1"}
	pushed, err := pushImage(t.Context(), os.Args[0], workloads.Request{Registry: host}, image)
	if err != nil {
		t.Fatal(err)
	}
	return pushed
}

func host(t *testing.T) string {
	server := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	t.Cleanup(server.Close)
	return strings.TrimPrefix(server.URL, "http://")
}

func TestIndexesLookLikeBuildx(t *testing.T) {
	native, foreign := "linux/"+runtime.GOARCH, "linux/"+foreignArch()
	host := host(t)
	for platforms, want := range map[string][]string{
		workloads.Both:           {native, foreign, "unknown/unknown", "unknown/unknown"},
		workloads.ForeignOnly:    {foreign, "unknown/unknown"},
		workloads.ForeignProgram: {native, "unknown/unknown"},
	} {
		pushed := pushTo(t, host, workloads.Image{Tag: "t" + platforms, Platforms: platforms})
		tag, err := name.ParseReference(pushed.Reference)
		if err != nil {
			t.Fatal(err)
		}
		index, err := remote.Index(tag)
		if err != nil {
			t.Fatal(err)
		}
		manifest, err := index.IndexManifest()
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, m := range manifest.Manifests {
			got = append(got, m.Platform.OS+"/"+m.Platform.Architecture)
			if m.Platform.OS == "unknown" && m.Annotations["vnd.docker.reference.digest"] != pushed.Manifests[got[0]] && len(got) == 3 {
				t.Errorf("%q: an attestation speaks of %s", platforms, m.Annotations["vnd.docker.reference.digest"])
			}
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%q: got %v, want %v", platforms, got, want)
		}
	}
	plain := pushTo(t, host, workloads.Image{Tag: "plain", Platforms: workloads.NativeOnly})
	tag, err := name.ParseReference(plain.Reference)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := remote.Get(tag); err != nil || got.MediaType.IsIndex() || got.Digest.String() != plain.Digest {
		t.Errorf("native: got %+v, %v, want a plain manifest", got, err)
	}
}

func TestVariantsShareTheConfig(t *testing.T) {
	host := host(t)
	one := pushTo(t, host, workloads.Image{Tag: "one"})
	two := pushTo(t, host, workloads.Image{Tag: "two", Variant: "rebuilt"})
	again := pushTo(t, host, workloads.Image{Tag: "again"})
	if one.Digest == two.Digest || fmt.Sprint(one.Configs) != fmt.Sprint(two.Configs) {
		t.Errorf("got %+v and %+v, want other digests and the same configs", one, two)
	}
	if one.Digest != again.Digest {
		t.Errorf("the same image twice: got %s and %s", one.Digest, again.Digest)
	}
}

func TestWrongRequestsAreRefused(t *testing.T) {
	_, err := pushImage(t.Context(), os.Args[0], workloads.Request{Registry: "127.0.0.1:1"}, workloads.Image{Repository: "a", Tag: "b", Platforms: "vax"})
	if err == nil || !strings.Contains(err.Error(), "vax") {
		t.Errorf("got %v", err)
	}
	script := filepath.Join(t.TempDir(), "script")
	if err := os.WriteFile(script, []byte("#!/bin/sh\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := pushImage(t.Context(), script, workloads.Request{Registry: "127.0.0.1:1"}, workloads.Image{Repository: "a", Tag: "b"}); err == nil || !strings.Contains(err.Error(), "ELF") {
		t.Errorf("a script as the program: got %v", err)
	}
}
