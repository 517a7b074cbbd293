package web

import (
	"testing"
	"time"

	"deployportal/internal/deploys"
)

func TestHistoryView(t *testing.T) {
	deploy := func(id int64, s deploys.Status, patched time.Duration, tag string) deploys.Deploy {
		return deploys.Deploy{ID: id, Target: apiApp.Target, Status: s, Created: since(patched + time.Second), Patched: since(patched), To: deploys.Version{Tag: tag}, ActorName: "ana", Source: "web", Sentence: "why"}
	}
	list := []deploys.Deploy{
		deploy(5, deploys.Running, time.Minute, "e"), deploy(4, deploys.Succeeded, time.Hour, "d"), deploy(3, deploys.Failed, 2*time.Hour, "c"),
		deploy(2, deploys.Errored, 3*time.Hour, "b"), deploy(1, deploys.Succeeded, 4*time.Hour, "a"),
	}
	list[3].Patched = time.Time{}
	s := historyView(list, map[string]deploys.Commit{"a": {Subject: "first"}}, true)
	if len(s) != 5 || s[0].Never || s[0].Sentence != "under way" {
		t.Fatalf("%+v", s)
	}
	if !s[1].To.IsZero() || s[1].Back != nil || s[1].Sentence != "" {
		t.Errorf("what runs: %+v", s[1])
	}
	if !s[2].Never || s[2].Sentence != "why" || !s[3].Never || !s[3].From.Equal(list[3].Created) {
		t.Errorf("attempts: %+v %+v", s[2], s[3])
	}
	if !s[4].To.Equal(s[1].From) || s[4].Back == nil || s[4].Back.Href != "/apps/prod/api/confirm?rollback_to=1" || s[4].Image.Subject != "first" {
		t.Errorf("what ran: %+v", s[4])
	}
	if s := historyView(list, nil, false); s[4].Back != nil {
		t.Error("a viewer may roll back")
	}
}
