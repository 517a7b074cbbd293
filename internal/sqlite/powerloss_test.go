//go:build linux

package sqlite_test

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	osexec "os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"deployportal/internal/audit"
	"deployportal/internal/errs"
	"deployportal/internal/sqlite"
	"deployportal/internal/testenv"
	"deployportal/migrations"
)

var (
	cycles = flag.Int("powerloss.cycles", 20, "how often the writing process is killed; 300 and more tell more")
	seed   = flag.Uint64("powerloss.seed", 0, "seed of the kills; 0: a new one")
)

func init() {
	children["acks"] = acksChild
	children["syncfail"] = syncFailChild
}

// acksChild writes entries and acknowledges each on its output once Write has returned, until it is killed. The fault
// that the harness must find is planted here and nowhere else: a commit that is not synced.
func acksChild(path string) error {
	ctx := context.Background()
	db, err := sqlite.Open(ctx, path, nil)
	if err != nil {
		return err
	}
	writer, _ := sqlite.Pools(db)
	set := "PRAGMA wal_autocheckpoint = 60" // so that checkpoints are among what a kill hits
	if os.Getenv("SQLITE_TEST_FAULT") == "normal" {
		set += "; PRAGMA synchronous = NORMAL"
	}
	if _, err := writer.ExecContext(ctx, set); err != nil {
		return err
	}
	if err := db.Migrate(ctx, migrations.Files); err != nil {
		return err
	}
	for {
		var e audit.Entry
		err := db.Write(ctx, func(tx *sqlite.Tx) (err error) {
			e, err = audit.Append(ctx, tx, audit.Entry{Actor: audit.Actor{ID: "user:1", Name: "ana", Source: "web"},
				Action: audit.DeployRequested, App: "api", Env: "prod", Reason: "because"})
			return err
		})
		if err != nil {
			return err
		}
		if _, err := fmt.Printf("%d %s\n", e.Seq, e.Hash); err != nil {
			return err
		}
	}
}

// tally is what a series of kills came to.
type tally struct{ acked, lost, lostCycles int }

// killed starts the writer, kills it at a random moment and gives what it acknowledged: hashes by seq.
func killed(t *testing.T, random *rand.Rand, path string, env ...string) map[int64]string {
	t.Helper()
	cmd := child(t, "acks", path)
	cmd.Env = append(cmd.Env, env...)
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	acked := map[int64]string{}
	lines := bufio.NewScanner(out)
	// It dies a random time after a random acknowledgement, anywhere in one of the next transactions.
	for dies := random.IntN(120); lines.Scan(); dies-- {
		var seq int64
		var hash string
		if n, err := fmt.Sscanf(lines.Text(), "%d %s", &seq, &hash); n != 2 || len(hash) != 64 {
			if err == nil || strings.HasPrefix(lines.Text(), "child:") {
				t.Fatal(lines.Text())
			}
			break // cut in the middle: not acknowledged
		}
		acked[seq] = hash
		if dies == 0 {
			time.AfterFunc(time.Duration(random.IntN(2000))*time.Microsecond, func() { _ = cmd.Process.Kill() })
		}
	}
	_ = cmd.Wait() // it tells of the kill
	if len(acked) == 0 {
		t.Fatal("nothing was acknowledged")
	}
	return acked
}

// survived opens what is left and counts the acknowledged entries that are not in it. Whatever is there must be whole.
func survived(t *testing.T, path string, acked map[int64]string) (lost int) {
	t.Helper()
	db, err := sqlite.Open(t.Context(), path, nil)
	must(t, err)
	defer func() { must(t, db.Close()) }()
	var ok string
	must(t, db.QueryRow(t.Context(), `PRAGMA integrity_check`).Scan(&ok))
	if ok != "ok" {
		t.Fatal(ok)
	}
	must(t, db.Migrate(t.Context(), migrations.Files)) // as a start does
	r, err := audit.Verify(t.Context(), db)
	must(t, err)
	if r.BadSeq != 0 {
		t.Fatalf("the chain is broken: %+v", r)
	}
	for seq, hash := range acked {
		holds, err := audit.Holds(t.Context(), db, seq, hash)
		must(t, err)
		if !holds {
			lost++
		}
	}
	return lost
}

func (n *tally) add(acked, lost int) {
	n.acked += acked
	n.lost += lost
	if lost > 0 {
		n.lostCycles++
	}
}

func newRandom(t *testing.T) *rand.Rand {
	t.Helper()
	s := *seed
	if s == 0 {
		s = uint64(time.Now().UnixNano())
	}
	fmt.Printf("%s: -powerloss.cycles=%d -powerloss.seed=%d\n", t.Name(), *cycles, s)
	return rand.New(rand.NewPCG(s, 0))
}

