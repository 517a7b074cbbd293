package audit

// Sum is an entry's hash.
func Sum(e Entry) string { return e.sum() }
