package slack

// Door is made elsewhere.
type Door struct{ Options }
