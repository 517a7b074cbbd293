// Package audit is the append-only record of every action: who, what, from where, on what, why and how it ended.
//
// An entry carries the hash of the one before it, so that a changed, removed, added or reordered entry is found by
// Verify. A chain alone cannot show that its tail was cut off or that all of it was computed anew: for that a known
// entry is compared with a copy kept elsewhere (every deploy writes the seq and hash of its entry on the
// Deployment it changes).
package audit

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"hash"
	"strconv"
	"time"

	"deployportal/internal/sqlite"
)

// The actions. An entry names exactly one.
const (
	DeployRequested  = "deploy.requested"
	DeployRejected   = "deploy.rejected"
	DeploySucceeded  = "deploy.succeeded"
	DeployFailed     = "deploy.failed"
	DeployErrored    = "deploy.errored"
	DeploySuperseded = "deploy.superseded"
	ChangeOutside    = "change.outside" // somebody else than the portal changed a workload
	ChangeAdopted    = "change.adopted" // and what it brought is from now on meant to run
	LockCreated      = "lock.created"
	LockRemoved      = "lock.removed"
	ImageMarkedBad   = "image.marked_bad"
	ImageCleared     = "image.cleared"
	AuditExported    = "audit.exported"
	UserAdded        = "user.added"
	UserRole         = "user.role_changed"
	UserDisabled     = "user.disabled"
	UserEnabled      = "user.enabled"
	UserPassword     = "user.password_changed"
	SignedIn         = "user.signed_in"
	SignInRefused    = "user.sign_in_refused"
	SignedOut        = "user.signed_out"
	SlackLinked      = "user.slack_linked"
	SlackUnlinked    = "user.slack_unlinked"
	SlackRefused     = "slack.refused" // somebody in Slack who is nobody here
)

// Actor is who did it, stored by value: an entry still names an account that is gone.
type Actor struct {
	ID     string
	Name   string
	Source string // web, slack, api, cli, system
	Addr   string
	Method string
}

// Entry is one line of the audit log.
type Entry struct {
	Seq        int64
	At         time.Time
	Actor      Actor
	Action     string
	App, Env   string // the target; both empty where there is none
	DeployID   int64  // 0: about no deploy
	Subject    string // what else it is about: an account's name, or that a deploy is a rollback
	Repository string
	FromTag    string
	FromDigest string
	ToTag      string
	ToDigest   string
	Reason     string // what the actor said
	Outcome    string // ok, refused, succeeded, failed, errored, superseded; empty for a request
	Detail     string // the sentence people were shown
	RequestID  string
	Count      int64 // of how many equal events this one line tells; at least 1
	Prev       string
	Hash       string
}

// first is what the first entry's Prev is: no entry hashes to it.
const first = "0000000000000000000000000000000000000000000000000000000000000000"

// sum computes an entry's hash. Every field is prefixed by its length, so that no two entries encode alike.
func (e *Entry) sum() string {
	h := sha256.New()
	h.Write([]byte("deploy-portal audit entry v1\n"))
	for _, s := range []string{
		e.Prev, strconv.FormatInt(e.Seq, 10), sqlite.Time{Time: e.At}.String(),
		e.Actor.ID, e.Actor.Name, e.Actor.Source, e.Actor.Addr, e.Actor.Method,
		e.Action, e.App, e.Env, strconv.FormatInt(e.DeployID, 10), e.Subject, e.Repository,
		e.FromTag, e.FromDigest, e.ToTag, e.ToDigest, e.Reason, e.Outcome, e.Detail, e.RequestID,
		strconv.FormatInt(e.Count, 10),
	} {
		field(h, s)
	}
	return hex.EncodeToString(h.Sum(nil))
}

func field(h hash.Hash, s string) {
	var n [8]byte
	binary.BigEndian.PutUint64(n[:], uint64(len(s)))
	h.Write(n[:])
	h.Write([]byte(s))
}
