package deploystest

import (
	"context"
	"sync"

	"deployportal/internal/deploys"
)

// Preflight gives the checks that it was told to, and keeps the plans.
type Preflight struct {
	mu     sync.Mutex
	checks []deploys.Check
	plans  []deploys.Plan
}

// Say makes Checks give these.
func (p *Preflight) Say(checks ...deploys.Check) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.checks = checks
}

// Plans lists what was asked about.
func (p *Preflight) Plans() []deploys.Plan {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.plans
}

// Checks implements deploys.Preflight.
func (p *Preflight) Checks(_ context.Context, plan deploys.Plan) []deploys.Check {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.plans = append(p.plans, plan)
	return p.checks
}
