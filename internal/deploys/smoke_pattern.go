package deploys

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
)

// patternOf names what failed requests have in common, and what to do about it. Requests that overlap are answered in any
// order, so a few of them out of place do not hide a pattern. Both lists are of one probe; failed is not empty.
func patternOf(asked, failed []SmokeResult) (pattern, advice string) {
	if len(failed) == len(asked) {
		return "", "The pods are ready, yet nothing answers there as it should: compare the URL, the Ingress and Service behind it and the expected answer."
	}
	if addresses := allOfOne(asked); addresses != "" {
		return addresses, "The app answers elsewhere, so look at the way there: that node's firewall, its ingress, and its path to the pods."
	}
	if split := inTime(asked, failed); split != "" {
		return split, "Something changed meanwhile: look at the app's log, and at what stands between the probes and it, for that moment."
	}
	if every := everyNth(asked, failed); every != "" {
		return every, "The pods are ready, so requests go astray before them: look for an address without a live pod behind it in the load balancer, the proxy's upstreams or DNS."
	}
	return "", "Some requests get through: look at the app's log for those that did not, and at what stands between the probes and it."
}

// allOfOne names the addresses of which every request failed.
func allOfOne(asked []SmokeResult) string {
	var dead []string
	requests, others, groups := 0, 0, Smoke{Results: asked}.ByAddress()
	for _, t := range groups {
		if t.Good == 0 {
			dead = append(dead, t.Address)
			requests += t.Asked
		} else {
			others += t.Failed()
		}
	}
	if len(dead) == 0 || len(dead) == len(groups) {
		return ""
	}
	text := fmt.Sprintf("All %d to %s failed", requests, strings.Join(dead, " and "))
	if others == 0 {
		return text + "; every other address answered."
	}
	return fmt.Sprintf("%s, and %d to other addresses.", text, others)
}

// inTime tells whether all failed from a moment on, or only up to one. The few requests around it may overlap.
func inTime(asked, failed []SmokeResult) string {
	if len(failed) < 3 {
		return ""
	}
	ended := func(a, b SmokeResult) int { return cmp.Compare(a.After+a.Took, b.After+b.Took) }
	order := slices.SortedFunc(slices.Values(asked), ended)
	leeway := max(1, len(failed)/20)
	for cut, good := 0, 0; cut < len(order); cut++ {
		if order[cut].Fault == "" {
			good++
			continue
		}
		// cut is the first failure: how many good ones come after it?
		if cut > 0 && len(order)-cut-len(failed) <= leeway {
			return fmt.Sprintf("The first %d were answered, and from %s on every one failed.", good, Millis(order[cut].After))
		}
		break
	}
	slices.Reverse(order)
	for cut := range order {
		if order[cut].Fault == "" {
			continue
		}
		if cut > 0 && len(order)-cut-len(failed) <= leeway {
			return fmt.Sprintf("Only the first %d failed; after %s every one was answered.", len(failed), Millis(order[cut].After+order[cut].Took))
		}
		break
	}
	return ""
}

var ordinal = map[int]string{2: "second", 3: "third", 4: "fourth", 5: "fifth"}

// everyNth tells whether failures are spread as if one of n ways were dead: in turn, or drawn by lot.
func everyNth(asked, failed []SmokeResult) string {
	all, bad := float64(len(asked)), float64(len(failed))
	if len(failed) < 5 {
		return ""
	}
	half, early := asked[len(asked)/2].N, 0
	for _, r := range failed {
		if r.N < half {
			early++
		}
	}
	if share := float64(early) / bad; share < 1./3 || share > 2./3 {
		return ""
	}
	n := int(math.Round(all / bad))
	want := all / float64(n)
	switch off := math.Abs(bad - want); {
	case ordinal[n] == "":
		return ""
	case off <= 1:
		return fmt.Sprintf("Every %s one failed.", ordinal[n])
	case off <= 1.5*math.Sqrt(want*(1-1/float64(n))): // drawn by lot, it is that close seven times in eight
		return fmt.Sprintf("About every %s one failed.", ordinal[n])
	}
	return ""
}
