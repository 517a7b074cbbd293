// Command portal is Deploy Portal: the server and the commands that work on its database.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/alecthomas/kong"

	"deployportal/internal/config"
	"deployportal/internal/errs"
	"deployportal/internal/foreign"
	"deployportal/internal/portal"
)

// version is set by the build.
var version = "dev"

// cli is the whole command line.
type cli struct {
	Config   string `help:"Configuration file." default:"portal.yaml" env:"PORTAL_CONFIG" type:"path"`
	Database string `help:"Database file, instead of the configured one. With it, user, audit and images commands need no configuration file." placeholder:"PATH" type:"path"`

	Serve   serveCmd   `cmd:"" help:"Serve the portal."`
	User    userCmd    `cmd:"" help:"Manage local accounts."`
	Audit   auditCmd   `cmd:"" help:"Work with the audit log."`
	Images  imagesCmd  `cmd:"" help:"Tell which images must stay in the registry."`
	Smoke   smokeCmd   `cmd:"" help:"Send an app's smoke probes now, as the configuration has them. Exit code 1 when they fail."`
	Slack   slackCmd   `cmd:"" help:"Work with the door in Slack."`
	Version versionCmd `cmd:"" help:"Print the version."`
}

// env is what a command runs with.
type env struct {
	ctx      context.Context
	config   string
	database string // empty: the configured one
	in       io.Reader
	out      io.Writer
	log      *slog.Logger
}

func (e *env) load() (*config.Config, error) {
	cfg, err := config.Load(e.config, os.Getenv)
	if err == nil && e.database != "" {
		cfg.Database = e.database
	}
	return cfg, err
}

// path is the database file. Who has been sent a copy of it has no configuration, so that is not read without need.
func (e *env) path() (string, error) {
	if e.database != "" {
		return e.database, nil
	}
	cfg, err := e.load()
	if err != nil {
		return "", err
	}
	return cfg.Database, nil
}

// The exit codes, besides 0.
const (
	exitFailed = 1 // it did not work, or the log is not whole
	exitUsage  = 2 // the command line or the configuration is wrong
)

func main() {
	syscall.Umask(0o077) // the database holds sessions and password hashes
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

func run(ctx context.Context, args []string, in io.Reader, out, errOut io.Writer) int {
	var c cli
	exit := -1
	parser, err := kong.New(&c, kong.Name("portal"), kong.Writers(out, errOut), kong.Exit(func(code int) { exit = code }),
		kong.Description("Deploy Portal: deploy images by commit SHA, watch the rollout, keep the record."))
	if err != nil {
		_, _ = fmt.Fprintln(errOut, "portal:", err)
		return exitFailed
	}
	cmd, err := parser.Parse(args)
	if exit >= 0 { // --help
		return exit
	}
	if err != nil {
		_, _ = fmt.Fprintln(errOut, "portal:", err)
		return exitUsage
	}
	log := slog.New(slog.NewTextHandler(errOut, &slog.HandlerOptions{ReplaceAttr: foreign.LogAttr}))
	return code(cmd.Run(&env{ctx: ctx, config: c.Config, database: c.Database, in: in, out: out, log: log}), errOut, log)
}

// code prints an error the way people read it and gives the exit code it means.
func code(err error, errOut io.Writer, log *slog.Logger) int {
	var problems config.Problems
	var known *errs.Error
	switch {
	case err == nil:
		return 0
	case errors.Is(err, errNotWhole), errors.Is(err, errSmoke):
		return exitFailed
	case errors.As(err, &problems):
		_, _ = fmt.Fprintf(errOut, "portal: the configuration is wrong:\n%s\n", problems)
		return exitUsage
	case errors.As(err, &known):
		_, _ = fmt.Fprintln(errOut, "portal:", known.Public)
		if errors.Unwrap(known) != nil {
			log.Debug("cause", "err", err)
		}
		return exitFailed
	}
	_, _ = fmt.Fprintln(errOut, "portal:", err)
	return exitFailed
}

type versionCmd struct{}

// Run prints the version.
func (versionCmd) Run(e *env) error {
	_, err := fmt.Fprintln(e.out, version)
	return err
}

type serveCmd struct {
	WaitForAccount bool `help:"Where the portal may not listen because there is no account yet: wait for the first one instead of ending."`
}

// accountPoll is how often a waiting portal looks for the first account.
const accountPoll = 3 * time.Second

// Run serves until a signal comes.
func (c serveCmd) Run(e *env) (err error) {
	cfg, err := e.load()
	if err != nil {
		return err
	}
	p, err := portal.New(e.ctx, cfg, e.log, version)
	for told := false; c.WaitForAccount && errors.Is(err, portal.ErrNoAccount); p, err = portal.New(e.ctx, cfg, e.log, version) {
		if !told {
			e.log.Warn(errs.Public(err))
			told = true
		}
		select {
		case <-e.ctx.Done():
			return nil
		case <-time.After(accountPoll):
		}
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.Close()) }()
	return p.Run(e.ctx)
}
