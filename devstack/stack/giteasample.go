package stack

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// giteaSample is the sample data as a folder beside the binary, made by the first start: home/ is a Gitea's home after
// a clean stop, seed.json what is in it.
type giteaSample struct{ source, binary, module string }

func (m giteaSample) ensure(ctx context.Context, progress *Progress) (string, error) {
	key, err := m.key()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(filepath.Dir(m.binary), "sample-"+key)
	if _, err := os.Stat(dir); err == nil {
		return dir, nil
	}
	// One lock for all sample data beside the binary: whoever holds it knows that nobody else is making any.
	unlock, err := waitLock(ctx, filepath.Join(filepath.Dir(dir), "sample.lock"), "Gitea's sample data is being made by another devstack, waiting", progress)
	if err != nil {
		return "", err
	}
	defer unlock()
	if _, err := os.Stat(dir); err == nil {
		return dir, nil
	}
	end := progress.Step("making Gitea's sample data (first time: about 20 seconds)")
	err = m.make(ctx, dir)
	end(err)
	return dir, err
}

// key names what the data is made by: the source files that make it.
func (m giteaSample) key() (string, error) {
	files, err := filepath.Glob(filepath.Join(m.source, "stack", "gitea*.go"))
	if err != nil {
		return "", err
	}
	sum := sha256.New()
	for _, f := range files {
		if err := hashFile(sum, f); err != nil {
			return "", fmt.Errorf("hash what makes Gitea's sample data: %w", err)
		}
	}
	return hex.EncodeToString(sum.Sum(nil))[:16], nil
}

// sampleTmp is how the folders begin in which sample data is being made.
const sampleTmp = "sample-tmp-"

// removeHalfMade removes what makers of sample data that were killed have left, and the homes of their Giteas.
func removeHalfMade(beside string) {
	left, _ := filepath.Glob(filepath.Join(beside, sampleTmp+"*")) // the pattern is well formed
	for _, dir := range left {
		removeGiteaHome(dir)
		_ = os.RemoveAll(dir) // what stays takes room and does no harm
	}
}

// make fills a Gitea over its API, stops it and keeps its folder.
func (m giteaSample) make(ctx context.Context, dir string) (err error) {
	removeHalfMade(filepath.Dir(dir))
	tmp, err := os.MkdirTemp(filepath.Dir(dir), sampleTmp)
	if err != nil {
		return fmt.Errorf("create a folder: %w", err)
	}
	defer os.RemoveAll(tmp)
	module, err := moduleDir(ctx, m.source, m.module)
	if err != nil {
		return err
	}
	home, err := newGiteaHome(tmp)
	if err != nil {
		return err
	}
	defer removeGiteaHome(tmp)
	g := &gitea{home: home}
	if err := home.fill(append(giteaStatic(module), m.binary, "gitea")...); err != nil {
		return err
	}
	if g.port, err = freeTCPPort(ctx); err != nil {
		return err
	}
	seed := giteaSeed{InternalToken: rand.Text() + rand.Text(), SecretKey: rand.Text() + rand.Text(), JWTSecret: jwtSecret()}
	if err := g.configure(seed); err != nil {
		return err
	}
	l := newLauncher()
	defer l.close()
	defer func() { g.stop(20 * time.Second) }()
	if err := g.run(ctx, l, tmp); err != nil {
		return fmt.Errorf("start Gitea: %w", err)
	}
	if err := g.seed(ctx, &seed); err != nil {
		return fmt.Errorf("make Gitea's sample data: %w\n%s", err, tail(g.process.log, 5))
	}
	g.stop(20 * time.Second)
	made := filepath.Join(tmp, "made")
	for _, name := range []string{"data", "static"} {
		if err := copyTree(home.path(name), filepath.Join(made, "home", name), nobody{}); err != nil {
			return fmt.Errorf("keep Gitea's sample data: %w", err)
		}
	}
	text, err := json.Marshal(seed)
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(made, "seed.json"), text, 0o600); err != nil {
		return fmt.Errorf("keep Gitea's sample data: %w", err)
	}
	return os.Rename(made, dir)
}

func readSeed(sample string) (seed giteaSeed, err error) {
	text, err := os.ReadFile(filepath.Join(sample, "seed.json"))
	if err == nil {
		err = json.Unmarshal(text, &seed)
	}
	if err != nil {
		return seed, fmt.Errorf("read Gitea's sample data: %w", err)
	}
	return seed, nil
}
