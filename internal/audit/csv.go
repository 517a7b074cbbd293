package audit

import (
	"context"
	"encoding/csv"
	"io"
	"regexp"
	"strconv"

	"deployportal/internal/sqlite"
)

// CSV writes the filtered list, newest first, all pages of it (Before and Limit of f are not used). What a
// spreadsheet would run as a formula is led by an apostrophe (CWE-1236), the wide forms of their signs too. It reads page
// by page, so that a slow receiver never holds a read transaction.
func CSV(ctx context.Context, q sqlite.Querier, f Filter, w io.Writer) error {
	out := csv.NewWriter(w)
	err := out.Write([]string{"seq", "time (UTC)", "actor", "actor id", "source", "address", "method", "action", "app", "env",
		"deploy", "subject", "repository", "from tag", "from digest", "to tag", "to digest", "reason", "outcome", "detail",
		"request id", "count", "previous hash", "hash"})
	if err != nil {
		return err
	}
	f.Before, f.Limit = 0, 1000
	for {
		page, err := List(ctx, q, f)
		if err != nil {
			return err
		}
		for _, e := range page {
			if err := out.Write(e.cells()); err != nil {
				return err
			}
		}
		out.Flush()
		if err := out.Error(); err != nil || len(page) < f.Limit {
			return err
		}
		f.Before = page[len(page)-1].Seq
	}
}

func (e *Entry) cells() []string {
	deploy := ""
	if e.DeployID > 0 {
		deploy = strconv.FormatInt(e.DeployID, 10)
	}
	cells := []string{strconv.FormatInt(e.Seq, 10), e.At.UTC().Format("2006-01-02 15:04:05.000"), e.Actor.Name, e.Actor.ID,
		e.Actor.Source, e.Actor.Addr, e.Actor.Method, e.Action, e.App, e.Env, deploy, e.Subject, e.Repository, e.FromTag,
		e.FromDigest, e.ToTag, e.ToDigest, e.Reason, e.Outcome, e.Detail, e.RequestID, strconv.FormatInt(e.Count, 10), e.Prev, e.Hash}
	for i, c := range cells {
		cells[i] = safeCell(c)
	}
	return cells
}

// formula is what a spreadsheet takes for the begin of one, at the begin of a cell and after what it may take for the end
// of one: a list that is parted by commas here is parted by semicolons where the comma is the decimal point.
var formula = regexp.MustCompile(`(^|;)([ "]*)([=+\-@\t\r\n|%＝＋－＠])`)

func safeCell(s string) string { return formula.ReplaceAllString(s, "${1}${2}'${3}") }
