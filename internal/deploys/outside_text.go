package deploys

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"deployportal/internal/audit"
)

// changeEntry is the audit entry of a change.
func (s *Service) changeEntry(c OutsideChange, was sighting, app App, r Rollout, now time.Time) audit.Entry {
	said := []string{c.sentence(app.Workload, now)}
	if c.Kind != ChangedGone && !c.At.IsZero() && c.At.Before(s.began.Add(-time.Second)) { // the API server keeps whole seconds
		said = append(said, "The portal was not running then.")
	}
	if n := r.Generation - was.generation; c.Kind != ChangedAnew && c.Kind != ChangedGone && n > 1 {
		said = append(said, fmt.Sprintf("It was written %d times since it was last looked at, scaling included; this is where it ended.", n))
	} else if c.Kind != ChangedAnew && c.Kind != ChangedGone && n < 0 {
		said = append(said, "Its generation went back: the cluster was restored from a backup.")
	}
	if c.Kind != ChangedGone && c.Kind != ChangedRestart {
		said = append(said, c.details(s.cluster.Differences(app.Target, was.template, r.Template))...)
	}
	return c.entry(said)
}

// entry says something of a change. Its actor is the field manager: who stood behind that, the cluster does not keep.
func (c OutsideChange) entry(said []string) audit.Entry {
	name := "cluster:" + c.Manager
	if c.Manager == "" {
		name = "cluster:unknown"
	}
	return audit.Entry{Actor: audit.Actor{ID: name, Name: name, Source: "system", Method: "none"}, Action: audit.ChangeOutside,
		App: c.Target.App, Env: c.Target.Env, Repository: first(c.To.Repository, c.From.Repository),
		FromTag: c.From.Tag, FromDigest: c.From.Digest, ToTag: c.To.Tag, ToDigest: c.To.Digest, Detail: strings.Join(said, " ")}
}

// sentence says what a change did, by whom and when.
func (c OutsideChange) sentence(workload string, now time.Time) string {
	who, when := c.Manager, c.At
	if who == "" {
		who = "somebody"
	}
	at := " at "
	if when.IsZero() {
		when, at = now, ", noticed at "
	}
	by := " by " + who + at + when.UTC().Format("2006-01-02 15:04:05") + " UTC, not through the portal."
	if c.Deploy != 0 {
		by = fmt.Sprintf(" by %s%s%s UTC: the patch of deploy %d landed after it was given up.", who, at, when.UTC().Format("2006-01-02 15:04:05"), c.Deploy)
	}
	switch c.Kind {
	case ChangedImage:
		return c.imageWords() + by
	case ChangedTemplate:
		return "The pod template was changed" + by + " The image stayed " + c.To.Short() + "."
	case ChangedRestart:
		return "The pods were restarted" + by
	case ChangedGone:
		return "The Deployment " + workload + " was deleted, not through the portal. Kubernetes does not keep by whom."
	}
	return "The Deployment " + workload + " was created" + by + " It is set to " + c.To.Short() + "."
}

// imageWords names the image that was changed, or the container where it is not the app's first.
func (c OutsideChange) imageWords() string {
	if c.From.Short() != c.To.Short() {
		return "The image was changed from " + c.From.Short() + " to " + c.To.Short()
	}
	return "The image of " + strings.Join(c.imagesSet(), ", ") + " was changed"
}

// details says which images were changed, of all containers, and what else is not alike in the pod template.
func (c OutsideChange) details(differs []string) (said []string) {
	if images := c.ImageChanges(); len(images) > 0 {
		said = append(said, "Images: "+strings.Join(images, "; ")+".")
	}
	var rest []string
	for _, d := range differs {
		if !strings.Contains(d, ", image: ") { // told with all images
			rest = append(rest, d)
		}
	}
	switch {
	case len(rest) > 0:
		said = append(said, "In the pod template: "+strings.Join(rest, "; ")+".")
	case c.From.Frame != "" && c.From.Frame != c.To.Frame && c.Kind != ChangedTemplate:
		said = append(said, "Another part of the pod template was changed too.")
	}
	return said
}

// ImageChanges lists the images of all containers that a change has set, added or taken away: "name: old -> new".
func (c OutsideChange) ImageChanges() (out []string) {
	old, now := c.From.allImages(), c.To.allImages()
	if len(c.From.Others) == 0 && c.From.Frame == "" { // nobody knows what other containers there were
		now = c.To.Images
	}
	names := maps.Clone(old)
	maps.Copy(names, now)
	for _, name := range slices.Sorted(maps.Keys(names)) {
		was, is := shortImage(old[name]), shortImage(now[name])
		switch {
		case old[name] == now[name]:
		case old[name] == "":
			out = append(out, name+": "+is+", was not there")
		case now[name] == "":
			out = append(out, name+": gone, was "+was)
		default:
			out = append(out, name+": "+was+" -> "+is)
		}
	}
	return out
}

// allImages is the image of every container, also of those that no deploy sets.
func (v Version) allImages() map[string]string {
	all := map[string]string{}
	maps.Copy(all, v.Others)
	maps.Copy(all, v.Images)
	return all
}

// shortImage leaves of a digest what tells it from others.
func shortImage(s string) string {
	name, digest, pinned := strings.Cut(s, "@sha256:")
	if !pinned || len(digest) <= 12 {
		return s
	}
	return name + "@sha256:" + digest[:12]
}
