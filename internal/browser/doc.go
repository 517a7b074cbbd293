// Package browser holds the tests that drive the portal with a real browser, on what "make demo" starts: a cluster with
// simulated nodes, a registry with sample images, and the portal with its own rights. It has no code but its tests.
//
// One demo and one Chromium serve all tests of a run. Every test has cookies of its own, and whatever a page writes to
// the console or does against its content policy fails the test that opened it.
//
//	go test ./internal/browser
//	go test ./internal/browser -run TestShots -shots docs/img
//	go test ./internal/browser -run TestAccess -axe axe.min.js
package browser
