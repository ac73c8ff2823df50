-- The lists by id alone, for places that say nothing of a time.

CREATE INDEX file_ready_by_id ON file (organization, id) WHERE state = 'ready';
CREATE INDEX file_ready_of_purpose_by_id ON file (organization, purpose, id) WHERE state = 'ready';
