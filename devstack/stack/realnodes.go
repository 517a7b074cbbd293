package stack

// realParts are what real nodes are made of, found or built before the start.
type realParts struct {
	node, app, images string // binaries
	tools             tools
}

// workloads is the command line of the image tool; nil with simulated nodes.
func (p realParts) workloads() []string {
	if p.images == "" {
		return nil
	}
	return []string{p.images, "--app=" + p.app}
}
