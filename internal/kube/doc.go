// Package kube is the portal's adapter to Kubernetes: it implements deploys.Cluster.
//
// It keeps one view per environment (informers on Deployments, ReplicaSets, Pods and the Pods' Events of a
// namespace), answers every question of a page or a running deploy from that view, and changes a Deployment with
// one guarded patch. Snapshot, which puts a view together, is a pure function. The package never judges: what an
// observation means for a deploy is decided in internal/deploys.
//
// It needs exactly the rights of manifests/rbac.yaml.
package kube
