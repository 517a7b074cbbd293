package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"deployportal/internal/auth"
	"deployportal/internal/errs"
	"deployportal/internal/portal"
)

type userCmd struct {
	Add      userAddCmd      `cmd:"" help:"Add an account. The password is read from standard input."`
	List     userListCmd     `cmd:"" help:"List the accounts."`
	Role     userRoleCmd     `cmd:"" help:"Set what an account may do."`
	Password userPasswordCmd `cmd:"" help:"Set an account's password, read from standard input. It ends the account's sessions."`
	Disable  userDisableCmd  `cmd:"" help:"Disable an account. It ends the account's sessions."`
	Enable   userEnableCmd   `cmd:"" help:"Enable an account again."`
}

// roles are the flags that make grants.
type roles struct {
	Role string   `help:"viewer, deployer or admin." enum:"viewer,deployer,admin" required:""`
	Env  []string `help:"Only in these environments; without it in all."`
}

func (r roles) grants() (out []auth.Grant) {
	for _, env := range r.Env {
		out = append(out, auth.Grant{Role: auth.Role(r.Role), Env: env})
	}
	if len(out) == 0 {
		out = []auth.Grant{{Role: auth.Role(r.Role)}}
	}
	return out
}

// store opens the database for one command.
func (e *env) store(create bool, use func(*portal.Store) error) (err error) {
	path, err := e.path()
	if err != nil {
		return err
	}
	s, err := portal.OpenStore(e.ctx, path, create)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	return use(s)
}

// password reads the first line of standard input, whole: a password may end in a space.
func (e *env) password() (string, error) {
	line, err := bufio.NewReader(io.LimitReader(e.in, 4096)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return "", fmt.Errorf("reading the password: %w", err)
	}
	line = strings.TrimSuffix(strings.TrimSuffix(line, "\n"), "\r")
	if line == "" {
		return "", errs.New(errs.Invalid, "There is no password on standard input.")
	}
	return line, nil
}

func (e *env) say(format string, args ...any) error {
	_, err := fmt.Fprintf(e.out, format+"\n", args...)
	return err
}

type userAddCmd struct {
	roles
	Name string `arg:"" help:"Name to sign in with."`
}

// Run adds an account.
func (c userAddCmd) Run(e *env) error {
	password, err := e.password()
	if err != nil {
		return err
	}
	return e.store(true, func(s *portal.Store) error {
		a, err := s.Accounts.Add(e.ctx, auth.CLIActor(), c.Name, password, c.grants())
		if err != nil {
			return err
		}
		return e.say("Added %s as %s.", a.Name, grants(a.Grants))
	})
}

func grants(list []auth.Grant) string {
	var words []string
	for _, g := range list {
		word := string(g.Role)
		if g.Env != "" {
			word += " in " + g.Env
		}
		words = append(words, word)
	}
	return strings.Join(words, ", ")
}

type userListCmd struct{}

// Run lists the accounts.
func (userListCmd) Run(e *env) error {
	return e.store(false, func(s *portal.Store) error {
		list, err := s.Accounts.List(e.ctx)
		if err != nil {
			return err
		}
		w := tabwriter.NewWriter(e.out, 0, 0, 2, ' ', 0)
		_, _ = fmt.Fprintln(w, "NAME\tROLE\tSTATE")
		for _, a := range list {
			state := "enabled"
			if !a.Disabled.IsZero() {
				state = "disabled"
			}
			_, _ = fmt.Fprintf(w, "%s\t%s\t%s\n", a.Name, grants(a.Grants), state)
		}
		return w.Flush()
	})
}

type userRoleCmd struct {
	roles
	Name string `arg:"" help:"The account."`
}

// Run sets what an account may do.
func (c userRoleCmd) Run(e *env) error {
	return e.store(false, func(s *portal.Store) error {
		if err := s.Accounts.SetGrants(e.ctx, auth.CLIActor(), c.Name, c.grants()); err != nil {
			return err
		}
		return e.say("%s is %s.", c.Name, grants(c.grants()))
	})
}

type userPasswordCmd struct {
	Name string `arg:"" help:"The account."`
}

// Run sets a password.
func (c userPasswordCmd) Run(e *env) error {
	password, err := e.password()
	if err != nil {
		return err
	}
	return e.store(false, func(s *portal.Store) error {
		if err := s.Accounts.SetPassword(e.ctx, auth.CLIActor(), c.Name, password); err != nil {
			return err
		}
		return e.say("%s has a new password; its sessions have ended.", c.Name)
	})
}

type userDisableCmd struct {
	Name string `arg:"" help:"The account."`
}

// Run disables an account.
func (c userDisableCmd) Run(e *env) error {
	return e.store(false, func(s *portal.Store) error {
		if err := s.Accounts.Disable(e.ctx, auth.CLIActor(), c.Name); err != nil {
			return err
		}
		return e.say("%s is disabled; its sessions have ended.", c.Name)
	})
}

type userEnableCmd struct {
	Name string `arg:"" help:"The account."`
}

// Run enables an account.
func (c userEnableCmd) Run(e *env) error {
	return e.store(false, func(s *portal.Store) error {
		if err := s.Accounts.Enable(e.ctx, auth.CLIActor(), c.Name); err != nil {
			return err
		}
		return e.say("%s is enabled.", c.Name)
	})
}

type auditCmd struct {
	Verify auditVerifyCmd `cmd:"" help:"Compute the chain of the audit log anew. Exit code 1 when it is not whole."`
}

type auditVerifyCmd struct {
	Expect string `help:"An entry kept elsewhere, as SEQ:HASH; every deploy writes its own as annotation deploy-portal/audit. Shows a cut tail and a rewritten log." placeholder:"SEQ:HASH"`
}

// errNotWhole makes the exit code 1; what is wrong was printed.
var errNotWhole = errors.New("the audit log is not whole")

// Run verifies the audit log.
func (c auditVerifyCmd) Run(e *env) error {
	return e.store(false, func(s *portal.Store) error {
		sentence, good, err := s.Verify(e.ctx, c.Expect)
		if err != nil {
			return err
		}
		if err := e.say("%s", sentence); err != nil {
			return err
		}
		if !good {
			return errNotWhole
		}
		return nil
	})
}
