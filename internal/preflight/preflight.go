// Package preflight says beforehand what a deploy would meet. A Gatherer collects Facts from the cluster, the registry,
// Gitea and the records, each source bounded in time; Checks is a pure function of them. What could not be asked is
// unknown, with who could not be asked, and never taken for good.
package preflight

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"deployportal/internal/deploys"
	"deployportal/internal/errs"
)

// Facts is all that the checks look at.
type Facts struct {
	Plan   deploys.Plan
	Tuning Tuning

	Around     deploys.Surroundings
	Image      Said[deploys.Image]     // what the registry has under the digest that shall run
	First      Said[deploys.FirstSeen] // of the tag that shall run
	Starts     Said[deploys.Starts]
	Good       Said[[]Kept] // what a way back could bring, besides what shall run; newest first
	CI         Said[deploys.CI]
	Branch     Said[Branch]
	Between    Said[deploys.Range]
	Migrations Said[deploys.Migrations]
}

// Said is what a source answered, or why it did not.
type Said[T any] struct {
	Value T
	Err   error
}

// Kept is an image that ran well and what the registry says of it now.
type Kept struct {
	Version deploys.Version
	Err     error // nil: it has it; errs.NotFound: gone; else it could not be asked
}

// Branch is the main branch of a repository.
type Branch struct {
	Name  string
	Holds bool // the commit that shall run is on it
}

// Tuning is what the configuration says of one app.
type Tuning struct {
	Singleton bool                       // two pods of it may never run at once
	Findings  map[string]deploys.Finding // by check: what it comes to where it finds something; "": it is not made
}

// none is the check that has nothing to look at in a deploy of this kind.
var none = deploys.Check{}

// table holds every check by the name that configuration and overrides use.
var table = []struct {
	name  string
	check func(Facts) deploys.Check
}{
	{"tag", tag}, {"moved", moved}, {"image", image}, {"platforms", platforms},
	{"references", references}, {"pull-secrets", pullSecrets}, {"ports", ports}, {"startup", startup},
	{"singleton", singleton}, {"volumes", volumes}, {"replicas", replicas}, {"scaler", scaler}, {"paused", paused},
	{"managed", managed}, {"drains", drains}, {"quota", quota}, {"room", room},
	{"ci", ci}, {"branch", branch}, {"direction", direction}, {"migrations", migrations},
	{"way-back", wayBack}, {"good-images", goodImages},
}

// Names lists the checks as configuration and overrides name them.
func Names() (names []string) {
	for _, t := range table {
		names = append(names, t.name)
	}
	return names
}

var order = []deploys.Finding{deploys.Block, deploys.Warn, deploys.NotChecked, deploys.Pass}

// Checks looks at the facts: what blocks comes first, then warnings, then what is not known, then what passes.
func Checks(f Facts) []deploys.Check {
	var all []deploys.Check
	for _, t := range table {
		c := t.check(f)
		tuned, isTuned := f.Tuning.Findings[t.name]
		if c.Finding == "" || isTuned && tuned == "" {
			continue
		}
		c.Name = t.name
		if found := c.Finding == deploys.Warn || c.Finding == deploys.Block; found && isTuned {
			c.Finding = tuned
		}
		// What holds back a change must not hold back who takes one back. Only a workload that is paused takes nothing at all.
		if c.Finding == deploys.Block && f.restores() && t.name != "paused" {
			c.Finding = deploys.Warn
		}
		all = append(all, c)
	}
	slices.SortStableFunc(all, func(a, b deploys.Check) int {
		return cmp.Compare(slices.Index(order, a.Finding), slices.Index(order, b.Finding))
	})
	return all
}

// restores tells whether an image comes that ran here before.
func (f Facts) restores() bool {
	return f.Plan.Kind == deploys.KindRollback || f.Plan.Kind == deploys.KindRestart
}

func pass(format string, args ...any) deploys.Check {
	return deploys.Check{Finding: deploys.Pass, Sentence: fmt.Sprintf(format, args...)}
}

func warn(fix, format string, args ...any) deploys.Check {
	return deploys.Check{Finding: deploys.Warn, Sentence: fmt.Sprintf(format, args...), Fix: fix}
}

func block(fix, format string, args ...any) deploys.Check {
	return deploys.Check{Finding: deploys.Block, Sentence: fmt.Sprintf(format, args...), Fix: fix}
}

func unknown(format string, args ...any) deploys.Check {
	return deploys.Check{Finding: deploys.NotChecked, Sentence: fmt.Sprintf(format, args...)}
}

// unasked is a check whose source did not answer.
func unasked(whom, about string, err error) deploys.Check {
	return unknown("Could not ask %s about %s. %s", whom, about, errs.Public(err))
}

// with adds what a check was read from.
func with(c deploys.Check, evidence ...string) deploys.Check {
	c.Evidence = evidence
	return c
}

// unseen is a check of what the portal could not see in the cluster; ok is false when it saw all of the parts.
func (f Facts) unseen(about string, parts ...string) (c deploys.Check, ok bool) {
	for _, part := range append([]string{deploys.PartWorkload}, parts...) {
		if why := f.Around.Unseen[part]; why != "" {
			return unknown("Could not look at %s. %s", about, why), true
		}
	}
	return c, false
}

// plural reads "1 pod" or "3 pods".
func plural(n int, word string) string {
	if n == 1 {
		return "1 " + word
	}
	return fmt.Sprintf("%d %ss", n, word)
}

// some reads "a, b and 3 more".
func some(names []string, most int) string {
	if len(names) <= most {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
}
