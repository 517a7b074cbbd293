// Package demo shows the portal at work: a cluster with simulated nodes, a registry with sample images, the sample team's
// apps, and the portal itself with the rights of its own ServiceAccount.
package demo

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"deployportal/devstack/stack"
)

// Options say where the demo lives.
type Options struct {
	Stack    stack.Options
	Root     string    // of the checkout
	Out      io.Writer // where the address and the account are printed
	Progress *stack.Progress
}

// account is who may sign in.
const account = "demo"

type demo struct {
	o     Options
	s     *stack.Stack
	state string
	gitea gitea
	port  int
	url   string
}

// gitea is what the fake one says of itself.
type gitea struct {
	URL, Host, User, Token string
	Apps                   []struct{ Name, Image, Git, Tag, Digest string }
}

// Run starts everything, prints the address and the account, and keeps it until ctx ends. A portal that ends is
// started again, as Kubernetes would.
func Run(ctx context.Context, o Options) error {
	bin := filepath.Join(o.Root, ".dev", "bin")
	end := o.Progress.Step("building the portal (first time: about 3 minutes)")
	err := build(ctx, o.Root, bin)
	end(err)
	if err != nil {
		return err
	}
	s, err := stack.Start(ctx, o.Stack)
	if err != nil {
		return err
	}
	d := &demo{o: o, s: s, state: s.Info().State}
	defer func() {
		s.Close()
		if bad := os.RemoveAll(d.file("")); bad != nil { // it holds keys, though to a cluster that is gone
			o.Progress.Say("%s is not removed: %v", d.file(""), bad)
		}
	}()
	password := rand.Text()[:16]
	if err := d.prepare(ctx, bin, password); err != nil {
		return err
	}
	return d.keep(ctx, bin, password)
}

func build(ctx context.Context, root, bin string) error {
	if err := os.MkdirAll(bin, 0o755); err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, "go", "build", "-buildvcs=false", "-o", bin+string(filepath.Separator), "./cmd/portal", "./internal/gitea/giteatest/giteafake")
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "CGO_ENABLED=1", "PWD="+root)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("go build: %w\n%s", err, out)
	}
	return nil
}

// prepare brings up what the portal needs.
func (d *demo) prepare(ctx context.Context, bin, password string) error {
	end := d.o.Progress.Step("starting the registry and the sample apps")
	err := d.samples(ctx, bin)
	end(err)
	if err != nil {
		return err
	}
	if d.port, err = freePort(); err != nil {
		return err
	}
	d.url = fmt.Sprintf("http://127.0.0.1:%d", d.port)
	if err := d.configure(ctx); err != nil {
		return err
	}
	add := exec.CommandContext(ctx, filepath.Join(bin, "portal"), "--config", d.file("portal.yaml"), "user", "add", "--role", "admin", account)
	add.Stdin = strings.NewReader(password + "\n")
	if out, err := add.CombinedOutput(); err != nil {
		return fmt.Errorf("portal user add: %w: %s", err, out)
	}
	return nil
}

func (d *demo) samples(ctx context.Context, bin string) error {
	p, err := d.s.Launch("gitea", os.Environ(), filepath.Join(bin, "giteafake"))
	if err != nil {
		return err
	}
	if err := d.readGitea(ctx, p); err != nil {
		return err
	}
	images := map[string]stack.Image{}
	for _, a := range d.gitea.Apps {
		images[a.Name] = stack.Image{Tag: a.Tag, Digest: a.Digest}
	}
	if err := d.s.ApplySamples(ctx, d.gitea.Host, images); err != nil {
		return err
	}
	rbac, err := os.ReadFile(filepath.Join(d.o.Root, "manifests", "rbac.yaml"))
	if err != nil {
		return fmt.Errorf("read manifests: %w", err)
	}
	if err := d.s.API().ApplyYAML(ctx, string(rbac)); err != nil {
		return err
	}
	for _, a := range d.gitea.Apps {
		if err := d.s.DeploymentAvailable(ctx, "honeydue", a.Name); err != nil {
			return err
		}
	}
	return nil
}

// readGitea waits for the line that the fake prints first.
func (d *demo) readGitea(ctx context.Context, p *stack.Process) error {
	return wait(ctx, p, "the registry", func() bool {
		f, err := os.Open(p.Log())
		if err != nil {
			return false
		}
		defer f.Close()
		line, err := bufio.NewReader(f).ReadBytes('\n')
		return err == nil && json.Unmarshal(line, &d.gitea) == nil
	})
}

// wait polls until ok, the process ends, a minute is over or ctx ends.
func wait(ctx context.Context, p *stack.Process, what string, ok func() bool) error {
	ctx, cancel := context.WithTimeoutCause(ctx, time.Minute, errors.New(what+" does not answer"))
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-p.Done():
			return p.Ended()
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
		}
	}
	return nil
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, fmt.Errorf("look for a free port: %w", err)
	}
	return l.Addr().(*net.TCPAddr).Port, l.Close()
}

func (d *demo) file(name string) string { return filepath.Join(d.state, "demo", name) }

func (d *demo) configure(ctx context.Context) error {
	if err := os.RemoveAll(d.file("")); err != nil { // of an earlier demo: its cluster is gone
		return err
	}
	if err := os.MkdirAll(d.file(""), 0o700); err != nil {
		return err
	}
	kubeconfig := d.file("kubeconfig")
	if err := d.s.ServiceAccountKubeconfig(ctx, kubeconfig, "deploy-portal", "deploy-portal"); err != nil {
		return err
	}
	if err := os.WriteFile(d.file("gitea-token"), []byte(d.gitea.Token), 0o600); err != nil {
		return err
	}
	config, err := json.MarshalIndent(map[string]any{ // JSON is YAML
		"listen": fmt.Sprintf("127.0.0.1:%d", d.port), "database": d.file("portal.db"),
		"gitea":        map[string]any{"url": d.gitea.URL, "user": d.gitea.User, "token_file": d.file("gitea-token")},
		"environments": []any{map[string]any{"name": "prod", "namespace": "honeydue", "kubeconfig": kubeconfig}},
	}, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(d.file("portal.yaml"), config, 0o600)
}

// keep runs the portal until ctx ends.
func (d *demo) keep(ctx context.Context, bin, password string) error {
	for told := false; ; {
		end := d.o.Progress.Step("starting the portal")
		p, err := d.s.Launch("portal", os.Environ(), filepath.Join(bin, "portal"), "--config", d.file("portal.yaml"), "serve")
		if err == nil {
			err = os.WriteFile(d.file("portal.pid"), fmt.Appendf(nil, "%d\n", p.Pid()), 0o600)
		}
		if err == nil {
			err = wait(ctx, p, "the portal", func() bool { return d.answers(ctx) })
		}
		end(err)
		if err != nil {
			return err
		}
		if !told {
			told = true
			fmt.Fprintf(d.o.Out, "\nDeploy Portal is ready. Open\n\n%s\n\nand sign in with\n\nuser %s password %s\n\nCtrl-C stops and removes all of it.\n", d.url, account, password)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-d.s.Failed():
			return d.s.Err()
		case <-p.Done():
			d.o.Progress.Say("the portal has ended and is started again; its log is %s", p.Log())
		}
	}
}

func (d *demo) answers(ctx context.Context) bool {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, d.url+"/readyz", nil)
	if err != nil {
		return false
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return false
	}
	return resp.Body.Close() == nil && resp.StatusCode == http.StatusOK
}
