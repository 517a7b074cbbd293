// Package templates draws the pages: templ components and the plain structs they take. It reads nothing, queries
// nothing and decides nothing about deploys: every word that needs a decision arrives in the props.
//
// A page is one component that takes one struct, with Page embedded: templates.Board(BoardProps{...}). Live parts
// (BoardLive, DeployLive) are drawn by the same component at first paint and in a stream message; see BoardMessage
// and DeployMessage.
package templates
