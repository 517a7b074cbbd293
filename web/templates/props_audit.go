package templates

import "time"

// AuditProps is the audit log with its filters. Every filter is a field of the URL.
type AuditProps struct {
	Page
	Filter  AuditFilter
	Error   string // a filter that cannot be read; the list is then empty
	Options AuditOptions
	Rows    []AuditRow
	Older   string // link to the next page; empty: no more
	Newest  string // link to the first page; empty: this is it
	CSV     string // link to the same entries as CSV
}

// AuditFilter is the filters as typed. The names of the fields in the URL are app, env, actor, action, outcome,
// sha, from and to.
type AuditFilter struct {
	App, Env, Actor, Action, Outcome, SHA string
	From, To                              string // "2026-11-23T14:00", UTC
}

// Any tells whether anything is filtered.
func (f AuditFilter) Any() bool { return f != AuditFilter{} }

// AuditOptions is what the filters offer.
type AuditOptions struct {
	Apps, Envs, Actors, Actions, Outcomes []string
}

// AuditRow is one entry in the list.
type AuditRow struct {
	Seq      int64
	At       time.Time
	Actor    string
	Door     string // "browser", "Slack"
	Action   string // "asked to deploy": the subject or target follows
	Code     string // "deploy.requested"
	Target   string // "api in prod"; empty: none
	Subject  string
	From     Image
	To       Image
	Deploy   int64
	Outcome  Mark // Word empty: a request has none
	Sentence string
	Reason   string
	Count    int64
}

// EntryProps is one entry with every field.
type EntryProps struct {
	Page
	Seq    int64
	At     time.Time
	Say    string // "ana asked to deploy api in prod, image c7750aa."
	Mark   Mark   // Word empty: none
	Fields []Field
	Prev   string // hash of the entry before, in full
	Hash   string
	Older  string // link to the previous entry; empty: this is the first
	Newer  string // link to the next one; empty: this is the newest
}

// Field is a name and its value.
type Field struct {
	Name  string
	Value string // empty: "none"
	Mono  bool   // something to copy
	Time  time.Time
	Href  string
}

// AtProps tells what every app ran at one moment.
type AtProps struct {
	Page
	Time  string // as typed, UTC
	At    time.Time
	Error string
	Envs  []AtEnv
}

// AtEnv is one environment at that moment.
type AtEnv struct {
	Env  string
	Prod bool
	Rows []AtRow
}

// AtRow is one app at that moment.
type AtRow struct {
	App     string
	Href    string
	Image   Image     // not Known: nothing recorded
	Bad     *BadImage // it is marked as bad; nil: it is not
	Since   time.Time
	Until   time.Time // zero: runs still
	Who     string
	Deploy  int64 // that brought it; 0: an outside change or before the portal
	Running int64 // a deploy was under way; 0: none
	Note    string
}
