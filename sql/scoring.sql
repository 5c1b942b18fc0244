/*
 * Quiz scores, quiz results and course progress.
 */
CREATE FUNCTION @extschema@.mt_score_quiz(answers pg_catalog.jsonb) RETURNS pg_catalog.numeric
	LANGUAGE c STRICT IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'mt_score_quiz';
COMMENT ON FUNCTION @extschema@.mt_score_quiz(pg_catalog.jsonb)
	IS '100 x points of correct answers / points of all, rounded half away from zero to 4 places; NULL where there is nothing to score';

CREATE FUNCTION @extschema@.mt_process_quiz_result(tenant pg_catalog.text, result pg_catalog.jsonb) RETURNS pg_catalog.bool
	LANGUAGE c STRICT VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'mt_process_quiz_result';
COMMENT ON FUNCTION @extschema@.mt_process_quiz_result(pg_catalog.text, pg_catalog.jsonb)
	IS 'records a quiz result once: true when it was recorded, false when it was there already; event quiz.completed';

CREATE FUNCTION @extschema@.mt_upsert_progress(tenant pg_catalog.text, user_id pg_catalog.text, progress pg_catalog.jsonb) RETURNS pg_catalog.int4
	LANGUAGE c STRICT VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'mt_upsert_progress';
COMMENT ON FUNCTION @extschema@.mt_upsert_progress(pg_catalog.text, pg_catalog.text, pg_catalog.jsonb)
	IS 'writes an array of course progress of one user and returns the number of rows changed; unchanged rows write nothing; event progress.synced';
