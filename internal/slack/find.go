package slack

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"deployportal/internal/deploys"
	"deployportal/internal/errs"
	"deployportal/internal/foreign"
)

// find gives the app that a command means. Where it names no environment, the app has to be in one only. The errors say
// what there is instead, errs.NotFound, or what is to be chosen from, errs.Invalid.
func (d *Door) find(c *command) (deploys.App, error) {
	all, err := d.named(c.app)
	if err != nil {
		return deploys.App{}, err
	}
	if c.verb == verbRollback && c.image == "" && shaLike(imageWord(c.env)) && !d.isEnv(c.env) {
		c.image, c.env = imageWord(c.env), "" // rollback api to abc123
	}
	var envs []string
	for _, app := range all {
		if strings.EqualFold(app.Env, c.env) {
			return app, nil
		}
		envs = append(envs, app.Env)
	}
	name := all[0].App
	switch {
	case c.env == "" && len(all) == 1:
		return all[0], nil
	case c.env == "":
		return deploys.App{}, errs.New(errs.Invalid, "%s is in %s. Say which, for example: %s", name, listed(envs, "and"), c.in(name, envs[0]))
	case d.isEnv(c.env):
		return deploys.App{}, errs.New(errs.NotFound, "%s is not in %s but in %s.", name, foreign.Line(c.env, 60), listed(envs, "and"))
	}
	return deploys.App{}, errs.New(errs.NotFound, "There is no environment %s. %s is in %s.", foreign.Line(c.env, 60), name, listed(envs, "and"))
}

// in writes the command anew with an environment.
func (c command) in(app, env string) string {
	words := []string{"/deploy"}
	if c.verb != verbDeploy {
		words = append(words, c.verb)
	}
	words = append(words, app)
	if c.image != "" {
		words = append(words, c.image)
	}
	words = append(words, "in", env)
	if c.verb == verbLock {
		return strings.Join(append(words, c.reason), " ")
	}
	return strings.Join(words, " ")
}

// named gives an app in all its environments. errs.NotFound names those whose names are near.
func (d *Door) named(name string) ([]deploys.App, error) {
	name = bare(name)
	var found []deploys.App
	var names []string
	for _, app := range d.Cluster.Apps() {
		if strings.EqualFold(app.App, name) {
			found = append(found, app)
		}
		if !slices.Contains(names, app.App) {
			names = append(names, app.App)
		}
	}
	if len(found) > 0 {
		return found, nil
	}
	name = foreign.Line(name, 60)
	if near := nearest(name, names); len(near) > 0 {
		return nil, errs.New(errs.NotFound, "There is no app %s. Did you mean %s?", name, listed(near, "or"))
	}
	if len(names) == 0 {
		return nil, errs.New(errs.NotFound, "The portal knows no apps. Its configuration names them, or its cluster cannot be reached.")
	}
	return nil, errs.New(errs.NotFound, "There is no app %s. There are %s.", name, listed(names[:min(len(names), 20)], "and"))
}

func (d *Door) isEnv(env string) bool {
	return slices.ContainsFunc(d.Cluster.Apps(), func(a deploys.App) bool { return strings.EqualFold(a.Env, env) })
}

// nearest gives up to three names that are a slip away from what was typed, two where it is long, or begin with it.
func nearest(typed string, names []string) []string {
	typed = strings.ToLower(typed)
	type near struct {
		name string
		far  int
	}
	var found []near
	for _, name := range names {
		far := distance(typed, strings.ToLower(name))
		if strings.HasPrefix(strings.ToLower(name), typed) {
			far = min(far, 1)
		}
		if far < 2 || far == 2 && len(typed) > 4 {
			found = append(found, near{name, far})
		}
	}
	slices.SortStableFunc(found, func(a, b near) int { return a.far - b.far })
	var out []string
	for _, n := range found[:min(len(found), 3)] {
		out = append(out, n.name)
	}
	return out
}

// distance is how many characters must be put in, taken out, changed or swapped with their neighbour to make b of a.
func distance(a, b string) int {
	from, to := []rune(a), []rune(b)
	rows := make([][]int, len(from)+1)
	for i := range rows {
		rows[i] = make([]int, len(to)+1)
		rows[i][0] = i
	}
	for j := range rows[0] {
		rows[0][j] = j
	}
	for i := 1; i <= len(from); i++ {
		for j := 1; j <= len(to); j++ {
			changed := 1
			if from[i-1] == to[j-1] {
				changed = 0
			}
			best := min(rows[i-1][j]+1, rows[i][j-1]+1, rows[i-1][j-1]+changed)
			if i > 1 && j > 1 && from[i-1] == to[j-2] && from[i-2] == to[j-1] {
				best = min(best, rows[i-2][j-2]+1)
			}
			rows[i][j] = best
		}
	}
	return rows[len(from)][len(to)]
}

// ambiguous is that the start of a SHA names several images.
type ambiguous struct {
	typed string
	list  []deploys.Listed
}

func (a ambiguous) Error() string {
	return fmt.Sprintf("%s names %d images", a.typed, len(a.list))
}

// findImage gives the tag that a word means: one of the list, by its start, or by a SHA that is longer than the tag; else
// the word itself, for the registry to tell. An ambiguous error has the images to choose from.
func (d *Door) findImage(ctx context.Context, app deploys.App, word string) (string, error) {
	tag, err := pick(d.Catalog.Cached(app).Images, word)
	if tag != "" || err != nil {
		return tag, err
	}
	list := d.Catalog.Images(ctx, app)
	if tag, err = pick(list.Images, word); tag != "" || err != nil {
		return tag, err
	}
	refused := d.Deploys.CheckImage(word)
	switch {
	case refused == nil: // older than the list reaches
		return word, nil
	case shaLike(word) && list.Err != nil:
		err := late(ctx, list.Err, "The registry did not answer in time.")
		return "", errs.Wrap(err, errs.Unavailable, "%s So %s cannot be looked up. Give the whole tag.", errs.Public(err), word)
	case shaLike(word):
		return "", errs.New(errs.NotFound, "No image of %s begins with %s. /deploy list %s shows what there is.", app.App, word, app.App)
	}
	return "", refused
}

func pick(list []deploys.Listed, word string) (string, error) {
	var found []deploys.Listed
	for _, img := range list {
		switch {
		case img.Tag == word:
			return word, nil
		case means(word, img.Tag):
			found = append(found, img)
		}
	}
	switch len(found) {
	case 0:
		return "", nil
	case 1:
		return found[0].Tag, nil
	}
	return "", ambiguous{word, found}
}

// means tells whether a word names a tag: it is the tag, the start of it, or the longer SHA that the tag is the start of.
func means(word, tag string) bool {
	return word == tag || shaLike(word) && shaLike(tag) && (strings.HasPrefix(tag, word) || len(tag) >= 7 && strings.HasPrefix(word, tag))
}

// listed reads "a", "a and b", "a, b and c".
func listed(words []string, and string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:len(words)-1], ", ") + " " + and + " " + words[len(words)-1]
}
