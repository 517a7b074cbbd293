// Package scenario holds tests only: rollouts that fail in all the ways rollouts fail, on real nodes, and what the
// portal's page says about each.
//
// One portal, the built binary, serves an app per scenario; each has a namespace and a repository of its own. The images
// are real ones (devstack/workloads), the registry is a small Gitea in the test's process, the nodes are real kubelets
// with containerd. A scenario is asked for in the browser's way and judged by what a person reads: the mark, the title
// and the sentence of the deploy's page, and the seconds from the click until they stood there. Beside it runs
// "kubectl rollout status", for comparison.
//
// A soak plays many of them in a mixed order on the same Deployments, rolls back between them and kills the portal now and
// then. What must come of each rollout is written down before the first click, from what its manifest and image do.
//
// "make scenarios" writes the table and the pictures of docs/, "make soak" plays the long run; "make test" plays all
// scenarios and a short soak.
package scenario
