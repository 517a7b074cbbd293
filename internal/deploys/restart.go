package deploys

import (
	"context"
	"time"
)

// mark is what a restart asked for at this time writes into the pod template: another value each time, or nothing would
// be restarted.
func mark(asked time.Time) string { return asked.UTC().Format("2006-01-02T15:04:05.000Z") }

// restarted is what a deploy's patch does to the mark of a restart. A deploy leaves it alone; a rollback takes the value
// that stood there when its image ran, so that the ReplicaSet of then, and its pods, are found again.
func (d Deploy) restarted() *string {
	if d.Kind != KindRestart && d.Kind != KindRollback {
		return nil
	}
	return &d.To.Restarted
}

// set tells whether a Deployment has what this deploy sends.
func (d Deploy) set(r Rollout) bool {
	return hasImages(r.Images, d.To.Images) && (d.restarted() == nil || *d.restarted() == r.Restarted)
}

// proofs adds to what proves the running image what an earlier deploy of it, or the registry, knows. Pods that start anew
// may report another digest of the same image than those that run; without these proofs that would look like another.
// A registry that does not answer stops nothing.
func (s *Service) proofs(ctx context.Context, v *Version, t Target) error {
	past, err := list(ctx, s.db, `app = ? AND env = ? ORDER BY id DESC LIMIT 20`, t.App, t.Env)
	if err != nil {
		return err
	}
	for _, d := range past {
		if d.To.Same(*v) && len(d.To.Proofs) > len(v.Proofs) {
			v.Proofs, v.Platforms = d.To.Proofs, d.To.Platforms
			return nil
		}
	}
	if v.Digest == "" {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, lookupTimeout)
	defer cancel()
	if img, err := s.registry.Resolve(ctx, v.Repository, v.Digest); err == nil {
		known := deployedVersion(App{}, img)
		v.Platforms = known.Platforms
		for _, p := range known.Proofs {
			v.addProof(p)
		}
	}
	return nil
}
