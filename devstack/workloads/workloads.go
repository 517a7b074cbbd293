// Package workloads makes the sample images: small static Go programs whose behaviour is set by the image. It pushes them
// to any registry, with multi-platform indexes and attestations as a build tool does.
//
// The work is done by a tool of its own module (folder images), so that whoever uses this package compiles none of it:
//
//	pushed, err := workloads.Push(ctx, stack.Info().Workloads, workloads.Request{
//		Registry: "127.0.0.1:5000",
//		Images: []workloads.Image{
//			{Repository: "acme/api", Tag: "3f9c2d1a...", Behaviour: workloads.Behaviour{StartDelay: "3s"}},
//			{Repository: "acme/api", Tag: "77ab01ce...", Behaviour: workloads.Crash("fatal error: ...", 2)},
//		},
//	})
package workloads

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"strings"
)

// Behaviour is what an image's program does. The zero value is a well-behaved web app: it answers at /, /healthz and
// /api/health on port 8000 as soon as it has started, and ends at once when asked to. Durations are Go's ("1.5s").
// Each field is an environment variable of the image, so a pod may set it differently: WORKLOAD_ and the field's JSON name
// in capitals.
type Behaviour struct {
	Port           string            `json:"port,omitempty"`             // default 8000
	Log            string            `json:"log,omitempty"`              // more lines at the start
	StartDelay     string            `json:"start_delay,omitempty"`      // the port is closed until then
	Lock           string            `json:"lock,omitempty"`             // URL of a lock service: start only when it is our turn
	LockHold       string            `json:"lock_hold,omitempty"`        // how long the turn takes
	LockServer     string            `json:"lock_server,omitempty"`      // "1": be that service, at /lock
	CrashAfter     string            `json:"crash_after,omitempty"`      // end this long after the process has started
	ExitAfterReady string            `json:"exit_after_ready,omitempty"` // end this long after the port has opened
	LastWords      string            `json:"last_words,omitempty"`       // on stderr at such an end
	ExitCode       string            `json:"exit_code,omitempty"`        // of such an end; default 0
	EatMiB         string            `json:"eat_mib,omitempty"`          // take so much memory
	Status         string            `json:"status,omitempty"`           // "/path=503,/other=404": answers that differ
	FailEvery      string            `json:"fail_every,omitempty"`       // "2": every second request for / is answered 502
	Env            map[string]string `json:"-"`                          // more variables, under their own names
}

// Crash is a program that prints its last words and ends soon after its start.
func Crash(lastWords string, exitCode int) Behaviour {
	return Behaviour{CrashAfter: "300ms", LastWords: lastWords, ExitCode: fmt.Sprint(exitCode)}
}

// Platforms of an Image, as seen from the machine that pushes it. "Native" is its own, "foreign" the other one of amd64
// and arm64.
const (
	Both           = ""                // an index with a manifest for each
	NativeOnly     = "native"          // a plain manifest, no index
	ForeignOnly    = "foreign"         // an index in which the native platform is missing
	ForeignProgram = "foreign-program" // the manifest says native, the program is not: "exec format error"
)

// Image is one image to push.
type Image struct {
	Repository string    `json:"repository"` // "acme/api"
	Tag        string    `json:"tag"`        // by custom the commit's SHA, 40 hex digits
	Behaviour  Behaviour `json:"-"`
	Platforms  string    `json:"platforms,omitempty"`
	// Variant makes another manifest around the same config: same program, same behaviour, other digest.
	Variant string `json:"variant,omitempty"`
	// WithoutAttestation leaves the provenance manifests out of an index.
	WithoutAttestation bool              `json:"withoutAttestation,omitempty"`
	Env                map[string]string `json:"env"` // filled by Push from Behaviour
}

// Request is what to push, and where.
type Request struct {
	Registry string  `json:"registry"` // host and port; plain http when it is a loopback address
	Username string  `json:"username,omitempty"`
	Password string  `json:"password,omitempty"`
	Images   []Image `json:"images"`
}

// Pushed tells what the registry now has.
type Pushed struct {
	Reference string            `json:"reference"` // host/repository:tag
	Digest    string            `json:"digest"`    // of what the tag names
	Manifests map[string]string `json:"manifests"` // platform ("linux/amd64") -> digest of its manifest
	Configs   map[string]string `json:"configs"`   // platform -> digest of its config
}

// Push builds the images and pushes them. tool is the command line in devstack.json ("workloads").
// The error carries the tool's own words.
func Push(ctx context.Context, tool []string, request Request) ([]Pushed, error) {
	if len(tool) == 0 {
		return nil, errors.New("no tool to make images with: start devstack with real nodes")
	}
	for i := range request.Images {
		env, err := request.Images[i].variables()
		if err != nil {
			return nil, err
		}
		request.Images[i].Env = env
	}
	in, err := json.Marshal(request)
	if err != nil {
		return nil, fmt.Errorf("encode request: %w", err)
	}
	cmd := exec.CommandContext(ctx, tool[0], append(append([]string{}, tool[1:]...), "push")...)
	var stderr bytes.Buffer
	cmd.Stdin, cmd.Stderr = bytes.NewReader(in), &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("push images: %w: %s", err, strings.TrimSpace(stderr.String()))
	}
	var pushed []Pushed
	if err := json.Unmarshal(out, &pushed); err != nil {
		return nil, fmt.Errorf("decode answer of the image tool: %w", err)
	}
	return pushed, nil
}

// variables turns the behaviour into the image's environment.
func (i Image) variables() (map[string]string, error) {
	text, err := json.Marshal(i.Behaviour)
	if err != nil {
		return nil, fmt.Errorf("encode behaviour: %w", err)
	}
	fields := map[string]string{}
	if err := json.Unmarshal(text, &fields); err != nil {
		return nil, fmt.Errorf("decode behaviour: %w", err)
	}
	env := map[string]string{"WORKLOAD_NAME": i.Repository, "WORKLOAD_VERSION": i.Tag}
	for name, value := range fields {
		env["WORKLOAD_"+strings.ToUpper(name)] = value
	}
	for name, value := range i.Behaviour.Env {
		env[name] = value
	}
	return env, nil
}
