package deploys

// CrashAt makes a service's runners stop dead where crash says so, as a killed process would.
func CrashAt(s *Service, crash func(point string) bool) { s.crash = crash }

// ListChangesQuery is how LatestChanges reads.
const ListChangesQuery = selectChanges + newest

// MarkBad marks a version as bad past the service.
var MarkBad = putMark
