package deploys

// CrashAt makes a service's runners stop dead where crash says so, as a killed process would.
func CrashAt(s *Service, crash func(point string) bool) { s.crash = crash }

// ListChangesQuery is how LatestChanges reads.
const ListChangesQuery = selectChanges + newest

// MarkBad marks a version as bad past the service.
var MarkBad = putMark

// MarkOf reads the mark of one version, as Service.Start does.
var MarkOf = markOf

// Launch starts the run of a deploy again, as a caller does that was held up after the deploy was recorded.
func Launch(s *Service, app App, d Deploy) { s.launch(app, d, Author{}) }
