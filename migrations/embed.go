// Package migrations holds the schema of the database, one ordered SQL file a step. A released file never changes.
package migrations

import "embed"

// Files are the migrations, by name.
//
//go:embed *.sql
var Files embed.FS
