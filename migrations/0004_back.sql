-- Locks, images marked as bad, and the way from a deploy to the rollbacks that answer it.

-- A lock's number is that of the audit entry that recorded it: never used again. An empty app means every app of env, an
-- empty env every environment. A lock whose time is over stands for nothing; the next one of its kind takes its place.
CREATE TABLE locks (
    id         INTEGER PRIMARY KEY REFERENCES audit_entries (seq),
    app        TEXT    NOT NULL CHECK (length(app) <= 253 AND (app = '' OR env <> '')),
    env        TEXT    NOT NULL CHECK (length(env) <= 253),
    reason     TEXT    NOT NULL CHECK (length(reason) BETWEEN 1 AND 500),
    owner_id   TEXT    NOT NULL CHECK (length(owner_id) BETWEEN 1 AND 200),
    owner_name TEXT    NOT NULL CHECK (length(owner_name) BETWEEN 1 AND 200),
    created_at TEXT    NOT NULL CHECK (length(created_at) = 24),
    expires_at TEXT             CHECK (length(expires_at) = 24 AND expires_at > created_at),
    UNIQUE (env, app)
) STRICT;

-- An image is its digest, wherever it runs, so there is one mark of it. Repository and tag are for lists, which know no
-- digests; app and env are where it was marked.
CREATE TABLE bad_images (
    id         INTEGER PRIMARY KEY REFERENCES audit_entries (seq),
    digest     TEXT    NOT NULL UNIQUE CHECK (length(digest) BETWEEN 1 AND 100),
    repository TEXT    NOT NULL CHECK (length(repository) <= 500),
    tag        TEXT    NOT NULL CHECK (length(tag) <= 200),
    app        TEXT    NOT NULL CHECK (length(app) BETWEEN 1 AND 253),
    env        TEXT    NOT NULL CHECK (length(env) BETWEEN 1 AND 253),
    reason     TEXT    NOT NULL CHECK (length(reason) BETWEEN 1 AND 500),
    actor_id   TEXT    NOT NULL CHECK (length(actor_id) BETWEEN 1 AND 200),
    actor_name TEXT    NOT NULL CHECK (length(actor_name) BETWEEN 1 AND 200),
    created_at TEXT    NOT NULL CHECK (length(created_at) = 24)
) STRICT;
CREATE INDEX bad_images_repository ON bad_images (repository);

-- A finished deploy does not change, so what came of it is read from those that came after.
CREATE INDEX deploys_rollback_of ON deploys (rollback_of) WHERE rollback_of IS NOT NULL;
CREATE INDEX deploys_replaces ON deploys (replaces) WHERE replaces IS NOT NULL;
