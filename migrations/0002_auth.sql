-- Local accounts, their sessions, and what limits and folds attempts to sign in.

-- A name is never free again: an account is disabled, not deleted, and AUTOINCREMENT keeps "user:7" one person.
CREATE TABLE accounts (
    id            INTEGER PRIMARY KEY AUTOINCREMENT,
    name          TEXT    NOT NULL UNIQUE CHECK (length(name) BETWEEN 1 AND 64 AND name GLOB '[a-z0-9]*' AND name NOT GLOB '*[^a-z0-9._-]*'),
    password_hash TEXT    NOT NULL CHECK (password_hash GLOB '$argon2id$v=19$m=*' AND length(password_hash) <= 300),
    password_no   INTEGER NOT NULL DEFAULT 1 CHECK (password_no >= 1), -- a new password, not a new hash of the same
    created_at    TEXT    NOT NULL CHECK (length(created_at) = 24),
    disabled_at   TEXT             CHECK (length(disabled_at) = 24),
    signed_in_at  TEXT             CHECK (length(signed_in_at) = 24)
) STRICT;

-- An empty env means every environment.
CREATE TABLE grants (
    account_id INTEGER NOT NULL REFERENCES accounts (id),
    env        TEXT    NOT NULL CHECK (length(env) <= 253),
    role       TEXT    NOT NULL CHECK (role IN ('viewer', 'deployer', 'admin')),
    PRIMARY KEY (account_id, env)
) STRICT, WITHOUT ROWID;

-- A row is a session that has not been ended; ending one deletes it. The id of an ended session is never used again,
-- so that a stream that knows only the id cannot go on with somebody else's.
CREATE TABLE sessions (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    token_hash BLOB    NOT NULL UNIQUE CHECK (length(token_hash) = 32),
    account_id INTEGER NOT NULL REFERENCES accounts (id),
    created_at TEXT    NOT NULL CHECK (created_at GLOB '[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]T[0-9][0-9]:[0-9][0-9]:[0-9][0-9].[0-9][0-9][0-9]Z'),
    seen_at    TEXT    NOT NULL CHECK (seen_at GLOB '[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]T[0-9][0-9]:[0-9][0-9]:[0-9][0-9].[0-9][0-9][0-9]Z'),
    addr       TEXT    NOT NULL CHECK (length(addr) <= 100),
    user_agent TEXT    NOT NULL CHECK (length(user_agent) <= 300)
) STRICT;

CREATE INDEX sessions_account ON sessions (account_id);
CREATE INDEX sessions_created ON sessions (created_at);
CREATE INDEX sessions_seen    ON sessions (seen_at);

-- One row a failed attempt of the last quarter of an hour. account is a keyed hash of the typed name, because people
-- type passwords into name fields; NULL: forgiven by a success from the same address. addr is an IPv4 address or an
-- IPv6 /64; NULL: counts for no address. Rows of known accounts are never evicted.
CREATE TABLE sign_in_failures (
    id      INTEGER PRIMARY KEY,
    at      TEXT    NOT NULL CHECK (at GLOB '[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]T[0-9][0-9]:[0-9][0-9]:[0-9][0-9].[0-9][0-9][0-9]Z'),
    account BLOB             CHECK (length(account) = 16),
    addr    TEXT             CHECK (length(addr) BETWEEN 1 AND 100),
    known   INTEGER NOT NULL CHECK (known IN (0, 1))
) STRICT;

CREATE INDEX sign_in_failures_account ON sign_in_failures (account, at);
CREATE INDEX sign_in_failures_addr    ON sign_in_failures (addr, at);
CREATE INDEX sign_in_failures_at      ON sign_in_failures (at);

-- The key of that hash.
CREATE TABLE sign_in_key (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    key BLOB    NOT NULL CHECK (length(key) = 32)
) STRICT;
INSERT INTO sign_in_key (one, key) VALUES (1, randomblob(32));

-- Refusals of the running minute. The first is in the audit log already; more counts those that are not yet.
CREATE TABLE refusals (
    action     TEXT    NOT NULL CHECK (length(action) BETWEEN 1 AND 60),
    source     TEXT    NOT NULL CHECK (source IN ('web', 'slack', 'api', 'cli', 'system')),
    actor_id   TEXT    NOT NULL CHECK (length(actor_id) BETWEEN 1 AND 200),
    actor_name TEXT    NOT NULL CHECK (length(actor_name) BETWEEN 1 AND 200),
    method     TEXT    NOT NULL CHECK (length(method) <= 40),
    subject    TEXT    NOT NULL CHECK (length(subject) <= 200),
    addr       TEXT    NOT NULL CHECK (length(addr) <= 100),
    since      TEXT    NOT NULL CHECK (since GLOB '[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]T[0-9][0-9]:[0-9][0-9]:[0-9][0-9].[0-9][0-9][0-9]Z'),
    more       INTEGER NOT NULL CHECK (more >= 0),
    limited    INTEGER NOT NULL CHECK (limited BETWEEN 0 AND more),
    PRIMARY KEY (action, source, actor_id, subject, addr)
) STRICT, WITHOUT ROWID;
