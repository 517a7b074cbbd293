package deploystest

import (
	"context"
	"sync"

	"deployportal/internal/deploys"
)

// Commits is a git side in memory: nothing was touched between any two commits, unless said otherwise.
type Commits struct {
	mu     sync.Mutex
	answer deploys.Migrations
	err    error
	asked  [][2]string
}

// Answer makes Migrations give m and err.
func (c *Commits) Answer(m deploys.Migrations, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.answer, c.err = m, err
}

// Asked lists the pairs of commits that were asked about.
func (c *Commits) Asked() [][2]string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.asked
}

// Migrations implements deploys.Commits.
func (c *Commits) Migrations(_ context.Context, _, from, to string, _ ...string) (deploys.Migrations, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.asked = append(c.asked, [2]string{from, to})
	return c.answer, c.err
}
