package templates

import (
	"net/url"
	"strconv"
)

// The paths of the pages. Every path that holds data is built here, escaped once.
const (
	BoardURL       = "/"
	BoardEventsURL = "/events"
	FindURL        = "/find"
	SignInURL      = "/sign-in"
	SignOutURL     = "/sign-out"
	AccountURL     = "/account"
	PasswordURL    = "/account/password"
	SlackCodeURL   = "/account/slack/code"
	SlackUnlinkURL = "/account/slack/unlink"
	PeopleURL      = "/people"
	AuditURL       = "/audit"
	AuditCSVURL    = "/audit.csv"
	AtURL          = "/audit/at"
	LocksURL       = "/locks"
)

// LockURL is the page of locks with a target chosen to be locked.
func LockURL(env, app string) string {
	return LocksURL + "?" + url.Values{"at": {env + "/" + app}}.Encode()
}

// UnlockURL takes a lock off (POST).
func UnlockURL(id int64) string { return LocksURL + "/" + strconv.FormatInt(id, 10) + "/unlock" }

// MarkURL is where the mark of an image is shown.
func MarkURL(id int64) string { return LocksURL + "#mark-" + strconv.FormatInt(id, 10) }

// ClearURL takes the mark off an image (POST).
func ClearURL(id int64) string { return "/bad-images/" + strconv.FormatInt(id, 10) + "/clear" }

// AppURL is the page of an app in an environment.
func AppURL(env, app string) string {
	return "/apps/" + url.PathEscape(env) + "/" + url.PathEscape(app)
}

// AppEventsURL is the stream of an app's page.
func AppEventsURL(env, app string) string { return AppURL(env, app) + "/events" }

// HistoryURL is what ran when on a target.
func HistoryURL(env, app string) string { return AppURL(env, app) + "/history" }

// DeploysURL is where a deploy of a target is asked for (POST).
func DeploysURL(env, app string) string { return AppURL(env, app) + "/deploys" }

// ConfirmURL is the page that confirms a deploy of a tag. replaces is the running deploy whose place it takes, or 0.
func ConfirmURL(env, app, tag string, replaces int64) string {
	q := url.Values{"image": {tag}}
	if replaces != 0 {
		q.Set("replaces", strconv.FormatInt(replaces, 10))
	}
	return AppURL(env, app) + "/confirm?" + q.Encode()
}

// RollbackURL is the page that confirms a rollback: to the image of deploy to, or with 0 to the last good one.
func RollbackURL(env, app string, to, replaces int64) string {
	q := url.Values{"rollback_to": {"last"}}
	if to != 0 {
		q.Set("rollback_to", strconv.FormatInt(to, 10))
	}
	if replaces != 0 {
		q.Set("replaces", strconv.FormatInt(replaces, 10))
	}
	return AppURL(env, app) + "/confirm?" + q.Encode()
}

// DeployURL is the page of one deploy.
func DeployURL(id int64) string { return "/deploys/" + strconv.FormatInt(id, 10) }

// DeployEventsURL is the stream of one deploy, from the event after seq on.
func DeployEventsURL(id, seq int64) string {
	return DeployURL(id) + "/events?after=" + strconv.FormatInt(seq, 10)
}

// EntryURL is one audit entry.
func EntryURL(seq int64) string { return AuditURL + "/" + strconv.FormatInt(seq, 10) }

// RevokeURL ends one of one's own sessions (POST).
func RevokeURL(session string) string {
	return "/account/sessions/" + url.PathEscape(session) + "/revoke"
}

// PersonURL is where an account is changed (POST): PersonDisable, PersonEnable, PersonRole or PersonUnlink.
func PersonURL(name, change string) string {
	return PeopleURL + "/" + url.PathEscape(name) + "/" + change
}

// The changes of an account.
const (
	PersonDisable = "disable"
	PersonEnable  = "enable"
	PersonRole    = "role"
	PersonUnlink  = "unlink"
)
