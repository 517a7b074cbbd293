-- People in Slack, what they asked for, and the messages that follow deploys.

-- A code that a signed-in person types in Slack. Only its hash is stored; a redeemed or newer one takes its place.
CREATE TABLE slack_codes (
    account_id INTEGER PRIMARY KEY REFERENCES accounts (id),
    code_hash  BLOB    NOT NULL UNIQUE CHECK (length(code_hash) = 32),
    expires_at TEXT    NOT NULL CHECK (length(expires_at) = 24)
) STRICT;

-- One Slack user is one account, and the other way round. Ending a link deletes it; the audit log remembers.
CREATE TABLE slack_links (
    account_id INTEGER PRIMARY KEY REFERENCES accounts (id),
    team       TEXT    NOT NULL CHECK (length(team) BETWEEN 1 AND 40),
    user       TEXT    NOT NULL CHECK (length(user) BETWEEN 1 AND 40),
    linked_at  TEXT    NOT NULL CHECK (length(linked_at) = 24),
    UNIQUE (team, user)
) STRICT;

-- What came signed over HTTP in the last minutes: the same is not taken twice.
CREATE TABLE slack_seen (
    signature BLOB NOT NULL PRIMARY KEY CHECK (length(signature) = 32),
    seen_at   TEXT NOT NULL CHECK (length(seen_at) = 24)
) STRICT, WITHOUT ROWID;
CREATE INDEX slack_seen_at ON slack_seen (seen_at);

-- A plan that somebody was shown and may set going once. request is the deploys.Request in JSON without its actor; the same
-- command, asked again by the same person while its plan is open, is the same plan.
CREATE TABLE slack_plans (
    id         TEXT    NOT NULL PRIMARY KEY CHECK (length(id) = 32),
    team       TEXT    NOT NULL CHECK (length(team) BETWEEN 1 AND 40),
    channel    TEXT    NOT NULL CHECK (length(channel) BETWEEN 1 AND 40),
    user       TEXT    NOT NULL CHECK (length(user) BETWEEN 1 AND 40),
    command    TEXT    NOT NULL CHECK (length(command) BETWEEN 1 AND 1000),
    request    TEXT    NOT NULL CHECK (json_valid(request)),
    created_at TEXT    NOT NULL CHECK (length(created_at) = 24),
    expires_at TEXT    NOT NULL CHECK (length(expires_at) = 24),
    ended_at   TEXT             CHECK (length(ended_at) = 24), -- pressed or cancelled
    deploy_id  INTEGER REFERENCES deploys (id)
) STRICT;
CREATE UNIQUE INDEX slack_plans_open ON slack_plans (team, channel, user, command) WHERE ended_at IS NULL;
CREATE INDEX slack_plans_deploy ON slack_plans (deploy_id) WHERE deploy_id IS NOT NULL;
CREATE INDEX slack_plans_created ON slack_plans (created_at);

-- The one message of a deploy. ts is Slack's name for it, empty until it was posted; said is a hash of what it says now.
-- A message is done when it says the end of the deploy, or cannot be said any more.
CREATE TABLE slack_messages (
    deploy_id INTEGER PRIMARY KEY REFERENCES deploys (id),
    channel   TEXT    NOT NULL CHECK (length(channel) BETWEEN 1 AND 40),
    ts        TEXT    NOT NULL DEFAULT '' CHECK (length(ts) <= 40),
    said      BLOB             CHECK (length(said) = 32),
    gone      INTEGER NOT NULL DEFAULT 0 CHECK (gone IN (0, 1)),   -- somebody deleted it: only the end is said, in a new one
    thread    INTEGER NOT NULL DEFAULT 0 CHECK (thread IN (0, 1)), -- the details stand in its thread
    done_at   TEXT             CHECK (length(done_at) = 24)
) STRICT;
CREATE INDEX slack_messages_open ON slack_messages (deploy_id) WHERE done_at IS NULL;

-- Up to which deploy it is decided whether there is a message. Its one row is made when the portal first knows of Slack.
CREATE TABLE slack_announced (
    one       INTEGER PRIMARY KEY CHECK (one = 1),
    deploy_id INTEGER NOT NULL
) STRICT;
