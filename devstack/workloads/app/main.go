// Command app is the one program inside all sample images. What it does is said by its environment, which the images
// carry; see package workloads for the variables' meaning.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	if os.Getenv("WORKLOAD_LOCK_SERVER") != "" {
		return serve(ctx, port(), lockServer())
	}
	say("starting %s", os.Getenv("WORKLOAD_NAME"))
	for line := range strings.Lines(os.Getenv("WORKLOAD_LOG")) {
		say("%s", strings.TrimSpace(line))
	}
	exitAfter(ctx, "WORKLOAD_CRASH_AFTER")
	if n, _ := strconv.Atoi(os.Getenv("WORKLOAD_EAT_MIB")); n > 0 {
		eat(ctx, n)
	}
	if url := os.Getenv("WORKLOAD_LOCK"); url != "" {
		release, err := takeTurn(ctx, url)
		if err != nil {
			return err
		}
		say("running migrations")
		if !sleep(ctx, duration("WORKLOAD_LOCK_HOLD")) {
			return nil
		}
		release()
	}
	if !sleep(ctx, duration("WORKLOAD_START_DELAY")) {
		return nil
	}
	exitAfter(ctx, "WORKLOAD_EXIT_AFTER_READY")
	return serve(ctx, port(), site())
}

// exitAfter ends the process when the time that the variable gives has passed; without the variable, never.
func exitAfter(ctx context.Context, variable string) {
	after := os.Getenv(variable)
	if after == "" {
		return
	}
	go func() {
		if !sleep(ctx, duration(variable)) {
			return
		}
		if text := os.Getenv("WORKLOAD_LAST_WORDS"); text != "" {
			fmt.Fprintln(os.Stderr, text)
		}
		code, _ := strconv.Atoi(os.Getenv("WORKLOAD_EXIT_CODE"))
		os.Exit(code)
	}()
}

// eat takes memory and touches it, a MiB at a time, so that the kernel has to find real pages.
func eat(ctx context.Context, mib int) {
	say("loading %d MiB into memory", mib)
	eaten := make([][]byte, 0, mib)
	for range mib {
		block := make([]byte, 1<<20)
		for i := 0; i < len(block); i += 4096 {
			block[i] = 1
		}
		eaten = append(eaten, block)
		if !sleep(ctx, 2*time.Millisecond) {
			return
		}
	}
	go func() {
		<-ctx.Done()
		_ = eaten // held until the end
	}()
}

// takeTurn queues at a lock service. The turn lasts until release is called or this process ends, as with an advisory
// lock of a database: it belongs to the connection.
func takeTurn(ctx context.Context, url string) (release func(), err error) {
	say("waiting for the migration lock")
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, fmt.Errorf("ask for the lock: %w", err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, fmt.Errorf("ask for the lock: %w", err)
	}
	if line, err := bufio.NewReader(resp.Body).ReadString('\n'); line != "granted\n" {
		resp.Body.Close()
		return nil, fmt.Errorf("wait for the lock: status %d, answer %q: %w", resp.StatusCode, line, err)
	}
	return func() { resp.Body.Close() }, nil
}

// lockServer grants one connection at a time.
func lockServer() http.Handler {
	turn := make(chan struct{}, 1)
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("GET /lock", func(w http.ResponseWriter, r *http.Request) {
		select {
		case turn <- struct{}{}:
		case <-r.Context().Done():
			return
		}
		defer func() { <-turn }()
		fmt.Fprintln(w, "granted")
		if err := http.NewResponseController(w).Flush(); err != nil {
			return
		}
		<-r.Context().Done()
	})
	return mux
}

// site is the web app. It knows /, /healthz and /api/health, unless WORKLOAD_STATUS says something else about a path.
func site() http.Handler {
	status := map[string]int{"/": http.StatusOK, "/healthz": http.StatusOK, "/api/health": http.StatusOK}
	for _, rule := range strings.Split(os.Getenv("WORKLOAD_STATUS"), ",") {
		if path, code, ok := strings.Cut(rule, "="); ok {
			status[path], _ = strconv.Atoi(code)
		}
	}
	failEvery, _ := strconv.ParseInt(os.Getenv("WORKLOAD_FAIL_EVERY"), 10, 64)
	host, _ := os.Hostname()
	answer := map[string]string{"name": os.Getenv("WORKLOAD_NAME"), "version": os.Getenv("WORKLOAD_VERSION"), "pod": host}
	var visits atomic.Int64
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		code, known := status[r.URL.Path]
		switch {
		case !known:
			code = http.StatusNotFound
		case r.URL.Path == "/" && failEvery > 0 && visits.Add(1)%failEvery == 0:
			code = http.StatusBadGateway
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(code)
		_ = json.NewEncoder(w).Encode(answer) // the client is gone: nobody left to tell
	})
}

func serve(ctx context.Context, port string, handler http.Handler) error {
	server := &http.Server{Addr: ":" + port, Handler: handler, ReadHeaderTimeout: 10 * time.Second}
	go func() {
		<-ctx.Done()
		_ = server.Close() // ListenAndServe says how it went
	}()
	say("listening on :%s", port)
	if err := server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve: %w", err)
	}
	say("stopped")
	return nil
}

func port() string {
	if p := os.Getenv("WORKLOAD_PORT"); p != "" {
		return p
	}
	return "8000"
}

// duration reads a variable; an image with a wrong one is a mistake of this project, and says so at its first start.
func duration(variable string) time.Duration {
	text := os.Getenv(variable)
	if text == "" {
		return 0
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", variable, err)
		os.Exit(78)
	}
	return d
}

// sleep waits and says whether it could wait to the end.
func sleep(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

func say(format string, args ...any) {
	fmt.Printf("%s %s\n", time.Now().UTC().Format(time.RFC3339), fmt.Sprintf(format, args...))
}
