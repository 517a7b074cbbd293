package deploys

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

var (
	notFoundRe = regexp.MustCompile(`(?i)\b(404|not found|manifest unknown|name unknown|does not exist)\b`)
	refusedRe  = regexp.MustCompile(`(?i)\b(401|403|unauthorized|forbidden|denied|authorization failed|no basic auth credentials|failed to authorize)\b`)
	platformRe = regexp.MustCompile(`(?i)no match for platform|does not match the specified platform`)
	fullRe     = regexp.MustCompile(`(?i)\bno space left on device\b`)
	reachRe    = regexp.MustCompile(`(?i)\b(dial tcp|no such host|no route to host|network is unreachable|i/o timeout|connection refused|connection reset|` +
		`server gave http response|deadline exceeded|tls handshake|tls: |x509: |50[0-9]( |$))|\bEOF$`)
)

// backedOff is what a kubelet says between two tries to pull: the reason and the words of the last one, in newer versions.
var backedOff = regexp.MustCompile(`^Back-off pulling image "[^"]*"(?:: (\w+): (.*))?$`)

// lastTry gives the reason and the message of a waiting container as they were when it last failed.
func lastTry(c Container) (reason, message string) {
	if m := backedOff.FindStringSubmatch(c.Message); m != nil && c.Reason == "ImagePullBackOff" {
		return first(m[1], c.Reason), m[2]
	}
	return c.Reason, c.Message
}

var quoted = regexp.MustCompile(`"[^"]*"`)

// wordsOf leaves the names of images and addresses out of a message, since their parts can be any word.
func wordsOf(message string, c Container) string {
	repository, _, _ := SplitImage(c.Image)
	words := strings.Fields(quoted.ReplaceAllString(message, `""`))
	return strings.Join(slices.DeleteFunc(words, func(w string) bool { return repository != "" && strings.Contains(w, repository) }), " ")
}

// pullCause crosses what the node said with what the registry says. Waiting does not help only where both say so: a node
// that says something else may pull from elsewhere, or could not ask at all.
func (j *judge) pullCause(p Pod, c Container, message string, cause Cause, key string, seen map[string]bool) Cause {
	f := j.f.Pull
	cause.Title = "Image not pulled"
	cause.Advice = "Look at the node's way to the registry."
	cause.Sentence = fmt.Sprintf("%s cannot start: %s could not pull its image.", who(p, c), orNode(p.Node))
	repo := j.b.To.Repository[strings.IndexByte(j.b.To.Repository, '/')+1:]
	words := wordsOf(message, c)
	agrees := words == "" || notFoundRe.MatchString(words) || refusedRe.MatchString(words)
	_, ours := j.b.To.Images[c.Name]
	switch {
	case !ours: // the registry was not asked, and is perhaps not the one
		cause.Sentence = fmt.Sprintf("%s cannot start: its image %s, which this deploy does not set, cannot be pulled.", who(p, c), c.Image)
		cause.Advice = "Correct the image of this container in the Deployment."
	case platformRe.MatchString(words):
		cause.Title, cause.Doomed = "No image for this architecture", true
		cause.Sentence = fmt.Sprintf("%s cannot start: the image is not built for the architecture of %s%s.", who(p, c), orNode(p.Node), builtFor(f.Platforms, j.b.To.Platforms))
		cause.Advice = buildAdvice
	case agrees && f.Asked && f.Sentence != "" && f.Moved != "":
		cause.Title, cause.Doomed = "Image overwritten", true
		cause.Sentence = fmt.Sprintf("The image is gone: the tag %s in %s was pushed again and names another digest now.", j.b.To.Short(), repo)
		cause.Advice = "Deploy the tag anew to take the image that it names now."
		cause.Evidence = append(cause.Evidence, Evidence{Kind: FromRegistry, Text: "the tag now names " + f.Moved})
	case agrees && f.Asked && f.Refused:
		cause.Title, cause.Doomed = "The registry refuses the image", true
		cause.Sentence = fmt.Sprintf("%s cannot start: %s", who(p, c), f.Sentence)
		cause.Advice = "Check the rights of the registry's accounts: the portal's and the nodes'."
		cause.Evidence = append(cause.Evidence, Evidence{Kind: FromRegistry, Text: f.Sentence})
	case agrees && f.Asked && f.Sentence != "":
		cause.Title, cause.Doomed = "Image not found", true
		cause.Sentence = NotFound(f.Sentence)
		cause.Advice = "Push the image again, or deploy one that the registry still has."
		cause.Evidence = append(cause.Evidence, Evidence{Kind: FromRegistry, Text: f.Sentence})
	default:
		return j.pullOfNode(p, c, words, cause, key, seen)
	}
	return cause
}

// pullOfNode is a failed pull as the node tells it, where the registry does not say that the image is gone or refused.
func (j *judge) pullOfNode(p Pod, c Container, words string, cause Cause, key string, seen map[string]bool) Cause {
	f := j.f.Pull
	switch {
	case refusedRe.MatchString(words), p.NoSecrets != "" && notFoundRe.MatchString(words): // some registries hide what they refuse
		cause.Title = "The registry refuses the node"
		cause.Doomed = f.Asked && j.standing(key+"/refused", seen) >= configGrace
		cause.Sentence = fmt.Sprintf("%s cannot start: the registry does not let %s pull the image.", who(p, c), orNode(p.Node))
		cause.Advice = "Check the imagePullSecrets of the pod template, or registries.yaml on the node: the credentials are missing or wrong."
		if p.NoSecrets != "" {
			cause.Sentence = fmt.Sprintf("%s cannot start: the registry does not let %s pull the image, and the node could not read the pull secret %s.", who(p, c), orNode(p.Node), p.NoSecrets)
			cause.Advice = fmt.Sprintf("Create the Secret in namespace %s, or correct its name in the imagePullSecrets.", j.b.App.Namespace)
		}
	case fullRe.MatchString(words):
		cause.Title = "No space left on the node"
		cause.Sentence = fmt.Sprintf("%s cannot start: the disk of %s has no space left for its image.", who(p, c), orNode(p.Node))
		cause.Advice = "Free space on the node, or let the pod run on another one."
	case reachRe.MatchString(words):
		cause.Title = unreachable
		cause.Sentence = fmt.Sprintf("%s cannot start: %s cannot reach the registry.", who(p, c), orNode(p.Node))
	}
	switch {
	case f.Asked && f.Sentence == "":
		cause.Evidence = append(cause.Evidence, Evidence{Kind: FromRegistry, Text: "the image is there, and the portal itself may read it"})
	case f.Asked:
		cause.Evidence = append(cause.Evidence, Evidence{Kind: FromRegistry, Text: f.Sentence})
	}
	return cause
}

const unreachable = "Registry unreachable from the node"

func orNode(name string) string {
	if name == "" {
		return "the node"
	}
	return name
}

func builtFor(lists ...[]string) string {
	for _, l := range lists {
		if len(l) > 0 {
			return ", only for " + strings.Join(l, ", ")
		}
	}
	return ""
}
