-- The smoke probes of a deploy and what came of them: what was configured when it began, and each answer. Lists do not read
-- it, so it stands apart from what they read.
ALTER TABLE deploys ADD COLUMN smoke TEXT CHECK (json_valid(smoke));