// TestKilled: what was acknowledged survives the death of the process at any moment. It says nothing of a power cut:
// the kernel lives on and writes what was never synced.
func TestKilled(t *testing.T) {
	random := newRandom(t)
	path := filepath.Join(t.TempDir(), "portal.db")
	all, n := map[int64]string{}, tally{}
	for range *cycles {
		acked := killed(t, random, path)
		for seq, hash := range acked {
			if _, twice := all[seq]; twice {
				t.Errorf("entry %d was acknowledged twice", seq)
			}
			all[seq] = hash
		}
		n.add(len(acked), survived(t, path, all))
	}
	fmt.Printf("%s: %d kills, %d acknowledged, %d lost\n", t.Name(), *cycles, n.acked, n.lost)
	if n.lost != 0 {
		t.Errorf("%d acknowledged entries were lost in %d kills", n.lost, n.lostCycles)
	}
}

// shim compiles the model of a disk that keeps only what was synced.
func shim(t *testing.T) string {
	t.Helper()
	cc, err := osexec.LookPath("cc")
	if err != nil {
		testenv.Skip(t, "needs a C compiler (cc) for the model of a power cut")
	}
	so := filepath.Join(t.TempDir(), "shim.so")
	if out, err := osexec.CommandContext(t.Context(), cc, "-Wall", "-Werror", "-O1", "-shared", "-fPIC", "-o", so, "testdata/shim.c", "-ldl").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return so
}

// powerLoss kills the writer again and again; each time only what was synced goes on.
func powerLoss(t *testing.T, cycles int, env ...string) tally {
	t.Helper()
	random, so := newRandom(t), shim(t)
	disk := t.TempDir() // what a cut leaves
	all, n := map[int64]string{}, tally{}
	for range cycles {
		work, shadow := t.TempDir(), t.TempDir()
		must(t, os.CopyFS(work, os.DirFS(disk)))
		must(t, os.CopyFS(shadow, os.DirFS(disk)))
		acked := killed(t, random, filepath.Join(work, "portal.db"), append(env, "LD_PRELOAD="+so, "SHIM_SHADOW="+shadow)...)
		for seq, hash := range acked {
			all[seq] = hash
		}
		left, err := filepath.Glob(filepath.Join(shadow, "*.tmp"))
		must(t, err)
		for _, f := range left {
			must(t, os.Remove(f))
		}
		disk = shadow
		lost := survived(t, filepath.Join(disk, "portal.db"), all)
		n.add(len(acked), lost)
		if lost > 0 {
			clear(all) // they are counted; the log goes on from what is left
		}
	}
	fmt.Printf("%s: %d power cuts, %d acknowledged, %d lost in %d cuts\n", t.Name(), cycles, n.acked, n.lost, n.lostCycles)
	return n
}

func TestPowerLoss(t *testing.T) {
	if n := powerLoss(t, *cycles); n.lost != 0 {
		t.Errorf("%d of %d acknowledged entries were lost in %d cuts", n.lost, n.acked, n.lostCycles)
	}
}

// TestPowerLossFindsTheFault: a test of durability that stays green without the sync is none.
func TestPowerLossFindsTheFault(t *testing.T) {
	const cycles = 12 // about two in three lose something
	if n := powerLoss(t, cycles, "SQLITE_TEST_FAULT=normal"); n.lostCycles < 2 {
		t.Errorf("without a sync at each commit only %d of %d entries were lost, in %d cuts: the model does not see it", n.lost, n.acked, n.lostCycles)
	}
}

// TestSyncFails: a failed sync at commit is no success, and nothing is written after it.
func TestSyncFails(t *testing.T) {
	so := shim(t)
	path := filepath.Join(t.TempDir(), "portal.db")
	cmd := child(t, "syncfail", path)
	cmd.Env = append(cmd.Env, "LD_PRELOAD="+so, "SHIM_FAIL="+path+".fail")
	if out, err := cmd.Output(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	db := openAt(t, path)
	// Whether the one whose sync failed is there after a restart, nobody can promise; what came before and after is sure.
	if got := texts(t, db); got != "before" && got != "before doubtful" {
		t.Errorf("%q is stored", got)
	}
}

func syncFailChild(path string) error {
	ctx := context.Background()
	db, err := sqlite.Open(ctx, path, nil)
	if err != nil {
		return err
	}
	add := func(text string) error { return exec(db, `INSERT INTO notes (text) VALUES (?)`, text) }
	fail := os.Getenv("SHIM_FAIL")
	if err := errors.Join(exec(db, `CREATE TABLE notes (n INTEGER PRIMARY KEY, text TEXT UNIQUE)`), add("before"), os.WriteFile(fail, nil, 0o600)); err != nil {
		return err
	}
	if err := add("doubtful"); errs.KindOf(err) != errs.Unavailable || !strings.Contains(errs.Public(err), "I/O error") {
		return fmt.Errorf("a failed sync: %w", err)
	}
	if err := os.Remove(fail); err != nil {
		return err
	}
	if err := add("after"); errs.KindOf(err) != errs.Unavailable || !strings.Contains(errs.Public(err), "until the portal is restarted") {
		return fmt.Errorf("after a failed sync: %w", err)
	}
	return nil
}
