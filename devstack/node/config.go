package main

import (
	"encoding/json"
	"fmt"
	"os"
)

// config is what devstack tells a node. Paths on the left of a mapping are inside the node.
type config struct {
	// Dir is the node's folder outside. It appears as /run/devstack, its var-lib as /var/lib and its var-log as /var/log.
	Dir string
	// Binds are more folders to show: name below /run/devstack -> path outside.
	Binds map[string]string
	// Kernel holds settings below /proc/sys that the kubelet insists on, with the values it wants to see. They are shown
	// to the node alone; the machine's own settings stay as they are.
	Kernel map[string]string
	// Env is the environment of everything in the node.
	Env []string
	// Runtime is the container runtime; the node goes on when Socket answers.
	Runtime command
	Socket  string
	// Once are commands to run, one after the other, before Kubelet.
	Once    []command
	Kubelet command
}

// command is a program of the node. Its output goes to Log, a path inside the node.
type command struct {
	Argv []string
	Log  string
}

func readConfig(path string) (*config, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read configuration: %w", err)
	}
	c := &config{}
	if err := json.Unmarshal(text, c); err != nil {
		return nil, fmt.Errorf("decode %s: %w", path, err)
	}
	return c, nil
}
