package web

import (
	"fmt"
	"strconv"
	"strings"

	"deployportal/internal/audit"
	"deployportal/internal/deploys"
	"deployportal/web/templates"
)

// actionWords says what each action is, for the middle of a sentence: "ana asked to deploy api in prod".
var actionWords = map[string]string{
	audit.DeployRequested:  "asked to deploy",
	audit.DeployRejected:   "was refused to deploy",
	audit.DeploySucceeded:  "deploy succeeded for",
	audit.DeployFailed:     "deploy failed for",
	audit.DeployErrored:    "deploy errored for",
	audit.DeploySuperseded: "deploy was superseded for",
	audit.ChangeOutside:    "changed, outside the portal,",
	audit.ChangeAdopted:    "adopted the change of",
	audit.LockCreated:      "locked",
	audit.LockRemoved:      "unlocked",
	audit.ImageMarkedBad:   "marked as bad an image of",
	audit.ImageCleared:     "took the mark off an image of",
	audit.AuditExported:    "exported the audit log",
	audit.UserAdded:        "added the account",
	audit.UserRole:         "changed the role of",
	audit.UserDisabled:     "disabled the account",
	audit.UserEnabled:      "enabled the account",
	audit.UserPassword:     "changed the password of",
	audit.SignedIn:         "signed in",
	audit.SignInRefused:    "was refused at sign-in",
	audit.SignedOut:        "signed out",
	audit.SlackLinked:      "linked to Slack the account",
	audit.SlackUnlinked:    "unlinked from Slack the account",
	audit.SlackRefused:     "was refused",
}

// actionWord falls back to the action's own name, so that an entry of a later version still reads.
func actionWord(action string) string {
	if w, ok := actionWords[action]; ok {
		return w
	}
	return action
}

// refusedWords says of what was refused that it did not happen.
var refusedWords = map[string]string{
	audit.LockCreated:  "was refused to lock",
	audit.LockRemoved:  "was refused to unlock",
	audit.ImageCleared: "was refused to take a mark off",

	audit.SlackUnlinked: "was refused to unlink from Slack",
}

// kindWords take the place of actionWords where the subject says that a deploy is a rollback or a restart.
var kindWords = map[string]map[string]string{
	"automatic rollback": kindOf("automatically rolls back", "roll back", "rollback"),
	"rollback":           kindOf("asked to roll back", "roll back", "rollback"),
	"restart":            kindOf("asked to restart", "restart", "restart"),
}

func kindOf(asked, verb, noun string) map[string]string {
	return map[string]string{
		audit.DeployRequested:  asked,
		audit.DeployRejected:   "was refused to " + verb,
		audit.DeploySucceeded:  noun + " succeeded for",
		audit.DeployFailed:     noun + " failed for",
		audit.DeployErrored:    noun + " errored for",
		audit.DeploySuperseded: noun + " was superseded for",
	}
}

// entryWords says what an entry's action is, and what else than a target it is about.
func entryWords(e audit.Entry) (action, subject string) {
	if w, ok := kindWords[e.Subject][e.Action]; ok {
		return w, ""
	}
	if w, ok := refusedWords[e.Action]; ok && e.Outcome == "refused" {
		return w, e.Subject
	}
	return actionWord(e.Action), e.Subject
}

// outcomeMark is an entry's outcome; a request has none yet.
func outcomeMark(outcome string) templates.Mark {
	switch outcome {
	case "":
		return templates.Mark{}
	case "ok":
		return templates.Mark{Tone: templates.OK, Word: "OK"}
	case "refused":
		return templates.Mark{Tone: templates.Bad, Word: "Refused"}
	default:
		return statusMark(deploys.Status(outcome))
	}
}

func auditImage(tag, digest string) templates.Image {
	if tag == "" && digest == "" {
		return templates.Image{}
	}
	return imageOf(deploys.Version{Tag: tag, Digest: digest}, deploys.Commit{})
}

func auditTarget(e audit.Entry) string {
	if e.App == "" {
		return ""
	}
	return deploys.Target{App: e.App, Env: e.Env}.String()
}

