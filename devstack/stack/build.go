package stack

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"sort"
	"strings"
	"time"
)

// binary is a program that devstack builds from a module of its own.
type binary struct {
	name    string   // file name
	dir     string   // the folder under devstack/ to build in; empty means name
	also    string   // one more folder under devstack/ whose sources it is made of
	pkg     string   // what to build
	ldflags []string // beyond -s -w
	tags    string   // build tags, separated by commas
	cgo     bool     // needs a C compiler
	what    string   // for people
	minutes int      // how long the first build takes on a small machine, for people
}

// binaries returns what a start needs, with the Kubernetes version that kube/go.mod asks for.
func binaries(source string) (kube, kwok binary, version string, err error) {
	version, err = requiredVersion(filepath.Join(source, "kube", "go.mod"), "k8s.io/kubernetes")
	if err != nil {
		return binary{}, binary{}, "", err
	}
	kwokVersion, err := requiredVersion(filepath.Join(source, "kwok", "go.mod"), "sigs.k8s.io/kwok")
	if err != nil {
		return binary{}, binary{}, "", err
	}
	number := strings.SplitN(strings.TrimPrefix(version, "v"), ".", 3)
	// Without these the API server calls itself v0.0.0-master, and clients that look at the version go wrong.
	const stamp = "-X k8s.io/component-base/version."
	kube = binary{
		name: "kube", pkg: ".", what: "Kubernetes " + version, minutes: 5,
		ldflags: []string{stamp + "gitVersion=" + version, stamp + "gitMajor=" + number[0], stamp + "gitMinor=" + number[1]},
	}
	kwok = binary{name: "kwok", pkg: "sigs.k8s.io/kwok/cmd/kwok", what: "kwok " + kwokVersion, minutes: 2}
	return kube, kwok, version, nil
}

// giteaBinary is Gitea, unmodified, with the version that gitea/go.mod asks for.
func giteaBinary(source string) (b binary, version, module string, err error) {
	const path = "code.gitea.io/gitea"
	version, err = requiredVersion(filepath.Join(source, "gitea", "go.mod"), path)
	if err != nil {
		return binary{}, "", "", err
	}
	b = binary{
		name: "gitea", pkg: path, what: "Gitea " + version, minutes: 6,
		ldflags: []string{"-X main.Version=" + strings.TrimPrefix(version, "v")},
		tags:    "sqlite,sqlite_unlock_notify", cgo: true,
	}
	return b, version, path + "@" + version, nil
}

// nodeBinaries are what real nodes need besides: a node's first process, which is the pause container too, the sample
// program, and the tool that makes images of it.
func nodeBinaries() (node, app, images binary) {
	node = binary{name: "node", pkg: ".", what: "node"}
	app = binary{name: "app", dir: "workloads/app", pkg: ".", what: "sample program"}
	images = binary{name: "images", dir: "workloads/images", also: "workloads", pkg: ".", what: "image tool", minutes: 1}
	return node, app, images
}

// requiredVersion reads from a go.mod which version of a module it requires.
func requiredVersion(gomod, module string) (string, error) {
	text, err := os.ReadFile(gomod)
	if err != nil {
		return "", fmt.Errorf("read required versions: %w", err)
	}
	m := regexp.MustCompile(`(?m)^(?:require)?\s*` + regexp.QuoteMeta(module) + ` (v\d+\.\d+\.\S+)`).FindSubmatch(text)
	if m == nil {
		return "", fmt.Errorf("%s does not require %s", gomod, module)
	}
	return string(m[1]), nil
}

// ensure returns the path of the built binary. It builds it when this combination of sources, Go version and platform
// was never built on this machine; the result is shared by all checkouts of the user. Of several processes that need
// the same binary one builds and the others wait.
func (b binary) ensure(ctx context.Context, source, cache string, progress *Progress) (string, error) {
	module := filepath.Join(source, b.folder())
	key, err := b.key(source)
	if err != nil {
		return "", err
	}
	dir := filepath.Join(cache, key)
	path := filepath.Join(dir, b.name+exeSuffix())
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", fmt.Errorf("create cache folder: %w", err)
	}
	unlock, err := waitLock(ctx, filepath.Join(dir, b.name+".lock"), b.what+" is being built by another devstack, waiting", progress)
	if err != nil {
		return "", err
	}
	defer unlock()
	if _, err := os.Stat(path); err == nil { // built while we waited
		return path, nil
	}
	what := "building " + b.what
	if b.minutes > 0 {
		what += fmt.Sprintf(" (first time: about %d minutes)", b.minutes)
	}
	end := progress.Step(what)
	err = b.build(ctx, module, path)
	end(err)
	if err != nil {
		return "", err
	}
	return path, nil
}

