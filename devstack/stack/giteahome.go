package stack

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
)

// giteaHome is the folder one Gitea lives in:
//
//	gitea     the binary: git's hooks call it under this path
//	static/   templates, translations and public files of its module
//	app.ini   and data/, which Gitea writes
type giteaHome struct {
	dir string
	who nobody
}

func (h giteaHome) path(elem ...string) string {
	return filepath.Join(append([]string{h.dir}, elem...)...)
}

// newGiteaHome makes the folder. Gitea refuses to run as root, and the user it then runs as may reach neither root's
// cache nor a state folder below root's home: for root it is a folder of its own among the temporary ones. Its path is
// noted in the state folder, so that the next start removes what a killed one has left.
func newGiteaHome(state string) (giteaHome, error) {
	h := giteaHome{dir: filepath.Join(state, "gitea"), who: unprivileged()}
	if !h.who.other() {
		if err := os.MkdirAll(h.dir, 0o700); err != nil {
			return h, fmt.Errorf("create Gitea's folder: %w", err)
		}
		return h, nil
	}
	var err error
	if h.dir, err = os.MkdirTemp("", giteaHomePrefix); err != nil {
		return h, fmt.Errorf("create Gitea's folder: %w", err)
	}
	if err := os.WriteFile(filepath.Join(state, giteaHomeNote), []byte(h.dir), 0o600); err != nil {
		return h, errors.Join(fmt.Errorf("note Gitea's folder: %w", err), os.RemoveAll(h.dir))
	}
	return h, h.who.own(h.dir)
}

const (
	giteaHomePrefix = "devstack-gitea-"
	giteaHomeNote   = "gitea-home"
)

// removeGiteaHome removes the folder that a state folder's note names, when it is one of ours.
func removeGiteaHome(state string) {
	note := filepath.Join(state, giteaHomeNote)
	text, err := os.ReadFile(note)
	dir := string(text)
	if err != nil || !filepath.IsAbs(dir) || !strings.HasPrefix(filepath.Base(dir), giteaHomePrefix) {
		return
	}
	if os.RemoveAll(dir) == nil {
		os.Remove(note)
	}
}

// fill copies the folders given as pairs of source and name below the home, and makes them the user's. A source may
// be a file. What is not there is left out.
func (h giteaHome) fill(pairs ...string) error {
	for i := 0; i+1 < len(pairs); i += 2 {
		if err := h.folder(filepath.Dir(pairs[i+1])); err != nil {
			return err
		}
		if err := copyTree(pairs[i], h.path(pairs[i+1]), h.who); err != nil {
			return fmt.Errorf("copy to Gitea's folder: %w", err)
		}
	}
	return nil
}

// folder makes a folder below the home, and those it is in.
func (h giteaHome) folder(name string) error {
	if name == "." {
		return nil
	}
	if err := h.folder(filepath.Dir(name)); err != nil {
		return err
	}
	if err := os.MkdirAll(h.path(name), 0o700); err != nil {
		return fmt.Errorf("create Gitea's folder: %w", err)
	}
	return h.who.own(h.path(name))
}

// copyTree copies a file or a folder with its symbolic links. What was executable or writable stays so for its owner
// only.
func copyTree(from, to string, who nobody) error {
	return filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		target := filepath.Join(to, rel)
		switch {
		case d.IsDir():
			err = os.MkdirAll(target, 0o700)
		case d.Type()&fs.ModeSymlink != 0:
			var link string
			if link, err = os.Readlink(path); err == nil {
				err = os.Symlink(link, target)
			}
		case d.Type().IsRegular():
			err = copyFile(path, target)
		default: // a socket or the like is of no use to another process
			return nil
		}
		if err != nil {
			return err
		}
		return who.own(target)
	})
}

func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	info, err := in.Stat()
	if err != nil {
		return err
	}
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, info.Mode().Perm()&0o700|0o600)
	if err != nil {
		return err
	}
	if _, err := io.Copy(out, in); err != nil {
		return errors.Join(err, out.Close())
	}
	return out.Close()
}

// env is what Gitea and its git see: nothing of ours but PATH.
func (h giteaHome) env() []string {
	return []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + h.dir, "TMPDIR=" + h.dir, "USER=gitea", "GITEA_WORK_DIR=" + h.dir,
		"GIT_CONFIG_NOSYSTEM=1", "LANG=C",
	}
}

func (h giteaHome) argv(args ...string) []string {
	return append([]string{h.path("gitea"), "--work-path", h.dir, "--config", h.path("app.ini")}, args...)
}

// command runs one of Gitea's own commands and gives the last line it printed.
func (h giteaHome) command(ctx context.Context, args ...string) (string, error) {
	argv := h.argv(args...)
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Dir, cmd.Env, cmd.SysProcAttr = h.dir, h.env(), h.who.apply(&syscall.SysProcAttr{})
	var out, faults bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &faults
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("gitea %s: %w\n%s", strings.Join(args[:min(3, len(args))], " "), err, lastLines(out.String()+faults.String(), 8))
	}
	return lastLines(strings.TrimSpace(out.String()), 1), nil
}

// moduleDir is where the module cache has a module of giteaBinary's go.mod; it is fetched where it is not.
func moduleDir(ctx context.Context, source, module string) (string, error) {
	cmd := exec.CommandContext(ctx, "go", "mod", "download", "-json", module)
	cmd.Dir = filepath.Join(source, "gitea")
	cmd.Env = append(os.Environ(), "GOWORK=off", "PWD="+cmd.Dir)
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("find the files of %s: %w", module, err)
	}
	var found struct{ Dir string }
	if err := json.Unmarshal(out, &found); err != nil || found.Dir == "" {
		return "", fmt.Errorf("find the files of %s: %w", module, errors.Join(err, errors.New("no folder")))
	}
	return found.Dir, nil
}
