package main

import (
	"encoding/json"

	"deployportal/internal/portal"
)

type imagesCmd struct {
	Keep imagesKeepCmd `cmd:"" help:"Print the images that run, are being deployed, or can be rolled back to."`
}

type imagesKeepCmd struct {
	Format string `help:"json: each image, where it is needed and why. regex: one pattern of their tags, for the field \"Keep versions matching the pattern\" of a Gitea cleanup rule." enum:"json,regex" default:"json"`
	Good   int    `help:"How many images that ran well are kept for each app in each environment." default:"3"`
}

// Run prints the list. It reads the database alone: a cluster and a registry may be away.
func (c imagesKeepCmd) Run(e *env) error {
	return e.store(false, func(s *portal.Store) error {
		list, err := s.Keep(e.ctx, c.Good)
		if err != nil {
			return err
		}
		if c.Format == "regex" {
			return e.say("%s", portal.KeepPattern(list))
		}
		out := json.NewEncoder(e.out)
		out.SetIndent("", "  ")
		return out.Encode(list)
	})
}
