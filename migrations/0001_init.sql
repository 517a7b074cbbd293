-- Times are fixed-width UTC text; a GLOB guards their shape where order depends on it.

CREATE TABLE audit_entries (
    seq         INTEGER PRIMARY KEY CHECK (seq > 0),
    at          TEXT    NOT NULL CHECK (at GLOB '[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]T[0-9][0-9]:[0-9][0-9]:[0-9][0-9].[0-9][0-9][0-9]Z'),
    actor_id    TEXT    NOT NULL CHECK (length(actor_id) BETWEEN 1 AND 200),
    actor_name  TEXT    NOT NULL CHECK (length(actor_name) BETWEEN 1 AND 200),
    source      TEXT    NOT NULL CHECK (source IN ('web', 'slack', 'api', 'cli', 'system')),
    addr        TEXT    NOT NULL CHECK (length(addr) <= 100),
    method      TEXT    NOT NULL CHECK (length(method) <= 40),
    action      TEXT    NOT NULL CHECK (length(action) BETWEEN 1 AND 60),
    app         TEXT    NOT NULL CHECK (length(app) <= 253),
    env         TEXT    NOT NULL CHECK (length(env) <= 253),
    deploy_id   INTEGER NOT NULL CHECK (deploy_id >= 0),
    subject     TEXT    NOT NULL CHECK (length(subject) <= 200),
    repository  TEXT    NOT NULL CHECK (length(repository) <= 500),
    from_tag    TEXT    NOT NULL CHECK (length(from_tag) <= 200),
    from_digest TEXT    NOT NULL CHECK (length(from_digest) <= 100),
    to_tag      TEXT    NOT NULL CHECK (length(to_tag) <= 200),
    to_digest   TEXT    NOT NULL CHECK (length(to_digest) <= 100),
    reason      TEXT    NOT NULL CHECK (length(reason) <= 1000),
    outcome     TEXT    NOT NULL CHECK (outcome IN ('', 'ok', 'refused', 'succeeded', 'failed', 'errored', 'superseded')),
    detail      TEXT    NOT NULL CHECK (length(detail) <= 2000),
    request_id  TEXT    NOT NULL CHECK (length(request_id) <= 100),
    count       INTEGER NOT NULL CHECK (count >= 1),
    prev_hash   TEXT    NOT NULL CHECK (length(prev_hash) = 64),
    hash        TEXT    NOT NULL CHECK (length(hash) = 64)
) STRICT;

-- A page of the log is read in lanes, one for every environment, action and outcome that there is and that is asked for.
-- With these always given, four indexes serve every choice of app and actor, each with seq right behind: a lane is read
-- from its newest entry on, and no entry is looked at that is not asked for.
CREATE INDEX audit_entries_lane       ON audit_entries (env, action, outcome, seq);
CREATE INDEX audit_entries_lane_app   ON audit_entries (env, action, outcome, app, seq);
CREATE INDEX audit_entries_lane_actor ON audit_entries (env, action, outcome, actor_name, seq);
CREATE INDEX audit_entries_lane_both  ON audit_entries (env, action, outcome, app, actor_name, seq);
-- By day, not by time: a clock that is set back makes times run against seq.
CREATE INDEX audit_entries_day      ON audit_entries (substr(at, 1, 10), seq);
CREATE INDEX audit_entries_deploy   ON audit_entries (deploy_id, seq) WHERE deploy_id > 0;
CREATE INDEX audit_entries_to_tag   ON audit_entries (to_tag, seq) WHERE to_tag <> '';
CREATE INDEX audit_entries_from_tag ON audit_entries (from_tag, seq) WHERE from_tag <> '';
CREATE INDEX audit_entries_to_digest   ON audit_entries (to_digest, seq) WHERE to_digest <> '';
CREATE INDEX audit_entries_from_digest ON audit_entries (from_digest, seq) WHERE from_digest <> '';

CREATE TRIGGER audit_entries_no_update BEFORE UPDATE ON audit_entries
BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;
CREATE TRIGGER audit_entries_no_delete BEFORE DELETE ON audit_entries
BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;
-- INSERT OR REPLACE would delete silently; a new entry is exactly the next one and continues the last. seq is the only
-- key that could be in conflict, so that this holds also for a connection without recursive triggers.
CREATE TRIGGER audit_entries_next_only BEFORE INSERT ON audit_entries
WHEN NEW.seq <> (SELECT ifnull(max(seq), 0) + 1 FROM audit_entries)
    OR NEW.prev_hash <> ifnull((SELECT hash FROM audit_entries ORDER BY seq DESC LIMIT 1), printf('%064d', 0))
BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;

CREATE TABLE deploys (
    id           INTEGER PRIMARY KEY CHECK (id > 0),
    app          TEXT    NOT NULL CHECK (length(app) BETWEEN 1 AND 253),
    env          TEXT    NOT NULL CHECK (length(env) BETWEEN 1 AND 253),
    kind         TEXT    NOT NULL CHECK (kind IN ('deploy', 'rollback', 'restart', 'adopt')),
    status       TEXT    NOT NULL CHECK (status IN ('pending', 'running', 'succeeded', 'failed', 'errored', 'superseded')),
    from_version TEXT    NOT NULL CHECK (json_valid(from_version)),
    to_version   TEXT    NOT NULL CHECK (json_valid(to_version)),
    to_tag       TEXT    NOT NULL CHECK (length(to_tag) <= 200),
    rollback_of  INTEGER REFERENCES deploys (id),
    replaces     INTEGER REFERENCES deploys (id),
    actor_id     TEXT    NOT NULL CHECK (length(actor_id) BETWEEN 1 AND 200),
    actor_name   TEXT    NOT NULL CHECK (length(actor_name) BETWEEN 1 AND 200),
    source       TEXT    NOT NULL CHECK (source IN ('web', 'slack', 'api', 'cli', 'system')),
    request_key  TEXT             CHECK (length(request_key) BETWEEN 1 AND 200),
    reason       TEXT    NOT NULL CHECK (length(reason) <= 1000),
    created_at   TEXT    NOT NULL CHECK (length(created_at) = 24),
    started_at   TEXT             CHECK (length(started_at) = 24),
    patched_at   TEXT             CHECK (length(patched_at) = 24),
    finished_at  TEXT             CHECK (length(finished_at) = 24),
    uid          TEXT    NOT NULL DEFAULT '',
    generation   INTEGER NOT NULL DEFAULT 0 CHECK (generation >= 0),
    template     TEXT    NOT NULL DEFAULT '',
    guard_rv     TEXT    NOT NULL DEFAULT '',
    audit_seq    INTEGER NOT NULL REFERENCES audit_entries (seq),
    audit_hash   TEXT    NOT NULL CHECK (length(audit_hash) = 64),
    sentence     TEXT    NOT NULL DEFAULT '' CHECK (length(sentence) <= 2000),
    note         TEXT    NOT NULL DEFAULT '' CHECK (length(note) <= 2000),
    cause        TEXT    NOT NULL DEFAULT 'null' CHECK (json_valid(cause)),
    causes       TEXT    NOT NULL DEFAULT 'null' CHECK (json_valid(causes)),
    memory       TEXT    NOT NULL DEFAULT '{}' CHECK (json_valid(memory)),
    rollout      TEXT             CHECK (json_valid(rollout)),
    seq          INTEGER NOT NULL DEFAULT 0 CHECK (seq >= 0),
    CHECK ((finished_at IS NULL) = (status IN ('pending', 'running'))),
    CHECK ((status = 'pending') <= (started_at IS NULL)),
    CHECK ((patched_at IS NULL) = (generation = 0))
) STRICT;

CREATE TRIGGER deploys_no_delete BEFORE DELETE ON deploys
BEGIN SELECT RAISE(ABORT, 'deploys are kept'); END;
CREATE TRIGGER deploys_over_is_over BEFORE UPDATE ON deploys WHEN OLD.finished_at IS NOT NULL
BEGIN SELECT RAISE(ABORT, 'a finished deploy does not change'); END;

-- One active deploy a target: the database decides a race, not the memory of a process.
CREATE UNIQUE INDEX deploys_one_active ON deploys (app, env) WHERE finished_at IS NULL;
CREATE UNIQUE INDEX deploys_key ON deploys (actor_id, source, request_key) WHERE request_key IS NOT NULL;
CREATE INDEX deploys_target ON deploys (app, env, id);
CREATE INDEX deploys_target_status ON deploys (app, env, status, id);

CREATE TABLE deploy_events (
    deploy_id INTEGER NOT NULL REFERENCES deploys (id),
    seq       INTEGER NOT NULL CHECK (seq > 0),
    at        TEXT    NOT NULL CHECK (length(at) = 24),
    kind      TEXT    NOT NULL CHECK (kind IN ('step', 'pod', 'trouble', 'rollout')),
    text      TEXT    NOT NULL CHECK (length(text) <= 1000),
    PRIMARY KEY (deploy_id, seq)
) STRICT, WITHOUT ROWID;
