package preflight

import (
	"fmt"
	"slices"
	"strings"

	"deployportal/internal/deploys"
	"deployportal/internal/errs"
)

// tag: only a tag that names a commit says what will run.
func tag(f Facts) deploys.Check {
	to := f.Plan.To
	switch {
	case deploys.TagPattern.MatchString(to.Tag):
		return pass("The tag %s names a commit.", to.Short())
	case to.Tag == "" && to.Digest != "":
		return warn("Deploy by the tag of a commit where you can.", "It is named by its digest alone, so nobody can tell which commit it is.")
	case f.restores():
		return warn("Deploy an image that is tagged with the SHA of its commit.", "The tag %q names no commit: what runs under it can change by itself.", to.Tag)
	}
	return warn("Push it under the SHA of its commit.", "The tag %q is no commit SHA.", to.Tag)
}

// moved: a tag that named another image once was pushed over.
func moved(f Facts) deploys.Check {
	to, first := f.Plan.To, f.First.Value
	switch {
	case f.Plan.Kind != deploys.KindDeploy || to.Tag == "":
		return none
	case f.First.Err != nil:
		return unasked("the portal's records", "the tag "+to.Short(), f.First.Err)
	case first.Digest == "":
		return pass("The tag %s is deployed for the first time.", to.Short())
	case first.Digest == to.Digest:
		return pass("The tag %s still names what it named when it was first deployed.", to.Short())
	}
	return with(block("Find out who pushed it again. Better: build the commit anew under a tag of its own.",
		"The tag %s was moved: it names another image than when it was first deployed.", to.Short()),
		"first deployed "+first.At.UTC().Format("2006-01-02 15:04 UTC")+": "+first.Digest, "now: "+to.Digest)
}

// image: a registry that has lost it leaves it to chance which nodes can start it.
func image(f Facts) deploys.Check {
	to := f.Plan.To
	if f.Plan.Kind == deploys.KindDeploy && f.Image.Err == nil {
		return with(pass("The registry has the image."), to.Digest)
	}
	switch {
	case to.Pulled() == "":
		return unknown("Neither its tag nor its digest is known, so the registry was not asked for the image.")
	case f.Image.Err == nil && to.Digest == "":
		return unknown("The registry has the tag %s. Whether it still names what ran is not known, since the digest of that is not.", to.Short())
	case f.Image.Err == nil:
		return with(pass("The registry still has the image."), to.Digest)
	case errs.KindOf(f.Image.Err) == errs.NotFound && f.restores():
		return block("Only nodes that still hold it can start it.", "The image is gone from the registry: %s", errs.Public(f.Image.Err))
	case errs.KindOf(f.Image.Err) == errs.NotFound:
		return block("Build and push it again.", "%s", deploys.NotFound(errs.Public(f.Image.Err)))
	case f.restores():
		c := unasked("the registry", "the image", f.Image.Err)
		c.Fix = "That stops no rollback: the nodes may hold the image."
		return c
	}
	return unasked("the registry", "the image", f.Image.Err)
}

// platforms: a pod may land on any node that fits, so the image must run on each.
func platforms(f Facts) deploys.Check {
	about := "the nodes' platforms"
	if c, ok := f.unseen(about, deploys.PartNodes); ok {
		return c
	}
	has := f.platforms()
	if len(has) == 0 {
		if f.Image.Err != nil {
			return unasked("the registry", "the image's platforms", f.Image.Err)
		}
		return unknown("The registry does not tell which platforms the image is built for.")
	}
	fitting, silent, lacks := 0, "", map[string][]string{} // platform -> nodes
	for _, n := range f.Around.Nodes {
		if !n.Fits {
			continue
		}
		fitting++
		if n.Platform == "" {
			silent = n.Name
			continue
		}
		if !slices.ContainsFunc(has, func(p string) bool { return runsOn(p, n.Platform) }) {
			lacks[n.Platform] = append(lacks[n.Platform], n.Name)
		}
	}
	switch {
	case len(lacks) > 0:
		return lacking(f, has, lacks)
	case silent != "":
		return unknown("The node %s does not tell its platform.", silent)
	case fitting == 0:
		return unknown("No node takes these pods now, so there is no platform to compare with.")
	}
	return with(pass("The image is built for every node that its pods can land on."), "image: "+strings.Join(has, ", "))
}

func lacking(f Facts, has []string, lacks map[string][]string) deploys.Check {
	var parts, evidence []string
	for _, platform := range sorted(lacks) {
		parts = append(parts, fmt.Sprintf("%s (%s)", some(lacks[platform], 3), platform))
	}
	for _, n := range f.Around.Nodes {
		said := n.Platform
		if !n.Fits {
			said += ", takes no pods of it: " + n.Why
		}
		evidence = append(evidence, n.Name+": "+said)
	}
	return with(block("Build the image for these nodes too, or keep its pods off them with a node selector.",
		"The image is built for %s only, and its pods can land on %s.", strings.Join(has, ", "), strings.Join(parts, ", ")), evidence...)
}

// platforms lists what the image to come is built for; empty where nobody tells.
func (f Facts) platforms() (has []string) {
	for _, img := range []deploys.Image{f.Plan.Image, f.Image.Value} {
		for _, m := range img.Manifests {
			if m.Platform != "" && !slices.Contains(has, m.Platform) {
				has = append(has, m.Platform)
			}
		}
	}
	if len(has) == 0 {
		has = f.Plan.To.Platforms
	}
	return has
}

// runsOn compares by system and architecture: a node does not tell its variant.
func runsOn(image, node string) bool {
	cut := func(s string) string {
		parts := strings.SplitN(s, "/", 3)
		return strings.Join(parts[:min(2, len(parts))], "/")
	}
	return cut(image) == cut(node)
}
