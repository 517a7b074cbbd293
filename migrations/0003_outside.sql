-- What each target was when it was last looked at, or as our last patch left it. Whether a view of the cluster is news is
-- decided against this row, in the transaction that records the news: nothing is recorded twice, by no restart.
CREATE TABLE sightings (
    app        TEXT    NOT NULL CHECK (length(app) BETWEEN 1 AND 253),
    env        TEXT    NOT NULL CHECK (length(env) BETWEEN 1 AND 253),
    uid        TEXT    NOT NULL, -- of the Deployment; empty: it is gone
    generation INTEGER NOT NULL CHECK (generation >= 0),
    template   TEXT    NOT NULL, -- hash of the pod template
    bare       TEXT    NOT NULL, -- the same without the mark of a restart
    version    TEXT    NOT NULL CHECK (json_valid(version)),
    PRIMARY KEY (app, env)
) STRICT, WITHOUT ROWID;

-- Changes of a target that no deploy of ours made.
CREATE TABLE outside_changes (
    id           INTEGER PRIMARY KEY CHECK (id > 0),
    app          TEXT    NOT NULL CHECK (length(app) BETWEEN 1 AND 253),
    env          TEXT    NOT NULL CHECK (length(env) BETWEEN 1 AND 253),
    kind         TEXT    NOT NULL CHECK (kind IN ('image', 'template', 'restart', 'deleted', 'created')),
    manager      TEXT    NOT NULL CHECK (length(manager) <= 128),
    changed_at   TEXT    NOT NULL CHECK (length(changed_at) = 24),
    noticed_at   TEXT    NOT NULL CHECK (length(noticed_at) = 24),
    from_version TEXT    NOT NULL CHECK (json_valid(from_version)),
    to_version   TEXT    NOT NULL CHECK (json_valid(to_version)),
    asks         INTEGER NOT NULL CHECK (asks IN (0, 1)), -- somebody has to say: adopt it or restore what was
    superseded   INTEGER REFERENCES deploys (id),         -- the deploy that it ended
    audit_seq    INTEGER NOT NULL UNIQUE REFERENCES audit_entries (seq)
) STRICT;

CREATE TRIGGER outside_changes_no_update BEFORE UPDATE ON outside_changes
BEGIN SELECT RAISE(ABORT, 'changes are kept as they were seen'); END;
CREATE TRIGGER outside_changes_no_delete BEFORE DELETE ON outside_changes
BEGIN SELECT RAISE(ABORT, 'changes are kept as they were seen'); END;

CREATE INDEX outside_changes_target ON outside_changes (app, env, id);