// build compiles to a temporary name and renames, so that a killed build never leaves half a binary under the name
// that others look for.
func (b binary) build(ctx context.Context, module, path string) error {
	tmp := path + ".tmp"
	defer os.Remove(tmp)
	args := []string{"build", "-mod=readonly", "-buildvcs=false", "-trimpath", "-ldflags", b.flags(), "-o", tmp}
	if b.tags != "" {
		args = append(args, "-tags", b.tags)
	}
	args = append(args, b.pkg)
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = module
	cmd.Env = append(os.Environ(), "CGO_ENABLED="+b.cgoEnabled(), "GOWORK=off", "PWD="+module)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) } // go stops its compilers on an interrupt
	cmd.WaitDelay = 10 * time.Second
	out := &bytes.Buffer{}
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			return fmt.Errorf("build %s: %w", b.what, context.Cause(ctx))
		}
		return fmt.Errorf("build %s: go %s: %w\n%s", b.what, strings.Join(args, " "), err, lastLines(out.String(), 20))
	}
	if err := os.Rename(tmp, path); err != nil {
		return fmt.Errorf("put %s in place: %w", b.name, err)
	}
	return nil
}

func (b binary) cgoEnabled() string {
	if b.cgo {
		return "1"
	}
	return "0"
}

func (b binary) flags() string { return strings.Join(append([]string{"-s -w"}, b.ldflags...), " ") }

func (b binary) folder() string {
	if b.dir != "" {
		return filepath.FromSlash(b.dir)
	}
	return b.name
}

// key names what the binary is made of: the sources, the flags, the Go version and the platform.
func (b binary) key(source string) (string, error) {
	var files []string
	for _, pattern := range []string{"*.go", "go.mod", "go.sum"} {
		for _, folder := range []string{b.folder(), filepath.FromSlash(b.also)} {
			if folder == "" {
				continue
			}
			found, err := filepath.Glob(filepath.Join(source, folder, pattern))
			if err != nil {
				return "", fmt.Errorf("list sources of %s: %w", b.name, err)
			}
			files = append(files, found...)
		}
	}
	sort.Strings(files)
	sum := sha256.New()
	fmt.Fprintf(sum, "%s\n%s\n%s/%s\n%s\n", b.pkg, runtime.Version(), runtime.GOOS, runtime.GOARCH, b.flags())
	if b.tags != "" || b.cgo {
		fmt.Fprintf(sum, "tags %s, cgo %s\n", b.tags, b.cgoEnabled())
	}
	for _, name := range files {
		if err := hashFile(sum, name); err != nil {
			return "", fmt.Errorf("hash sources of %s: %w", b.name, err)
		}
	}
	return b.name + "-" + hex.EncodeToString(sum.Sum(nil))[:16], nil
}

func hashFile(sum io.Writer, name string) error {
	content, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	fmt.Fprintf(sum, "%s %d\n", filepath.Base(name), len(content))
	_, err = sum.Write(content)
	return err
}

// waitLock takes the lock, waiting as long as another process holds it.
func waitLock(ctx context.Context, path, waiting string, progress *Progress) (unlock func(), err error) {
	unlock, err = tryLock(path)
	if !errors.Is(err, errLocked) {
		return unlock, err
	}
	end := progress.Step(waiting)
	err = poll(ctx, 200*time.Millisecond, func() (bool, error) {
		var err error
		unlock, err = tryLock(path)
		if errors.Is(err, errLocked) {
			return false, nil
		}
		return err == nil, err
	})
	end(err)
	return unlock, err
}

func exeSuffix() string {
	if runtime.GOOS == "windows" {
		return ".exe"
	}
	return ""
}
