package deploys

import (
	"fmt"
	"slices"
	"strings"
)

// doors is how a source reads in a sentence.
var doors = map[string]string{
	"web": "in the browser", "slack": "in Slack", "api": "through the API", "cli": "on the command line", "system": "by itself",
}

func requested(d Deploy) string {
	what := "asked for " + d.To.Short()
	switch {
	case d.Automatic():
		return fmt.Sprintf("goes back to %s by itself: %s", d.To.Short(), d.Reason)
	case d.Kind == KindRollback:
		what = "asked to go back to " + d.To.Short()
	case d.Kind == KindRestart:
		what = "asked for a restart of " + d.To.Short()
	case d.Kind == KindAdopt:
		what = "adopted " + d.To.Short()
	}
	return fmt.Sprintf("%s %s %s", d.ActorName, what, doors[d.Source])
}

func names(images map[string]string) string {
	var list []string
	for name := range images {
		list = append(list, name)
	}
	slices.Sort(list)
	return strings.Join(list, ", ")
}

// NotFound says that an image is not in the registry; said is what the registry answered, in a sentence.
func NotFound(said string) string {
	return "Image not found: " + said + " It was deleted, or never pushed."
}