// auditView makes the rows of the log.
func auditView(entries []audit.Entry) []templates.AuditRow {
	rows := make([]templates.AuditRow, 0, len(entries))
	for _, e := range entries {
		through := deploys.Door(e.Actor.Source)
		if e.Action == audit.ChangeOutside {
			through = "in the cluster"
		}
		action, subject := entryWords(e)
		rows = append(rows, templates.AuditRow{
			Seq: e.Seq, At: e.At, Actor: e.Actor.Name, Door: through,
			Action: action, Code: e.Action, Target: auditTarget(e), Subject: subject,
			From: auditImage(e.FromTag, e.FromDigest), To: auditImage(e.ToTag, e.ToDigest),
			Deploy: e.DeployID, Outcome: outcomeMark(e.Outcome), Sentence: e.Detail, Reason: e.Reason, Count: e.Count,
		})
	}
	return rows
}

// entryView makes the page of one entry. newest is the seq of the log's newest entry.
func entryView(e audit.Entry, newest int64) templates.EntryProps {
	p := templates.EntryProps{Seq: e.Seq, At: e.At, Say: entrySay(e), Mark: outcomeMark(e.Outcome), Prev: e.Prev, Hash: e.Hash}
	if e.Seq > 1 {
		p.Older = templates.EntryURL(e.Seq - 1)
	}
	if e.Seq < newest {
		p.Newer = templates.EntryURL(e.Seq + 1)
	}
	num := func(n int64) string { return strconv.FormatInt(n, 10) }
	deploy := templates.Field{Name: "Deploy"}
	if e.DeployID != 0 {
		deploy.Value, deploy.Href = num(e.DeployID), templates.DeployURL(e.DeployID)
	}
	p.Fields = []templates.Field{
		{Name: "Entry", Value: num(e.Seq)},
		{Name: "Time", Time: e.At},
		{Name: "Actor", Value: e.Actor.Name},
		{Name: "Actor id", Value: e.Actor.ID, Mono: true},
		{Name: "Source", Value: e.Actor.Source},
		{Name: "Address", Value: e.Actor.Addr, Mono: true},
		{Name: "Signed in by", Value: e.Actor.Method},
		{Name: "Action", Value: e.Action},
		{Name: "App", Value: e.App},
		{Name: "Environment", Value: e.Env},
		deploy,
		{Name: "Subject", Value: e.Subject},
		{Name: "Repository", Value: e.Repository, Mono: true},
		{Name: "From, tag", Value: e.FromTag, Mono: true},
		{Name: "From, digest", Value: e.FromDigest, Mono: true},
		{Name: "To, tag", Value: e.ToTag, Mono: true},
		{Name: "To, digest", Value: e.ToDigest, Mono: true},
		{Name: "Reason", Value: e.Reason},
		{Name: "Outcome", Value: e.Outcome},
		{Name: "Detail", Value: e.Detail},
		{Name: "Request id", Value: e.RequestID, Mono: true},
		{Name: "Count", Value: num(e.Count)},
	}
	return p
}

// entrySay is an entry in one sentence.
func entrySay(e audit.Entry) string {
	word, subject := entryWords(e)
	parts := []string{e.Actor.Name, word}
	for prefix, name := range map[string]string{"deploy ": "Deploy", "rollback ": "Rollback", "restart ": "Restart"} {
		if rest, ok := strings.CutPrefix(word, prefix); ok {
			parts = []string{fmt.Sprintf("%s %d", name, e.DeployID), rest}
		}
	}
	if subject != "" {
		parts = append(parts, subject)
	}
	if target := auditTarget(e); target != "" {
		parts = append(parts, target)
	}
	if e.Count > 1 {
		parts = append(parts, fmt.Sprintf("%d times", e.Count))
	}
	if to := auditImage(e.ToTag, e.ToDigest); to.Known() {
		return strings.Join(parts, " ") + ", image " + to.Short + "."
	}
	return strings.Join(parts, " ") + "."
}
