package deploys_test

import (
	"context"
	"errors"
	"testing"

	"deployportal/internal/sqlite"
)

// TestOneActive: the schema admits one active deploy a target, whoever writes. Above it each request looks before it
// records (docs/adr/0004-two-guards.md), so no request comes as far as this.
func TestOneActive(t *testing.T) {
	in(t, func(w *world) {
		w.deploy(deployOf(api, "abc1234"))
		again := func() error {
			return w.db.Write(w.Context(), func(tx *sqlite.Tx) error {
				_, err := tx.Exec(context.Background(), `INSERT INTO deploys (id, app, env, kind, status, from_version, to_version, to_tag,
					actor_id, actor_name, source, reason, created_at, audit_seq, audit_hash)
					SELECT id + 1, app, env, kind, 'pending', from_version, to_version, to_tag, actor_id, actor_name, source, reason, created_at, audit_seq, audit_hash FROM deploys`)
				return err
			})
		}
		if err := again(); !errors.Is(err, sqlite.ErrUnique) {
			t.Errorf("a second active deploy: %v, want ErrUnique", err)
		}
		must(t, w.db.Write(w.Context(), func(tx *sqlite.Tx) error {
			_, err := tx.Exec(context.Background(), `DROP INDEX deploys_one_active`)
			return err
		}))
		must(t, again()) // it was the index
	})
}
