package main

import (
	"errors"

	"deployportal/internal/portal"
)

type smokeCmd struct {
	App string `arg:"" help:"The app."`
	Env string `help:"The environment." required:""`
	SHA string `help:"The tag that should answer: it stands for {sha} in the configuration." name:"sha"`
}

// errSmoke makes the exit code 1; what failed was printed.
var errSmoke = errors.New("the smoke probes failed")

// Run sends the smoke probes.
func (c smokeCmd) Run(e *env) error {
	cfg, err := e.load()
	if err != nil {
		return err
	}
	passed, err := portal.Smoke(e.ctx, cfg, c.App, c.Env, c.SHA, e.out)
	if err == nil && !passed {
		err = errSmoke
	}
	return err
}
