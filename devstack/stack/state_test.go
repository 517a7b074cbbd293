package stack

import (
	"os"
	"path/filepath"
	"testing"
)

func TestStacksOfOneCheckoutGetFoldersOfTheirOwn(t *testing.T) {
	source := filepath.Join(t.TempDir(), "devstack")
	first, unlock, err := openState("", source)
	if err != nil {
		t.Fatal(err)
	}
	second, unlockSecond, err := openState("", source)
	if err != nil {
		t.Fatal(err)
	}
	defer unlockSecond()
	if first == second {
		t.Errorf("both got %s", first)
	}
	unlock()
	again, unlockAgain, err := openState("", source)
	if err != nil {
		t.Fatal(err)
	}
	defer unlockAgain()
	if again != first {
		t.Errorf("after the first was given back: got %s, want %s", again, first)
	}
}

// A state folder may be anything the user named, so only what devstack itself put there may go.
func TestStateFolderKeepsWhatIsNotOurs(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"thesis.txt", "devstack.json", "etcd"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	_, unlock, err := openState(dir, "")
	if err != nil {
		t.Fatal(err)
	}
	defer unlock()
	for name, want := range map[string]bool{"thesis.txt": true, "devstack.json": false, "etcd": false} {
		if _, err := os.Stat(filepath.Join(dir, name)); (err == nil) != want {
			t.Errorf("%s is there: %v, want %v", name, err == nil, want)
		}
	}
}
