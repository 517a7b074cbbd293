package audit_test

import (
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"io"
	"strconv"
	"strings"
	"testing"

	"deployportal/internal/audit"
	"deployportal/internal/errs"
	"deployportal/internal/foreign/foreigntest"
	"deployportal/internal/sqlite"
)

// export gives the rows of the CSV without its head.
func export(t *testing.T, q sqlite.Querier, f audit.Filter) [][]string {
	t.Helper()
	var b bytes.Buffer
	must(t, audit.CSV(ctx, q, f, &b))
	out, err := csv.NewReader(&b).ReadAll()
	must(t, err)
	if head := strings.Join(out[0], ","); !strings.HasPrefix(head, "seq,time (UTC),actor,") || len(out[0]) != 24 {
		t.Errorf("the head is %s", head)
	}
	return out[1:]
}

// TestCSV: the export of a filtered list is what its pages show, all of them, in their order.
func TestCSV(t *testing.T) {
	db, all := mixed(t, 300)
	for name, f := range map[string]audit.Filter{"all": {}, "env": {Env: "prod"}, "group": {Action: "deploy.", Actor: "ana"}, "sha": {SHA: "abc"},
		"period": {From: start, To: all[20].At}, "none": {Envs: []string{}}, "page is not heeded": {Before: 3, Limit: 2}} {
		t.Run(name, func(t *testing.T) {
			rows := export(t, db, f)
			f.Before, f.Limit = 0, 0
			var want []string
			for _, e := range all {
				if matches(f, e) {
					want = append(want, strconv.FormatInt(e.Seq, 10)+" "+e.Hash)
				}
			}
			var got []string
			for _, r := range rows {
				got = append(got, r[0]+" "+r[23])
			}
			if strings.Join(got, "\n") != strings.Join(want, "\n") {
				t.Errorf("%d rows, want %d", len(got), len(want))
			}
		})
	}
}

// TestCSVAppended: what is appended during an export neither doubles nor drops a row of it.
func TestCSVAppended(t *testing.T) {
	db, _ := mixed(t, 60)
	q := onceAfter{db, func() { add(t, db, full(0)) }}
	seen := map[string]bool{}
	for _, r := range export(t, q, audit.Filter{Envs: []string{"prod", "staging"}}) {
		if seen[r[0]] {
			t.Errorf("entry %s twice", r[0])
		}
		seen[r[0]] = true
	}
	if list, err := audit.List(ctx, db, audit.Filter{Envs: []string{"prod", "staging"}, Before: 61, Limit: 1000}); err != nil || len(seen) < len(list) {
		t.Errorf("%d rows of %d %v", len(seen), len(list), err)
	}
}

// TestCSVCells: no cell is run by a spreadsheet (CWE-1236), also where the semicolon parts the cells, and what a cell said
// comes back but for the apostrophes.
func TestCSVCells(t *testing.T) {
	db := newLog(t, "")
	var texts []string
	for _, p := range foreigntest.Payloads() {
		texts = append(texts, p.Text)
	}
	texts = append(texts, "a,b;c", "say \"hi\"", "a; =1", "a;\"=1", "a;;-1", "a; b; @c", "2 - 1", "a+b;c=d", "Took the place of 3; held")
	for _, s := range texts {
		add(t, db, audit.Entry{Actor: audit.Actor{ID: "user:1", Name: "x" + s, Source: "web"}, Action: "x", Reason: s, Detail: s})
	}
	for i, row := range export(t, db, audit.Filter{}) {
		e, err := audit.Get(ctx, db, int64(len(texts)-i))
		must(t, err)
		for _, cell := range row {
			for _, part := range strings.Split(cell, ";") {
				if part = strings.TrimLeft(part, " \""); part != "" && strings.ContainsAny(string([]rune(part)[0]), "=+-@\t\r\n|%＝＋－＠") {
					t.Errorf("%.40q begins a formula in %.60q", part, cell)
				}
			}
		}
		bare := func(s string) string { return strings.ReplaceAll(s, "'", "") }
		if got := row[17]; bare(got) != bare(e.Reason) {
			t.Errorf("%.60q became %.60q", e.Reason, got)
		}
	}
	if got := export(t, db, audit.Filter{})[0][17]; got != "Took the place of 3; held" {
		t.Errorf("a cell without a formula became %q", got)
	}
}

func TestCSVFails(t *testing.T) {
	db := newLog(t, "")
	add(t, db, full(0))
	gone := errors.New("gone")
	if err := audit.CSV(ctx, db, audit.Filter{}, writerFunc(func([]byte) (int, error) { return 0, gone })); !errors.Is(err, gone) {
		t.Errorf("a receiver that went away: %v", err)
	}
	var b bytes.Buffer
	if err := audit.CSV(ctx, db, audit.Filter{SHA: "a"}, &b); errs.KindOf(err) != errs.Invalid || b.Len() != 0 {
		t.Errorf("%v after %q", err, b.String())
	}
	over, cancel := context.WithCancel(ctx)
	cancel()
	if err := audit.CSV(over, db, audit.Filter{}, io.Discard); err == nil {
		t.Error("a caller that went away got a whole export")
	}
	if r, err := audit.Verify(over, db); err == nil || r.BadSeq != 0 {
		t.Errorf("a caller that went away was told %+v %v", r, err)
	}
}
