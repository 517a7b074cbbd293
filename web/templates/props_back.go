package templates

import "time"

// Lock is what closes a place to deploys.
type Lock struct {
	ID     int64
	Where  string // "api in prod", "everything in prod", "everything"
	Who    string
	Reason string
	Since  time.Time
	Until  time.Time // zero: until somebody unlocks it
	May    bool      // this reader may take it off
}

// BadImage is an image that is marked as bad.
type BadImage struct {
	ID     int64
	Image  Image
	Where  string // where it was marked; empty: not for this reader
	Who    string
	Reason string
	At     time.Time
	May    bool // this reader may take the mark off
}

// LocksProps is what is closed: places by a lock, images by a mark.
type LocksProps struct {
	Page
	Error  string // why the last try was refused; what was typed is kept
	Locks  []Lock
	Bad    []BadImage
	Scopes []Choice // that this reader may lock; none: no form
	Spans  []Choice // how long
	Reason string
}

// Choice is one choice of a form.
type Choice struct {
	Value, Text string
	Chosen      bool
}
