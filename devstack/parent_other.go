//go:build !linux

package main

import "context"

// watchGoRun has no cheap way to know its parent here: stop devstack with Ctrl-C.
func watchGoRun(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithCancel(ctx)
}
