package deploys

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"

	"deployportal/internal/sqlite"
)

// farFound is how many of the newest deploys are looked through for an image.
const farFound = 20_000

// Brought is what a search tells of a deploy: where it brought which image.
type Brought struct {
	ID     int64
	Target Target
	Kind   Kind
	To     Version
}

// Brought finds, newest first, the deploys to some environments whose image's tag or digest begins with a word of four
// characters or more, with or without "sha256:" before a digest's; limit of them, among the newest 20,000 there are.
func (s *Service) Brought(ctx context.Context, envs []string, word string, limit int) (out []Brought, err error) {
	if len(word) < 4 {
		return nil, nil
	}
	in, err := json.Marshal(envs)
	if err != nil {
		return nil, err
	}
	err = sqlite.Each(ctx, s.db, func(rows *sql.Rows) error {
		var b Brought
		var to string
		if err := rows.Scan(&b.ID, &b.Target.App, &b.Target.Env, &b.Kind, &to); err != nil {
			return err
		}
		if err := json.Unmarshal([]byte(to), &b.To); err != nil {
			return fmt.Errorf("deploy %d: %w", b.ID, err)
		}
		out = append(out, b)
		return nil
	}, `SELECT id, app, env, kind, to_version FROM deploys
		WHERE id > (SELECT max(id) FROM deploys) - ?3 AND env IN (SELECT value FROM json_each(?1))
		AND (substr(to_tag, 1, length(?2)) = ?2 OR substr(json_extract(to_version, '$.digest'), 1, length(?2)) = ?2
			OR substr(json_extract(to_version, '$.digest'), 8, length(?2)) = ?2)
		ORDER BY id DESC LIMIT ?4 -- deploys.Brought`, string(in), word, farFound, limit)
	if err != nil {
		return nil, fmt.Errorf("finding the deploys of an image: %w", err)
	}
	return out, nil
}
