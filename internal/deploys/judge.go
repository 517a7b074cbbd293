package deploys

// Memory is what the judge carries from one snapshot to the next; see judge.go.
type Memory struct{}
