// Command node is the first process of a real node, and, inside the images it builds, the pause container.
//
//	node run CONFIG.json    be a node: see run_linux.go
//	node pause              hold a pod's namespaces until told to end
//
// It is small and static, so that it can be both.
package main

import (
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	if len(os.Args) == 2 && os.Args[1] == "pause" {
		pause()
		return
	}
	if len(os.Args) != 3 || os.Args[1] != "run" {
		fmt.Fprintln(os.Stderr, "usage: node run CONFIG.json | node pause")
		os.Exit(2)
	}
	if err := run(os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, "node:", err)
		os.Exit(1)
	}
}

// pause waits for the kubelet to end the pod. Containers of a pod have process namespaces of their own, so there are no
// orphans to reap here.
func pause() {
	end := make(chan os.Signal, 1)
	signal.Notify(end, syscall.SIGINT, syscall.SIGTERM)
	<-end
}
