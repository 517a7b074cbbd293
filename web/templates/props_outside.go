package templates

import (
	"net/url"
	"strconv"
	"time"
)

// Outside asks to decide about a change that no deploy of the portal made.
type Outside struct {
	Who     string // the field manager
	At      time.Time
	From    Image
	To      Image
	Says    string   // what was changed where it was not the image
	Differs []string // what is not alike in the pod templates
	Todo    string   // why it cannot be adopted now
	Note    string   // what restoring leaves
	Entry   string   // link to its audit entry
	Adopt   *Act     // AdoptAct; nil: this reader, or this moment, may not
	Restore *Act     // nil: nothing to bring back, or not by this reader
}

// AdoptAct adopts an outside change: short is what it brought, seen the ID of what runs. Its key is the same for everybody
// who sees the page, as it is drawn once; the second click of one person is the same adoption.
func AdoptAct(env, app, short, seen string, change int64) *Act {
	return &Act{Text: "Adopt " + short, Href: AppURL(env, app) + "/adopt", Main: true,
		Send: []Hidden{{"change", strconv.FormatInt(change, 10)}, {"seen_from", seen}, {"key", "adopt " + strconv.FormatInt(change, 10)}}}
}

// RestartURL is the page that confirms a restart. replaces is the running deploy whose place it takes, or 0.
func RestartURL(env, app string, replaces int64) string {
	q := url.Values{"restart": {"1"}}
	if replaces != 0 {
		q.Set("replaces", strconv.FormatInt(replaces, 10))
	}
	return AppURL(env, app) + "/confirm?" + q.Encode()
}

// UndoURL is the page that confirms going back to what ran before an outside change.
func UndoURL(env, app string, change int64) string {
	return AppURL(env, app) + "/confirm?" + url.Values{"change": {strconv.FormatInt(change, 10)}}.Encode()
}
