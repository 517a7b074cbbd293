package main

import "deployportal/internal/portal"

type slackCmd struct {
	Manifest slackManifestCmd `cmd:"" help:"Print the manifest that Slack makes the app from."`
}

type slackManifestCmd struct {
	Socket bool `help:"For Socket Mode: Slack then needs no way to the portal."`
}

// Run prints the manifest.
func (c slackManifestCmd) Run(e *env) error {
	cfg, err := e.load()
	if err != nil {
		return err
	}
	text, err := portal.SlackManifest(cfg, c.Socket)
	if err != nil {
		return err
	}
	_, err = e.out.Write(text)
	return err
}
