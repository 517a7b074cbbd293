// Command giteafake serves giteatest's fake Gitea with its sample data, for the demo and for tests of the built portal.
// It prints one line of JSON that says where it is and what it holds, and serves until it is told to stop.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"deployportal/internal/gitea/giteatest"
)

// told is the line of JSON.
type told struct {
	URL   string      `json:"url"`
	Host  string      `json:"host"` // as it stands in image strings
	User  string      `json:"user"`
	Token string      `json:"token"`
	Apps  []sampleApp `json:"apps"`
}

type sampleApp struct {
	Name    string   `json:"name"`
	Image   string   `json:"image"`
	Git     string   `json:"git"`
	Tag     string   `json:"tag"`    // what it runs
	Digest  string   `json:"digest"` // of that
	Failing string   `json:"failing,omitempty"`
	Slow    string   `json:"slow,omitempty"`
	Tags    []string `json:"tags"` // newest push first
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "giteafake:", err)
		os.Exit(1)
	}
}

func run() error {
	addr := flag.String("listen", "127.0.0.1:0", "address to listen on")
	flag.Parse()
	listener, err := net.Listen("tcp", *addr)
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	t := told{URL: "http://" + listener.Addr().String(), Host: listener.Addr().String(), User: "deploy-portal", Token: "sample-token"}
	fake := giteatest.New(giteatest.Options{RootURL: t.URL, Accounts: []giteatest.Account{
		{Name: t.User, Token: t.Token, Scopes: []string{"read:package", "read:repository"}}}})
	for _, a := range giteatest.Sample(fake, time.Now()) {
		t.Apps = append(t.Apps, sampleApp{Name: a.Name, Image: a.Image, Git: a.Git, Tag: a.RunningTag, Digest: a.RunningDigest,
			Failing: a.FailingTag, Slow: a.SlowTag, Tags: a.Tags})
	}
	if err := json.NewEncoder(os.Stdout).Encode(t); err != nil {
		return err
	}
	server := &http.Server{Handler: fake.Handler(), ReadHeaderTimeout: 10 * time.Second}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	go func() {
		<-ctx.Done()
		_ = server.Close()
	}()
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
