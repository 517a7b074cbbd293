package templates

// SmokeProps is the smoke probes of a deploy that have begun.
type SmokeProps struct {
	Summary  string // "75 of 150 answered, 75 failed, p50 11 ms, p99 40 ms"
	URLs     []string
	Dots     []Tone         // one for each request, in order; empty: still to come
	Label    string         // says what the dots show
	Rows     []SmokeRow     // by address; empty where all went one way
	Failed   string         // "75 of 150"
	Failures []SmokeFailure // the first of them
	More     int            // that are not listed
}

// SmokeRow is what the requests to one address came to.
type SmokeRow struct {
	Tone     Tone
	Name     string
	Fault    string // the most frequent; empty: none
	Answered string // "50 of 50"
	P50, P99 string
}

// SmokeFailure is one request that failed.
type SmokeFailure struct {
	N    int    // its place, from 1
	Text string // "HTTP 502 (12 ms) from 10.0.0.2"
}
