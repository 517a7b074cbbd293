// Package story holds tests only: stories that people live through with the portal, told over the built binary.
//
// Each test has a namespace of its own on devstack, a small Gitea in its own process, a gate between portal and API
// server that can hold, count and cut requests, and a portal as a child process that can be killed at any instant. What
// people do is done through the pages they have: signing in, following links, filling in forms. What became of it is
// read from the page, from the cluster and from the database file.
//
// The scripts in testdata/script are about the command line alone and need no cluster.
package story
