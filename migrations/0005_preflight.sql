-- The digest that a tag named when somebody first deployed it: a tag that names another one later has been moved.

CREATE TABLE tags_seen (
    repository TEXT NOT NULL CHECK (length(repository) BETWEEN 1 AND 500),
    tag        TEXT NOT NULL CHECK (length(tag) BETWEEN 1 AND 200),
    digest     TEXT NOT NULL CHECK (length(digest) BETWEEN 1 AND 100),
    seen_at    TEXT NOT NULL CHECK (length(seen_at) = 24),
    PRIMARY KEY (repository, tag)
) STRICT, WITHOUT ROWID;

-- What was deployed before this was kept counts too. Only of a deploy did the registry itself say what the tag names;
-- with min() the row of the earliest is the one whose digest is taken.
INSERT INTO tags_seen (repository, tag, digest, seen_at)
SELECT repository, tag, digest, min(created_at)
FROM (SELECT json_extract(to_version, '$.repository') AS repository, to_tag AS tag, json_extract(to_version, '$.digest') AS digest, created_at
      FROM deploys WHERE kind = 'deploy' AND to_tag <> '')
WHERE repository <> '' AND digest <> ''
GROUP BY repository, tag;
