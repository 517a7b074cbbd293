package portal

import (
	"context"
	"slices"
	"testing"

	"deployportal/internal/deploys"
	"deployportal/internal/errs"
	"deployportal/internal/smoke"
)

type around deploys.Surroundings

func (a around) Surroundings(context.Context, deploys.Target) deploys.Surroundings {
	return deploys.Surroundings(a)
}

// TestNodesOf: smoke probes go to nodes that have an address; which those are is never guessed.
func TestNodesOf(t *testing.T) {
	seen := around{Nodes: []deploys.Node{{Name: "fsn-1", Address: "10.0.0.1"}, {Name: "fsn-2"}, {Name: "fsn-3", Address: "10.0.0.3"}}}
	got, err := nodesOf{seen}.NodeAddresses(t.Context(), deploys.App{})
	if want := []smoke.Node{{Name: "fsn-1", Address: "10.0.0.1"}, {Name: "fsn-3", Address: "10.0.0.3"}}; err != nil || !slices.Equal(got, want) {
		t.Errorf("%v, %v", got, err)
	}
	seen.Unseen = map[string]string{deploys.PartNodes: "The portal may not list nodes."}
	if got, err := (nodesOf{seen}).NodeAddresses(t.Context(), deploys.App{}); errs.KindOf(err) != errs.Unavailable ||
		errs.Public(err) != "The addresses of the nodes are not known. The portal may not list nodes." {
		t.Errorf("%v, %v", got, err)
	}
}
