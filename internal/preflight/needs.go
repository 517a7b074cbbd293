package preflight

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"deployportal/internal/deploys"
)

func sorted[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// references: a pod whose Secret, ConfigMap, key or claim is not there never starts.
func references(f Facts) deploys.Check {
	if c, ok := f.unseen("the Secrets and ConfigMaps it refers to"); ok {
		return c
	}
	var missing, unseen, evidence []string
	looked := 0
	for _, n := range f.Around.Needs {
		switch {
		case n.Pull:
		case n.Unseen != "":
			if !slices.Contains(unseen, n.Unseen) {
				unseen = append(unseen, n.Unseen)
			}
			evidence = append(evidence, n.By+": "+n.Kind+" "+n.Name)
		case n.Optional:
		case !n.Exists:
			missing = append(missing, fmt.Sprintf("%s %s, wanted by %s", n.Kind, n.Name, n.By))
		case len(n.Lacks) > 0:
			missing = append(missing, fmt.Sprintf("key %s of %s %s, wanted by %s", strings.Join(n.Lacks, ", "), n.Kind, n.Name, n.By))
		default:
			looked++
		}
	}
	switch {
	case len(missing) > 0:
		return with(block("Create what is missing; without it no new pod starts.", "Missing: %s.", some(missing, 3)), missing...)
	case len(unseen) > 0:
		return with(unknown("Could not look at everything it refers to. %s", strings.Join(unseen, " ")), evidence...)
	case looked == 0:
		return pass("It refers to no Secret, ConfigMap or claim that must be there.")
	}
	return pass("Every Secret, ConfigMap, key and claim it refers to is there.")
}

// pullSecrets: without its imagePullSecret a node asks the registry as nobody.
func pullSecrets(f Facts) deploys.Check {
	if c, ok := f.unseen("its imagePullSecrets"); ok {
		return c
	}
	var missing, unseen []string
	named := 0
	for _, n := range f.Around.Needs {
		if !n.Pull {
			continue
		}
		named++
		if n.Unseen != "" {
			unseen = append(unseen, n.Unseen)
		} else if !n.Exists {
			missing = append(missing, n.Name)
		}
	}
	switch {
	case len(missing) > 0:
		return warn("Create it, or take it out of the pod template.",
			"The imagePullSecret %s does not exist, so nodes ask the registry without an account.", some(missing, 3))
	case len(unseen) > 0:
		return unknown("Could not look at its imagePullSecrets. %s", unseen[0])
	case named == 0:
		return pass("It names no imagePullSecret.")
	}
	return pass("Its imagePullSecrets are there.")
}

// ports: a probe that asks a port no container listens on by its own word fails for ever.
func ports(f Facts) deploys.Check {
	if c, ok := f.unseen("its probes"); ok {
		return c
	}
	var odd []string
	for _, c := range f.Around.Workload.Containers {
		for _, p := range []struct {
			kind string
			spec *deploys.ProbeSpec
		}{{"startup", c.Startup}, {"readiness", c.Readiness}, {"liveness", c.Liveness}} {
			switch {
			case p.spec == nil:
			case p.spec.PortName != "" && !slices.Contains(c.PortNames, p.spec.PortName):
				odd = append(odd, fmt.Sprintf("the %s probe of %s asks port %q, which it does not declare", p.kind, c.Name, p.spec.PortName))
			case p.spec.PortName == "" && p.spec.Port != 0 && len(c.Ports) > 0 && !slices.Contains(c.Ports, p.spec.Port):
				odd = append(odd, fmt.Sprintf("the %s probe of %s asks port %d, and it declares %s", p.kind, c.Name, p.spec.Port, numbers(c.Ports)))
			}
		}
	}
	if len(odd) > 0 {
		sentence := some(odd, 2)
		return with(warn("Correct the port of the probe or of the container.", "%s.", strings.ToUpper(sentence[:1])+sentence[1:]), odd...)
	}
	return pass("Its probes ask ports that its containers declare.")
}

func numbers(list []int32) string {
	var words []string
	for _, n := range list {
		words = append(words, fmt.Sprint(n))
	}
	return strings.Join(words, ", ")
}
