package scenario_test

import (
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"time"

	"deployportal/internal/kube/kubetest"
)

// manifest is what a chapter's Deployment looks like. It stays for some rollouts, whose images differ.
type manifest struct {
	replicas int32
	recreate bool
	budget   int32 // of the startup probe, seconds
	deadline int32 // for progress, seconds
	small    bool  // a memory limit of 64Mi
	liveness bool  // GET / every second, three failures kill
}

func (m manifest) String() string {
	s := fmt.Sprintf("%d replicas, startup budget %d s, deadline %d s", m.replicas, m.budget, m.deadline)
	for _, more := range []struct {
		is   bool
		text string
	}{{m.recreate, "recreate"}, {m.small, "limit 64Mi"}, {m.liveness, "liveness probe"}} {
		if more.is {
			s += ", " + more.text
		}
	}
	return s
}

// rollout is one planned rollout and what must come of it.
type rollout struct {
	tag   string
	kind  kind
	image kubetest.Image
	want  expected
}

// expected is what a page must say of a rollout that is over.
type expected struct {
	status, title string
	sentence      *regexp.Regexp
}

func (e expected) String() string { return e.status + ": " + e.title + ": " + e.sentence.String() }

func (e expected) met(r result) bool {
	return r.status == e.status && slices.Contains(strings.Split(e.title, "|"), r.title) && e.sentence.MatchString(r.sentence)
}

// chapter is a Deployment made anew and the rollouts on it, one after the other.
type chapter struct {
	manifest
	rollouts []*rollout
}

// kind is one way for a rollout to go: whether a manifest lets it go that way, the image, what is done to the cluster,
// and what must come of it. Nothing here knows how the portal judges: it follows from what manifest and image do.
type kind struct {
	name   string
	fits   func(manifest) bool
	image  func(r *rand.Rand, m manifest) kubetest.Image
	before func(*lane, *rollout) // before the click
	after  func(*lane, *rollout) // after the click
	mend   func(*lane)           // after the verdict
	want   func(m manifest, r *rollout) expected
}

var lastWords = []string{
	"panic: assignment to entry in nil map", "fatal error: sync: unlock of unlocked mutex", "error: relation \"users\" does not exist",
	"dial tcp 10.0.0.7:5432: connect: connection refused", "config: cannot read /etc/app.yaml: permission denied", "bye",
	"Error: Cannot find module 'express'", "java.lang.IllegalStateException: no datasource",
}

func always(manifest) bool                      { return true }
func patient(m manifest) bool                   { return m.deadline == 60 }
func rolling(m manifest) bool                   { return !m.recreate }
func plain(*rand.Rand, manifest) kubetest.Image { return kubetest.Image{} }

// slow is good, and starts so slowly that something can be done to it meanwhile; each pod within its budget.
func slow(*rand.Rand, manifest) kubetest.Image { return image("START_DELAY", "4s") }

func well(replicas int32, tag string) expected {
	runs := fmt.Sprintf("%d of %d pods run", replicas, replicas)
	if replicas == 1 {
		runs = "1 of 1 pod runs"
	}
	return expected{status: "Succeeded", sentence: says(runs + " " + tag + ` and stayed well for 10 s\.`)}
}

func stayedWell(m manifest, r *rollout) expected { return well(m.replicas, r.tag) }

func fails(title, pattern string) func(manifest, *rollout) expected {
	return func(manifest, *rollout) expected { return expected{"Failed", title, says(pattern)} }
}

const container = `Container api of ` + pod

// kinds are all that can be drawn.
func kinds() []kind {
	return slices.Concat(goodKinds(), disturbedKinds(), badImages(), crashingKinds(), probeKinds())
}

func goodKinds() []kind {
	return []kind{
		{name: "good", fits: always, want: stayedWell,
			image: func(r *rand.Rand, _ manifest) kubetest.Image {
				return image("START_DELAY", fmt.Sprintf("%ds", r.IntN(4)))
			}},
		{name: "good again, same config", fits: always, want: stayedWell,
			image: func(*rand.Rand, manifest) kubetest.Image { return kubetest.Image{Variant: "again"} }},
	}
}

