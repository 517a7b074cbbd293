package stack

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
)

// ensureTools finds the programs of real nodes, or fetches Debian's.
func ensureTools(ctx context.Context, cache string, progress *Progress) (tools, error) {
	if missing := (tools{}).missing(); len(missing) == 0 {
		return tools{}, nil
	}
	release, err := os.ReadFile("/etc/os-release")
	if err != nil {
		return tools{}, fmt.Errorf("find out the distribution: %w", err)
	}
	_, aptErr := exec.LookPath("apt-get")
	_, dpkgErr := exec.LookPath("dpkg")
	if aptErr != nil || dpkgErr != nil {
		return tools{}, fmt.Errorf("real nodes need programs that are not installed: %s (in Debian they are in the packages %s)",
			strings.Join(tools{}.missing(), ", "), strings.Join(nodePackages, ", "))
	}
	t := tools{root: filepath.Join(cache, "packages-"+releaseName(string(release))+"-"+runtime.GOARCH)}
	if len(t.missing()) == 0 {
		return t, nil
	}
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return tools{}, fmt.Errorf("create cache folder: %w", err)
	}
	unlock, err := waitLock(ctx, t.root+".lock", "packages are being fetched by another devstack, waiting", progress)
	if err != nil {
		return tools{}, err
	}
	defer unlock()
	if len(t.missing()) == 0 { // fetched while we waited
		return t, nil
	}
	end := progress.Step("fetching containerd, runc and what else real nodes need (not installed, only unpacked)")
	err = t.fetch(ctx)
	end(err)
	if err != nil {
		return tools{}, err
	}
	if missing := t.missing(); len(missing) > 0 {
		return tools{}, fmt.Errorf("real nodes need programs that this distribution's packages did not bring: %s", strings.Join(missing, ", "))
	}
	return t, nil
}

// releaseName is "debian-12" for Debian 12.
func releaseName(osRelease string) string {
	value := map[string]string{}
	for line := range strings.Lines(osRelease) {
		if key, text, ok := strings.Cut(strings.TrimSpace(line), "="); ok {
			value[key] = strings.Trim(text, `"`)
		}
	}
	return value["ID"] + "-" + value["VERSION_ID"]
}

// fetch downloads what the packages need beyond what is installed, and unpacks it next to the folder's final name.
func (t tools) fetch(ctx context.Context) error {
	tmp, err := os.MkdirTemp(filepath.Dir(t.root), "packages-*.tmp")
	if err != nil {
		return fmt.Errorf("create folder for packages: %w", err)
	}
	defer os.RemoveAll(tmp)
	archives := filepath.Join(tmp, "archives")
	if err := os.MkdirAll(filepath.Join(archives, "partial"), 0o755); err != nil {
		return fmt.Errorf("create folder for packages: %w", err)
	}
	if err := download(ctx, archives, nil); err != nil {
		// The machine may have no package lists, or old ones. Ours are made beside them and go with the folder.
		lists := filepath.Join(tmp, "lists")
		if mkErr := os.MkdirAll(filepath.Join(lists, "partial"), 0o755); mkErr != nil {
			return errors.Join(err, mkErr)
		}
		own := []string{"-o", "Dir::State::lists=" + lists, "-o", "Dir::Cache::pkgcache=", "-o", "Dir::Cache::srcpkgcache="}
		if _, err := command(ctx, "apt-get", append(own, "--quiet", "update")...); err != nil {
			return err
		}
		if err := download(ctx, archives, own); err != nil {
			return err
		}
	}
	debs, err := filepath.Glob(filepath.Join(archives, "*.deb"))
	if err != nil {
		return fmt.Errorf("list packages: %w", err)
	}
	root := filepath.Join(tmp, "root")
	for _, deb := range debs {
		if _, err := command(ctx, "dpkg", "-x", deb, root); err != nil {
			return err
		}
	}
	if err := nameIptables(root); err != nil {
		return err
	}
	if err := os.RemoveAll(t.root); err != nil {
		return fmt.Errorf("remove old packages: %w", err)
	}
	if err := os.Rename(root, t.root); err != nil {
		return fmt.Errorf("put packages in place: %w", err)
	}
	return nil
}

func download(ctx context.Context, archives string, options []string) error {
	args := append([]string{}, options...)
	args = append(args, "--quiet", "--yes", "--no-install-recommends", "--download-only", "-o", "Dir::Cache::archives="+archives, "install")
	_, err := command(ctx, "apt-get", append(args, nodePackages...)...)
	return err
}

// nameIptables gives the unpacked iptables the names that the package's installation would.
func nameIptables(root string) error {
	multi := filepath.Join(root, "usr/sbin/xtables-nft-multi")
	if _, err := os.Stat(multi); err != nil {
		return nil // the machine has its own
	}
	dir := filepath.Join(root, "devstack")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("create folder for iptables: %w", err)
	}
	for _, name := range nodeTools {
		if strings.HasPrefix(name, "ip") && strings.Contains(name, "tables") {
			if err := os.Symlink("../usr/sbin/xtables-nft-multi", filepath.Join(dir, name)); err != nil {
				return fmt.Errorf("name iptables: %w", err)
			}
		}
	}
	return nil
}

// command runs a program of the machine and returns what it printed. The error carries the end of what it said.
func command(ctx context.Context, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = append(os.Environ(), "LANG=C", "DEBIAN_FRONTEND=noninteractive")
	return output(cmd)
}

// run runs one of the tools, with the given input.
func (t tools) run(ctx context.Context, input, name string, args ...string) (string, error) {
	path, ok := t.find(name)
	if !ok {
		return "", fmt.Errorf("%s: %w", name, exec.ErrNotFound)
	}
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Env = t.env(t.root)
	cmd.Stdin = strings.NewReader(input)
	return output(cmd)
}

func output(cmd *exec.Cmd) (string, error) {
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		said := strings.TrimSpace(stderr.String())
		if said == "" {
			said = strings.TrimSpace(stdout.String())
		}
		return "", fmt.Errorf("%s: %w: %s", strings.Join(cmd.Args, " "), err, lastLines(said, 5))
	}
	return stdout.String(), nil
}
