package scenario_test

import (
	"regexp"
	"time"

	"deployportal/internal/kube/kubetest"
)

// says makes the sentence's pattern.
var says = regexp.MustCompile

// image is one whose program is told by its environment what to do; devstack/workloads has the variables.
func image(env ...string) kubetest.Image {
	i := kubetest.Image{Env: map[string]string{}}
	for n := 0; n < len(env); n += 2 {
		i.Env["WORKLOAD_"+env[n]] = env[n+1]
	}
	return i
}

const pod = `pod [a-z0-9]{5}`

func scenarios() []scenario {
	return []scenario{
		{key: "crash", name: "crash after the start", keeps: true, within: 30 * time.Second,
			next:   image("CRASH_AFTER", "300ms", "LAST_WORDS", "fatal error: sync: unlock of unlocked mutex", "EXIT_CODE", "2"),
			status: "Failed", title: "Crash loop",
			sentence: says(`^Container api of ` + pod + ` ended with exit code 2 and was started again \d times\. It said: fatal error: sync: unlock of unlocked mutex\.$`),
			shows:    []string{"Serving now: 2 pods of " + good}},
	}
}