// disturbedKinds are good images in rollouts that somebody or something gets in the way of.
func disturbedKinds() []kind {
	return []kind{
		{name: "scaled up meanwhile", fits: always, image: slow, after: scaleUp, mend: scaleBack,
			want: func(m manifest, r *rollout) expected { return well(m.replicas+1, r.tag) }},
		{name: "paused and resumed", fits: always, image: slow, want: stayedWell,
			after: func(l *lane, _ *rollout) { pauseAndResume(l.stage) }},
		{name: "a new pod is ended by its node", fits: always, image: slow, after: func(l *lane, _ *rollout) { endOnePod(l.stage) },
			mend: func(l *lane) { clearEnded(l.stage) }, want: stayedWell},
		{name: "a new pod is deleted", fits: always, image: slow, after: func(l *lane, _ *rollout) { deleteOnePod(l.stage) }, want: stayedWell},
		{name: "quota is full", fits: patient, image: plain, before: func(l *lane, _ *rollout) { l.fillQuota(int(l.replicas)) }, mend: freeQuota,
			want: func(m manifest, r *rollout) expected {
				if m.recreate { // the old pods go first, and make room
					return stayedWell(m, r)
				}
				return expected{"Failed", "Quota exceeded", says(fmt.Sprintf(
					`^Kubernetes refuses to create the pods: pods "api-[a-z0-9-]+" is forbidden: exceeded quota: small, requested: pods=1, used: pods=%d, limited: pods=%d\.$`, m.replicas, m.replicas))}
			}},
		{name: "a webhook gives the pods another image", fits: always, image: plain,
			before: func(l *lane, _ *rollout) { l.undo = rewriteImages(l.stage) },
			mend: func(l *lane) {
				l.undo()
				l.podsGet(func(image string) bool { return image == "try" })
			},
			want: fails("Another image", `^Container api of `+pod+` was given the image \S+ instead of \S+, by an admission webhook perhaps\.$`)},
		{name: "kubectl set image meanwhile", fits: always, image: hangs,
			after: func(l *lane, _ *rollout) {
				setImage(l.stage)
				l.current = good
				slowly(l.t, time.Minute, "the portal sees the app", l.healthy)
			},
			want: func(manifest, *rollout) expected {
				return expected{"Superseded", "", says(`^api was changed by kubectl-set at \d\d:\d\d:\d\d UTC(, while the portal was away)?\.$`)}
			}},
		{name: "rolled back while it hangs", fits: rolling, image: hangs, after: rollBackHanging,
			want: func(manifest, *rollout) expected {
				return expected{"Superseded", "", says(`^Replaced by a rollback of ana\.$`)}
			}},
	}
}

func hangs(*rand.Rand, manifest) kubetest.Image { return image("STATUS", "/api/health=503") }

func badImages() []kind {
	platforms := func(p string) func(*rand.Rand, manifest) kubetest.Image {
		return func(*rand.Rand, manifest) kubetest.Image { return kubetest.Image{Platforms: p} }
	}
	return []kind{
		{name: "foreign program", fits: always, image: platforms("foreign-program"),
			want: fails("Wrong architecture", `^`+container+` cannot run on `+node+`: exec format error\. The image is for another architecture than the node\.$`)},
		{name: "foreign image", fits: always, image: platforms("foreign"),
			want: fails("No image for this architecture", `^`+container+` cannot start: the image is not built for the architecture of `+node+`, only for linux/\w+\.$`)},
		{name: "tag deleted at the pull", fits: always, image: plain,
			before: func(l *lane, _ *rollout) { deleteAtPull(l.stage) },
			want: func(_ manifest, r *rollout) expected {
				return expected{"Failed", "Image not found", says(`^Image not found: The registry has no tag ` + r.tag + ` in acme/lane-\d+\. It was deleted, or never pushed\.$`)}
			}},
		{name: "tag pushed again at the pull", fits: always, image: plain,
			before: func(l *lane, _ *rollout) { overwriteAtPull(l.stage) },
			want: func(_ manifest, r *rollout) expected {
				return expected{"Failed", "Image overwritten", says(`^The image is gone: the tag ` + r.tag + ` in acme/lane-\d+ was pushed again and names another digest now\.$`)}
			}},
		{name: "secret gone", fits: always, image: plain, before: deleteSecret, mend: makeSecret,
			want: fails("Secret missing", `^`+container+` cannot start: the Secret "api-env" it refers to does not exist\.$`)},
	}
}

func crashingKinds() []kind {
	crash := func(when string) func(*rand.Rand, manifest) kubetest.Image {
		return func(r *rand.Rand, _ manifest) kubetest.Image {
			after := fmt.Sprintf("%dms", 100+r.IntN(900))
			if when == "EXIT_AFTER_READY" {
				after = fmt.Sprintf("%ds", 2+r.IntN(5))
			}
			return image(when, after, "LAST_WORDS", lastWords[r.IntN(len(lastWords))], "EXIT_CODE", fmt.Sprint(r.IntN(126)))
		}
	}
	said := func(title, ended string) func(manifest, *rollout) expected {
		return func(_ manifest, r *rollout) expected {
			env := r.image.Env
			return expected{"Failed", title, says(`^` + container + ` ended with exit code ` + env["WORKLOAD_EXIT_CODE"] + ended +
				` It said: ` + regexp.QuoteMeta(env["WORKLOAD_LAST_WORDS"]) + `\.$`)}
		}
	}
	return []kind{
		{name: "crash loop", fits: patient, image: crash("CRASH_AFTER"), want: said("Crash loop", ` and was started again \d+ times\.`)},
		{name: "ends soon after it was ready", fits: func(m manifest) bool { return m.replicas == 1 }, image: crash("EXIT_AFTER_READY"),
			want: said("It did not stay up", ` after all pods were ready, within the 10 s in which they must stay well\.`)},
		{name: "out of memory", fits: func(m manifest) bool { return m.small && m.budget > 8 && patient(m) },
			image: func(r *rand.Rand, _ manifest) kubetest.Image { return image("EAT_MIB", fmt.Sprint(80+r.IntN(100))) },
			want:  fails("Out of memory", `^`+container+` was killed for using more memory than its limit of 64Mi and was started again \d+ times\.$`)},
	}
}

