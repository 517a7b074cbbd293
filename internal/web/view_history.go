package web

import (
	"deployportal/internal/deploys"
	"deployportal/web/templates"
)

// historyView tells what ran when on one target, from its deploys, newest first. commits is by tag and may lack
// some. The newest span is open: whether the cluster still runs it is the app page's business.
func historyView(list []deploys.Deploy, commits map[string]deploys.Commit, mayDeploy bool) []templates.Span {
	var spans []templates.Span
	later := templates.Span{} // the span that ended the one below it
	for _, d := range list {
		s := templates.Span{
			Image: imageOf(d.To, commits[d.To.Tag]), From: d.Patched,
			Kind: kindWord(d.Kind), Who: d.ActorName, Door: deploys.Door(d.Source),
			Deploy: d.ID, Outcome: statusMark(d.Status),
		}
		if s.From.IsZero() {
			s.From = d.Created
		}
		if d.Status != deploys.Succeeded {
			s.Never, s.Sentence = !active(d.Status), d.Sentence
			if active(d.Status) {
				s.Sentence = "under way"
			}
			spans = append(spans, s)
			continue
		}
		if later.Deploy != 0 {
			s.To = later.From
			if mayDeploy {
				s.Back = &templates.Act{Text: "Roll back to this", Href: templates.RollbackURL(d.Target.Env, d.Target.App, d.ID, 0), Danger: true}
			}
		}
		if d.Kind == deploys.KindAdopt {
			s.Outcome.Word = "Adopted"
		}
		later = s
		spans = append(spans, s)
	}
	return spans
}
