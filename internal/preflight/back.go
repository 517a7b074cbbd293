package preflight

import (
	"deployportal/internal/deploys"
	"deployportal/internal/errs"
)

// goodOnes is how many images that ran well are looked after.
const goodOnes = 3

// wayBack: whether what this deploy would be rolled back to can still be had.
func wayBack(f Facts) deploys.Check {
	if f.Plan.Kind != deploys.KindDeploy {
		return none
	}
	switch {
	case f.Good.Err != nil:
		return unasked("the portal's records", "the way back", f.Good.Err)
	case len(f.Good.Value) == 0:
		return warn("Watch the rollout: there is nothing to go back to.", "No image is known that ran well, so there is no way back.")
	}
	back := f.Good.Value[0]
	switch {
	case gone(back.Err):
		return with(warn("Build and push it again first. Only nodes that still hold it can start it.",
			"%s %s", back.Version.NoWayBack(), errs.Public(back.Err)), back.Version.Digest)
	case back.Err != nil:
		return unasked("the registry", "the image to go back to, "+back.Version.Short(), back.Err)
	}
	return with(pass("The way back is there: the registry has %s.", back.Version.Short()), back.Version.Digest)
}

// goodImages: whether the registry keeps more than the newest.
func goodImages(f Facts) deploys.Check {
	if f.Good.Err != nil {
		return unasked("the portal's records", "the images that ran well", f.Good.Err)
	}
	var lost, evidence []string
	var silent error
	for _, k := range f.Good.Value {
		switch {
		case gone(k.Err):
			lost = append(lost, k.Version.Short())
			evidence = append(evidence, k.Version.Short()+": gone, "+k.Version.Digest)
		case k.Err != nil:
			silent = k.Err
		}
	}
	n := len(f.Good.Value)
	switch {
	case len(lost) > 0:
		return with(warn("Let Gitea's cleanup rule keep them: portal images keep prints the pattern.",
			"Gone from the registry: %s of the last %d that ran well.", some(lost, goodOnes), n), evidence...)
	case silent != nil:
		return unasked("the registry", "the images that ran well", silent)
	case n == 0:
		return none
	}
	return pass("The registry has what ran well last: %s.", plural(n, "image"))
}
