package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"
)

// watchGoRun ends the context when "go run", our parent, is gone. It is needed because "go run" does not pass SIGTERM on:
// it dies and would leave a cluster behind that nobody sees.
func watchGoRun(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	parent := os.Getppid()
	name, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", parent))
	if err != nil || strings.TrimSpace(string(name)) != "go" {
		return ctx, cancel
	}
	go func() {
		defer cancel()
		tick := time.NewTicker(300 * time.Millisecond)
		defer tick.Stop()
		for os.Getppid() == parent {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
		}
	}()
	return ctx, cancel
}
