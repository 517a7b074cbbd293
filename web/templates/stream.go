package templates

// streamConfig keeps the longest pause between two tries short: a page that waits a minute to learn that the portal is
// back has lied for a minute.
func streamConfig(s Stream) string {
	config := "sse.reconnectDelay:1s sse.reconnectMaxDelay:10s sse.connectTimeout:15s"
	if s.Background {
		config += " sse.pauseOnBackground:false"
	}
	return config
}

// liveState is the state of the live indicator at first paint: only what the cluster told is known yet.
func liveState(s Stream) string {
	if s.Stale != "" {
		return string(Unknown)
	}
	return ""
}
