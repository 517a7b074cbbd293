// Package samples is the sample team's cluster content: plain manifests with places for the registry and the tags.
package samples

import "embed"

// Files are the manifests, to be applied in the order of their names. {{REGISTRY}} stands for the registry's host and
// {{TAG_API}}, {{TAG_ADMIN}}, {{TAG_WORKER}} for the tags.
//
//go:embed *.yaml
var Files embed.FS
