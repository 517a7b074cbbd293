package deploys_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"runtime"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"deployportal/internal/deploys"
	"deployportal/internal/deploys/deploystest"
	"deployportal/internal/sqlite"
)

// eager is a registry that patches while it is asked, before anything is recorded.
type eager struct {
	*deploystest.Registry
	m *machine
}

func (e eager) Resolve(ctx context.Context, repository, ref string) (deploys.Image, error) {
	img, err := e.Registry.Resolve(ctx, repository, ref)
	t := deploys.Target{App: strings.TrimPrefix(repository, deploystest.Repo), Env: "prod"}
	seen, seeErr := e.m.cluster.Rollout(t)
	_, applyErr := e.m.cluster.Apply(ctx, deploys.Change{Target: t, UID: seen.UID, ResourceVersion: seen.ResourceVersion,
		Images: map[string]string{t.App: img.Pinned()}, Annotations: map[string]string{deploys.AnnotationDeploy: "1"}})
	return img, errors.Join(err, seeErr, applyErr)
}

// TestAnyOrderFindsTheFault: a property that holds with a fault in the code is none.
func TestAnyOrderFindsTheFault(t *testing.T) {
	quiet(t)
	for name, value := range map[string]string{"rapid.nofailfile": "true", "rapid.shrinktime": "0s", "rapid.seed": "0"} {
		f := flag.Lookup(name)
		was := f.Value.String()
		must(t, f.Value.Set(value))
		t.Cleanup(func() { must(t, f.Value.Set(was)) })
	}
	write := func(statement string) func(*machine) {
		return func(m *machine) {
			must(m, m.db.Write(m.Context(), func(tx *sqlite.Tx) error {
				_, err := tx.Exec(m.Context(), statement)
				return err
			}))
		}
	}
	for fault, c := range map[string]struct {
		plant func(*machine)
		found string
	}{
		"a patch before its record": {func(m *machine) {
			m.options = func(o *deploys.Options) { o.Registry = eager{m.registry, m} }
		}, "without a durable intent"},
		"an outcome without its entry": {write(`CREATE TRIGGER plant BEFORE INSERT ON audit_entries WHEN NEW.action = 'deploy.errored'
			BEGIN SELECT RAISE(IGNORE); END`), "is errored, its entries: deploy.requested"},
		"a second active deploy": {write(`DROP INDEX deploys_one_active; DROP INDEX deploys_target;
			CREATE TRIGGER plant AFTER UPDATE OF status ON deploys WHEN NEW.status = 'running' AND (SELECT count(*) FROM deploys WHERE finished_at IS NULL) > 1
			BEGIN UPDATE deploys SET app = NEW.app WHERE finished_at IS NULL; END`), "more than one active deploy"},
	} {
		t.Run(fault, func(t *testing.T) {
			// What is tried here is whether the property sees the fault, not the luck of one draw: another invariant may
			// break first, or the draw may never come to it.
			var all string
			for seed := 1; seed <= 20 && !strings.Contains(all, c.found); seed++ {
				must(t, flag.Set("rapid.seed", fmt.Sprint(seed)))
				r := &recorder{T: t}
				done := make(chan struct{})
				go func() {
					defer close(done)
					rapid.Check(r, property(t, c.plant))
				}()
				<-done
				all = strings.Join(r.said, "\n")
			}
			if !strings.Contains(all, c.found) {
				t.Errorf("not found as %q:\n%s", c.found, all)
			}
		})
	}
}

// recorder is a test whose failure is what is looked for.
type recorder struct {
	*testing.T
	said []string
}

func (r *recorder) Errorf(format string, args ...any) {
	r.said = append(r.said, fmt.Sprintf(format, args...))
}
func (r *recorder) Failed() bool { return len(r.said) > 0 }
func (r *recorder) FailNow()     { runtime.Goexit() }
