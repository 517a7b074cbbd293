-- Who wrote last into the pod template when it was last looked at. What only removes something writes nothing down: while
-- this has not moved, nobody knows who it was.
ALTER TABLE sightings ADD COLUMN manager TEXT NOT NULL DEFAULT '' CHECK (length(manager) <= 128);
ALTER TABLE sightings ADD COLUMN written_at TEXT CHECK (length(written_at) = 24); -- NULL: not known

-- The newest change of a target that can ask for a decision, without reading all of them: each page looks for it.
CREATE INDEX outside_changes_newest ON outside_changes (app, env, id) WHERE kind <> 'restart' OR asks = 1;
