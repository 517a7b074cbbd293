//go:build unix

package portal

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"deployportal/internal/config"
	"deployportal/internal/errs"
	"deployportal/internal/sqlite"
)

const brokenChild = "PORTAL_TEST_BROKEN"

// TestEndsWhenTheDatabaseBreaks: a portal whose database reports an I/O error ends with an error that says so, so that it
// is started again. It is another process, for no file may grow in it.
func TestEndsWhenTheDatabaseBreaks(t *testing.T) {
	if os.Getenv(brokenChild) != "" {
		cfg := slackConfig(t, "")
		if err := breaks(t.Context(), cfg); err != nil {
			t.Fatal(err)
		}
		return
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run", "^TestEndsWhenTheDatabaseBreaks$")
	cmd.Env = append(os.Environ(), brokenChild+"=1")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

func breaks(ctx context.Context, cfg *config.Config) error {
	signal.Ignore(syscall.SIGXFSZ) // so that a write past the limit fails instead of ending the process
	p, err := New(ctx, cfg, slog.New(slog.DiscardHandler), "test")
	if err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- p.Run(ctx) }()
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: 64 << 10, Max: 1 << 40}); err != nil {
		return err
	}
	err = p.store.db.Write(ctx, func(tx *sqlite.Tx) error {
		_, err := tx.Exec(ctx, `CREATE TABLE big AS SELECT '`+strings.Repeat("x", 500_000)+`' AS text`)
		return err
	})
	if errs.KindOf(err) != errs.Unavailable {
		return fmt.Errorf("a write past the limit in %s: %w", filepath.Base(cfg.Database), err)
	}
	if err := <-ended; errs.Public(err) != "The database reported an I/O error, and nothing can be written any more." {
		return fmt.Errorf("Run = %w", err)
	}
	return p.Close()
}
