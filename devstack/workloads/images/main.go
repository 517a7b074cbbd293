// Command images makes container images and pushes them, for package workloads, which starts it.
//
//	images --app PROGRAM push                     a workloads.Request on stdin, []workloads.Pushed on stdout
//	images pause PROGRAM OUT.tar                  the pause image, to be imported by a container runtime
//	images registry                               a registry in memory on a free port of 127.0.0.1, until stdin ends
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"runtime"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"deployportal/devstack/workloads"
)

// PauseImage is the name of the pause image. No registry is ever asked for it.
const PauseImage = "devstack.invalid/pause:1"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "images:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	app := flag.String("app", "", "the program to put into the images")
	flag.Parse()
	switch flag.Arg(0) {
	case "push":
		return push(ctx, *app)
	case "pause":
		return writePause(flag.Arg(1), flag.Arg(2))
	case "registry":
		return serveRegistry()
	}
	return errors.New("usage: images [--app PROGRAM] push | pause PROGRAM OUT.tar | registry")
}

func push(ctx context.Context, app string) error {
	var request workloads.Request
	if err := json.NewDecoder(os.Stdin).Decode(&request); err != nil {
		return fmt.Errorf("decode request: %w", err)
	}
	pushed := []workloads.Pushed{}
	for _, image := range request.Images {
		one, err := pushImage(ctx, app, request, image)
		if err != nil {
			return fmt.Errorf("%s:%s: %w", image.Repository, image.Tag, err)
		}
		pushed = append(pushed, one)
	}
	return json.NewEncoder(os.Stdout).Encode(pushed)
}

// writePause writes the pause image as "docker save" would.
func writePause(program, out string) error {
	content, err := os.ReadFile(program)
	if err != nil {
		return fmt.Errorf("read program: %w", err)
	}
	layer, err := programLayer(content, "pause")
	if err != nil {
		return err
	}
	image, err := imageOf(layer, runtime.GOARCH, []string{"/pause", "pause"}, nil, nil)
	if err != nil {
		return err
	}
	tag, err := name.NewTag(PauseImage)
	if err != nil {
		return fmt.Errorf("name the pause image: %w", err)
	}
	if err := tarball.WriteToFile(out, tag, image); err != nil {
		return fmt.Errorf("write %s: %w", out, err)
	}
	return nil
}

func serveRegistry() error {
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	fmt.Println(listener.Addr())
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin) // whoever started us holds the other end
		os.Exit(0)
	}()
	return http.Serve(listener, registry.New(registry.Logger(log.New(io.Discard, "", 0))))
}
