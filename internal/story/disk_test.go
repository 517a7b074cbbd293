package story_test

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"deployportal/internal/testenv"
)

// TestDiskFull: no room for the record, so nothing is done; pages work; with room again everything does.
func TestDiskFull(t *testing.T) {
	t.Parallel()
	w := newWorld(t, smallDisk)
	form := w.ana.get(confirmPath(v2))
	release := w.fillDisk()
	var answer *page
	w.until("the database to be full", func() bool { // the log has some room left in pages of its own
		answer = form.submitRaw(w.ana, confirmForm, nil)
		return answer.status != 422
	})
	answer.says(503, "main", "The database cannot be written: the disk is full. Nothing was changed.")
	if n := w.count(`SELECT count(*) FROM deploys`) + len(w.gate.writes()); n != 0 {
		t.Errorf("%d deploys and patches", n)
	}
	w.runs(w.pinned(v1))
	w.ana.get("/").says(200, "main", v1)
	w.ana.get("/apps/prod/api").says(200, "main", v2)
	w.ana.get("/audit").says(200, "main", "ana")
	release()
	w.thenDeploys(v2)
}

// TestDiskFullInMidRollout: what was patched goes on; its outcome is written when there is room.
func TestDiskFullInMidRollout(t *testing.T) {
	t.Parallel()
	w := newWorld(t, smallDisk, func(w *world) { w.stability = "5s" })
	id := w.ana.deploy(v2)
	w.until("the patch to be recorded", func() bool { return w.row(id).patched })
	release := w.fillDisk()
	w.until("the page to say it", func() bool {
		return w.ana.get(fmt.Sprintf("/deploys/%d", id)).shows("The database cannot be written: the disk is full.")
	})
	release()
	w.over(id, "succeeded", "2 of 2 pods run "+v2)
	w.thenDeploys(v3)
}

// smallDisk puts the database on a disk of its own. That needs the right to mount one.
func smallDisk(w *world) {
	if os.Geteuid() != 0 {
		testenv.Skip(w.t, "needs root, to mount a small disk")
	}
	dir := w.t.TempDir()
	if out, err := exec.CommandContext(w.t.Context(), "mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", dir).CombinedOutput(); err != nil {
		testenv.Skip(w.t, fmt.Sprintf("needs the right to mount a small disk: %s", strings.TrimSpace(string(out))))
	}
	w.t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			w.t.Errorf("unmount: %v", err)
		}
	})
	w.dir = dir
}

// fillDisk leaves not one byte.
func (w *world) fillDisk() (release func()) {
	w.t.Helper()
	f, err := os.Create(w.path("ballast"))
	if err != nil {
		w.t.Fatal(err)
	}
	for _, size := range []int{1 << 16, 1 << 10, 1} {
		for err = nil; err == nil; {
			_, err = f.Write(make([]byte, size))
		}
		if !errors.Is(err, syscall.ENOSPC) && !errors.Is(err, io.ErrShortWrite) {
			w.t.Fatal(err)
		}
	}
	if err := f.Close(); err != nil {
		w.t.Fatal(err)
	}
	return func() {
		if err := os.Remove(f.Name()); err != nil {
			w.t.Fatal(err)
		}
	}
}
