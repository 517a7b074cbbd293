package templates

import (
	"time"

	"github.com/a-h/templ"
)

func lockList() []Lock {
	return []Lock{
		{ID: 1480, Where: "Everything in prod", Who: "marta", Reason: "The holidays", Since: past(50 * time.Hour), Until: now.Add(70 * time.Hour)},
		{ID: 1481, Where: "api in prod", Who: "ana", Reason: hostile, Since: past(time.Hour), May: true},
	}
}

func badImage() *BadImage {
	return &BadImage{ID: 1478, Image: broken, Where: "in prod", Who: "portal:auto", Reason: "Deploy 316 failed: The startup probe gets 404", At: past(76 * time.Hour), May: true}
}

func backStories() map[string]templ.Component {
	spans := []Choice{{Value: "4h", Text: "for 4 hours", Chosen: true}, {Text: "until somebody unlocks it"}}
	scopes := []Choice{{Value: "prod/api", Text: "api in prod", Chosen: true}, {Value: "/", Text: "everything"}}
	theirs := *badImage()
	theirs.ID, theirs.May, theirs.Image = 1479, false, middle
	locks := LocksProps{Page: page("Locks", ""), Locks: lockList(), Bad: []BadImage{*badImage(), theirs}, Scopes: scopes, Spans: spans}
	refused := locks
	refused.Error, refused.Reason = "api in prod is locked by ana since 13:02 UTC, until somebody unlocks it: “x”.", "mine"
	none := LocksProps{Page: page("Locks", "")}

	board := boardProps()
	board.Live.Locks = []Lock{{ID: 1479, Where: "Everything", Who: "ana", Reason: "Moving house", Since: past(time.Minute), Until: now.Add(time.Hour)}}
	board.Live.Sheets[0].Locks = lockList()[:1]
	board.Live.Sheets[0].Rows[0].Locks = lockList()[1:]
	board.Live.Sheets[0].Rows[0].NewestBad, board.Live.Sheets[0].Rows[2].Bad = badImage(), badImage()

	app := appProps()
	app.Live.Locks, app.Live.Lock = lockList(), LockURL("prod", "api")
	app.Live.Bad, app.Live.Images[1].Bad, app.Live.History[2].Bad = badImage(), badImage(), badImage()

	closed := confirmProps()
	closed.Checks = []Check{{Mark: Mark{Bad, "Locked"}, Sentence: "api in prod is locked by ana since 13:02 UTC, until somebody unlocks it: “the holidays”.", Fix: "ana or an admin can unlock it, on the page of locks."}}
	closed.Blocked = true
	back := confirmProps()
	back.FromBad = badImage()
	back.Rollback, back.RollbackTo, back.Before, back.From, back.To = true, 317, true, broken, older
	back.Ran, back.Bad, back.BadWhy, back.MarkBad, back.NeedReason = "ran well for 3 d 1 h, 2026-11-20 11:02 UTC to 13:58 UTC", "51d20be", "Deploy 318 failed: The startup probe gets 404", true, true
	back.Checks = []Check{
		{Mark: Mark{Unknown, "Locked"}, Sentence: "api in prod is locked by ana since 13:02 UTC.", Fix: "A rollback passes the lock: say why."},
		{Mark: Mark{OK, "Passes"}, Sentence: "The registry still has the image."},
		{Mark: Mark{OK, "Passes"}, Sentence: "Still ready and kept: 3 pods of 4be19f2. ReplicaSet api-d4c579f7d is used again."},
	}

	held := failedProps()
	held.Live.Related = nil
	held.Live.Outcome.Held = "migrations/0042_tasks.sql was touched between 4be19f2 and 51d20be, and that may be a migration."
	held.Live.Outcome.Todo = "Roll back, which also marks 51d20be as bad, or deploy an image that cures it."
	answered := failedProps()
	answered.Live.Related = []Related{{Text: "Rolled back automatically by", ID: 318, Say: "succeeded"}}

	return map[string]templ.Component{
		"locks": Locks(locks), "locks-refused": Locks(refused), "locks-none": Locks(none), "board-locked": Board(board), "app-locked": App(app),
		"confirm-locked": Confirm(closed), "confirm-back": Confirm(back), "deploy-held": Deploy(held), "deploy-answered": Deploy(answered),
	}
}
