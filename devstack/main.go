// Command devstack runs a development Kubernetes cluster with simulated or real nodes. See README.md.
//
//	go run -C devstack . run -- make test-cluster
//	go run -C devstack . up
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"deployportal/devstack/demo"
	"deployportal/devstack/stack"
)

const usage = `usage:
  devstack run [OPTIONS] -- CMD ARGS...   start a cluster, run CMD with DEVSTACK set, stop the cluster
  devstack up [OPTIONS]                   start a cluster and keep it until Ctrl-C
  devstack demo [OPTIONS]                 start a cluster, sample data and the portal, until Ctrl-C
options:
  --state DIR              folder for data, keys and logs
  --nodes kwok|kubelet     simulated nodes (default), or real ones that run containers: Linux and root only
  --crash-backoff-max D    longest wait of real nodes between restarts of a crashing container, such as 30s
  --gitea real|only        a real Gitea with sample data beside the cluster, or without one
`

// endSignals end devstack in order: Ctrl-C, a polite kill and, except under nohup, a terminal that is closed.
func endSignals() []os.Signal {
	if signal.Ignored(syscall.SIGHUP) {
		return []os.Signal{os.Interrupt, syscall.SIGTERM}
	}
	return []os.Signal{os.Interrupt, syscall.SIGTERM, syscall.SIGHUP}
}

// exitError carries the exit code of the command that run has run.
type exitError int

func (e exitError) Error() string { return fmt.Sprintf("command ended with exit code %d", int(e)) }

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), endSignals()...)
	defer stop()
	ctx, cancel := watchGoRun(ctx)
	defer cancel()
	err := run(ctx, os.Args[1:])
	var code exitError
	switch {
	case err == nil:
	case errors.As(err, &code):
		os.Exit(int(code))
	default:
		fmt.Fprintln(os.Stderr, "devstack:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	if len(args) == 0 {
		return usageError("")
	}
	flags := flag.NewFlagSet(args[0], flag.ContinueOnError)
	flags.SetOutput(io.Discard) // the usage is printed once, by us
	state := flags.String("state", "", "folder for data, keys and logs")
	nodes := flags.String("nodes", stack.Simulated, "kind of nodes")
	backoff := flags.Duration("crash-backoff-max", 0, "longest wait between restarts")
	gitea := flags.String("gitea", "", "real: a real Gitea too; only: a real Gitea and no cluster")
	if err := flags.Parse(args[1:]); err != nil {
		return usageError(err.Error())
	}
	dir, err := callerDir()
	if err != nil {
		return err
	}
	if *state != "" && !filepath.IsAbs(*state) {
		*state = filepath.Join(dir, *state)
	}
	switch *gitea {
	case "", stack.GiteaReal, stack.GiteaOnly:
	default:
		return usageError("unknown --gitea=" + *gitea)
	}
	opts := stack.Options{State: *state, Nodes: *nodes, CrashBackoffMax: *backoff, Gitea: *gitea, Progress: stack.NewProgress(os.Stderr)}
	switch args[0] {
	case "run":
		if flags.NArg() == 0 {
			return usageError("run needs a command")
		}
		return runCommand(ctx, opts, dir, flags.Args())
	case "up":
		if flags.NArg() > 0 {
			return usageError("up takes no arguments")
		}
		return up(ctx, opts)
	case "demo":
		if flags.NArg() > 0 || *gitea != "" {
			return usageError("demo takes no arguments and brings a registry of its own")
		}
		if opts.Nodes != stack.Simulated {
			return usageError("demo has simulated nodes only") // its registry is a fake one, from which nothing can be pulled
		}
		root, err := stack.Root("")
		if err != nil {
			return err
		}
		return demo.Run(ctx, demo.Options{Stack: opts, Root: root, Out: os.Stdout, Progress: opts.Progress})
	default:
		return usageError("unknown command " + args[0])
	}
}

func usageError(what string) error {
	return errors.New(strings.TrimPrefix(what+"\n"+usage, "\n"))
}

// callerDir is where the caller stood. "go run -C devstack ." changes the working directory but leaves PWD alone.
func callerDir() (string, error) {
	if pwd := os.Getenv("PWD"); filepath.IsAbs(pwd) {
		if info, err := os.Stat(pwd); err == nil && info.IsDir() {
			return pwd, nil
		}
	}
	dir, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("find the working directory: %w", err)
	}
	return dir, nil
}

// runCommand runs argv inside a cluster and passes its exit code on as an exitError. A component that dies ends the
// command: whatever it would go on to say about the cluster would be misleading.
func runCommand(ctx context.Context, opts stack.Options, dir string, argv []string) error {
	s, err := stack.Start(ctx, opts)
	if err != nil {
		return err
	}
	defer s.Close()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go func() {
		select {
		case <-s.Failed():
			cancel(s.Err())
		case <-ctx.Done():
		}
	}()
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "DEVSTACK="+s.InfoFile(), "PWD="+dir)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 10 * time.Second
	err = cmd.Run()
	if s.Err() != nil {
		return s.Err()
	}
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() > 0 {
		return exitError(exit.ExitCode())
	}
	if err != nil {
		return fmt.Errorf("run %s: %w", argv[0], err)
	}
	return nil
}

// up keeps a cluster until ctx ends.
func up(ctx context.Context, opts stack.Options) error {
	s, err := stack.Start(ctx, opts)
	if err != nil {
		return err
	}
	defer s.Close()
	info := s.Info()
	if g := info.Gitea; g != nil {
		fmt.Printf("Gitea %s at %s\n  user %s password %s\n", g.Version, g.URL, g.Admin, g.AdminPassword)
	}
	if info.Server == "" {
		fmt.Printf("  export DEVSTACK=%s\nCtrl-C stops it.\n", s.InfoFile())
		return wait(ctx, s)
	}
	fmt.Printf("Kubernetes %s at %s\n  export KUBECONFIG=%s\n  export DEVSTACK=%s\n  %s get nodes\nCtrl-C stops it.\n",
		info.Version, info.Server, info.AdminKubeconfig, s.InfoFile(), strings.Join(info.Kubectl, " "))
	return wait(ctx, s)
}

func wait(ctx context.Context, s *stack.Stack) error {
	select {
	case <-ctx.Done():
		return nil
	case <-s.Failed():
		return s.Err()
	}
}
