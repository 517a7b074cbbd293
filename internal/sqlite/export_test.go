package sqlite

import "database/sql"

// Pools gives what is behind db, for tests of every connection.
func Pools(db *DB) (writer, reader *sql.DB) { return db.writer, db.reader }

// CheckVersion is the gate of Open.
var CheckVersion = checkVersion

// Readers is how many connections read.
const Readers = readers