func probeKinds() []kind {
	killed := func(answer string) func(manifest, *rollout) expected {
		return func(m manifest, _ *rollout) expected {
			return expected{"Failed", "Killed by its startup probe", says(fmt.Sprintf(
				`^`+container+` did not start within the %d s that its startup probe allows: GET /healthz on port 8000 gave %s, at least \d+ times\.$`, m.budget, answer))}
		}
	}
	answers := func(r *rand.Rand, path string, codes ...int) kubetest.Image {
		return image("STATUS", fmt.Sprintf("%s=%d", path, codes[r.IntN(len(codes))]))
	}
	code := func(r *rollout) string {
		_, code, _ := strings.Cut(r.image.Env["WORKLOAD_STATUS"], "=")
		return code
	}
	return []kind{
		{name: "startup probe gets 4xx", fits: patient,
			image: func(r *rand.Rand, _ manifest) kubetest.Image { return answers(r, "/healthz", 404, 401, 403) },
			want: func(m manifest, r *rollout) expected {
				return expected{"Failed", "The startup probe gets " + code(r), says(fmt.Sprintf(
					`^`+container+` runs, but GET /healthz on port 8000 was answered with HTTP %s at least \d+ times in its whole budget of %d s\.$`, code(r), m.budget))}
			}},
		{name: "startup probe gets 5xx", fits: patient,
			image: func(r *rand.Rand, _ manifest) kubetest.Image { return answers(r, "/healthz", 500, 502, 503) },
			want:  func(m manifest, r *rollout) expected { return killed("HTTP "+code(r))(m, r) }},
		{name: "starts slower than its probe allows", fits: patient,
			image: func(*rand.Rand, manifest) kubetest.Image { return image("START_DELAY", "5m") }, want: killed("connection refused")},
		{name: "never ready", fits: func(m manifest) bool { return m.deadline == 20 },
			image: func(r *rand.Rand, _ manifest) kubetest.Image { return answers(r, "/api/health", 404, 500, 503) },
			want: func(_ manifest, r *rollout) expected {
				return expected{"Failed", "Never ready", says(`^No progress for 20 s\. ` + container + ` runs, but is not ready: GET /api/health on port 8000 gave HTTP ` + code(r) + `, at least \d+ times\.$`)}
			}},
		{name: "killed by its liveness probe", fits: func(m manifest) bool { return m.liveness && m.replicas == 1 },
			image: func(r *rand.Rand, _ manifest) kubetest.Image { return answers(r, "/", 404, 500) },
			want: func(_ manifest, r *rollout) expected {
				return expected{"Failed", "It did not stay up", says(`^` + container + ` was killed by its liveness probe after all pods were ready, within the 10 s in which they must stay well: GET / on port 8000 gave HTTP ` + code(r) + `, at least \d+ times\.$`)}
			}},
	}
}

// draw makes a manifest.
func draw(r *rand.Rand) manifest {
	m := manifest{replicas: 1 + r.Int32N(3), recreate: r.IntN(3) == 0, budget: 8, deadline: 60, small: r.IntN(4) == 0, liveness: r.IntN(2) == 0}
	if r.IntN(3) == 0 {
		m.budget = 14
	}
	if r.IntN(3) == 0 {
		m.deadline = 20
	}
	return m
}

// chapterLength is how many rollouts a Deployment sees at most before it is made anew.
const chapterLength = 5

// plan draws n rollouts for each lane. Kinds are dealt like cards: each comes once before any comes again.
func plan(seed uint64, lanes, n int, of []kind) [][]chapter {
	r := rand.New(rand.NewPCG(seed, 0))
	var deck []kind
	next := func() kind {
		if len(deck) == 0 {
			deck = slices.Clone(of)
			r.Shuffle(len(deck), func(i, j int) { deck[i], deck[j] = deck[j], deck[i] })
		}
		k := deck[0]
		deck = deck[1:]
		return k
	}
	out := make([][]chapter, lanes)
	tag := 0
	for l := range out {
		for range n {
			k, here := next(), len(out[l])-1
			if here < 0 || len(out[l][here].rollouts) == chapterLength || !k.fits(out[l][here].manifest) {
				m := draw(r)
				for !k.fits(m) {
					m = draw(r)
				}
				out[l], here = append(out[l], chapter{manifest: m}), here+1
			}
			c := &out[l][here]
			tag++
			ro := &rollout{tag: fmt.Sprintf("%07x", 0xa000000+tag), kind: k, image: k.image(r, c.manifest)}
			ro.want = k.want(c.manifest, ro)
			c.rollouts = append(c.rollouts, ro)
		}
	}
	return out
}
