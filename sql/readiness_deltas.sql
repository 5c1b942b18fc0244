/*
 * What makes the deltas: statement triggers, and for replicated rows, which fire none, a row trigger that asks for a new count.
 */
CREATE FUNCTION mindtickle.readiness_user_changed() RETURNS pg_catalog.trigger
	LANGUAGE c AS 'MODULE_PATHNAME', 'mt_readiness_user_changed';
COMMENT ON FUNCTION mindtickle.readiness_user_changed() IS 'trigger: appends what a statement on users does to the readiness figures';

CREATE FUNCTION mindtickle.readiness_progress_changed() RETURNS pg_catalog.trigger
	LANGUAGE c AS 'MODULE_PATHNAME', 'mt_readiness_progress_changed';
COMMENT ON FUNCTION mindtickle.readiness_progress_changed() IS 'trigger: appends what a statement on course_progress does to the readiness figures';

CREATE FUNCTION mindtickle.readiness_quiz_changed() RETURNS pg_catalog.trigger
	LANGUAGE c AS 'MODULE_PATHNAME', 'mt_readiness_quiz_changed';
COMMENT ON FUNCTION mindtickle.readiness_quiz_changed() IS 'trigger: appends what a statement on quiz_submission does to the readiness figures';

CREATE FUNCTION mindtickle.readiness_truncated() RETURNS pg_catalog.trigger
	LANGUAGE c AS 'MODULE_PATHNAME', 'mt_readiness_truncated';
COMMENT ON FUNCTION mindtickle.readiness_truncated() IS 'trigger: has every tenant counted anew';

CREATE FUNCTION mindtickle.readiness_replicated() RETURNS pg_catalog.trigger
	LANGUAGE c AS 'MODULE_PATHNAME', 'mt_readiness_replicated';
COMMENT ON FUNCTION mindtickle.readiness_replicated() IS 'trigger: has the tenant of a replicated row counted anew';

CREATE TRIGGER readiness_insert AFTER INSERT ON mindtickle.users
	REFERENCING NEW TABLE AS came FOR EACH STATEMENT EXECUTE FUNCTION mindtickle.readiness_user_changed();
CREATE TRIGGER readiness_update AFTER UPDATE ON mindtickle.users
	REFERENCING OLD TABLE AS went NEW TABLE AS came FOR EACH STATEMENT EXECUTE FUNCTION mindtickle.readiness_user_changed();
CREATE TRIGGER readiness_delete AFTER DELETE ON mindtickle.users
	REFERENCING OLD TABLE AS went FOR EACH STATEMENT EXECUTE FUNCTION mindtickle.readiness_user_changed();
CREATE TRIGGER readiness_truncate AFTER TRUNCATE ON mindtickle.users
	FOR EACH STATEMENT EXECUTE FUNCTION mindtickle.readiness_truncated();
ALTER TABLE mindtickle.users ENABLE ALWAYS TRIGGER readiness_truncate;
CREATE TRIGGER readiness_replicated AFTER INSERT OR UPDATE OR DELETE ON mindtickle.users
	FOR EACH ROW EXECUTE FUNCTION mindtickle.readiness_replicated();
ALTER TABLE mindtickle.users ENABLE REPLICA TRIGGER readiness_replicated;

CREATE TRIGGER readiness_insert AFTER INSERT ON mindtickle.course_progress
	REFERENCING NEW TABLE AS came FOR EACH STATEMENT EXECUTE FUNCTION mindtickle.readiness_progress_changed();
CREATE TRIGGER readiness_update AFTER UPDATE ON mindtickle.course_progress
	REFERENCING OLD TABLE AS went NEW TABLE AS came FOR EACH STATEMENT EXECUTE FUNCTION mindtickle.readiness_progress_changed();
CREATE TRIGGER readiness_delete AFTER DELETE ON mindtickle.course_progress
	REFERENCING OLD TABLE AS went FOR EACH STATEMENT EXECUTE FUNCTION mindtickle.readiness_progress_changed();
CREATE TRIGGER readiness_truncate AFTER TRUNCATE ON mindtickle.course_progress
	FOR EACH STATEMENT EXECUTE FUNCTION mindtickle.readiness_truncated();
ALTER TABLE mindtickle.course_progress ENABLE ALWAYS TRIGGER readiness_truncate;
CREATE TRIGGER readiness_replicated AFTER INSERT OR UPDATE OR DELETE ON mindtickle.course_progress
	FOR EACH ROW EXECUTE FUNCTION mindtickle.readiness_replicated();
ALTER TABLE mindtickle.course_progress ENABLE REPLICA TRIGGER readiness_replicated;

CREATE TRIGGER readiness_insert AFTER INSERT ON mindtickle.quiz_submission
	REFERENCING NEW TABLE AS came FOR EACH STATEMENT EXECUTE FUNCTION mindtickle.readiness_quiz_changed();
CREATE TRIGGER readiness_update AFTER UPDATE ON mindtickle.quiz_submission
	REFERENCING OLD TABLE AS went NEW TABLE AS came FOR EACH STATEMENT EXECUTE FUNCTION mindtickle.readiness_quiz_changed();
CREATE TRIGGER readiness_delete AFTER DELETE ON mindtickle.quiz_submission
	REFERENCING OLD TABLE AS went FOR EACH STATEMENT EXECUTE FUNCTION mindtickle.readiness_quiz_changed();
CREATE TRIGGER readiness_truncate AFTER TRUNCATE ON mindtickle.quiz_submission
	FOR EACH STATEMENT EXECUTE FUNCTION mindtickle.readiness_truncated();
ALTER TABLE mindtickle.quiz_submission ENABLE ALWAYS TRIGGER readiness_truncate;
CREATE TRIGGER readiness_replicated AFTER INSERT OR UPDATE OR DELETE ON mindtickle.quiz_submission
	FOR EACH ROW EXECUTE FUNCTION mindtickle.readiness_replicated();
ALTER TABLE mindtickle.quiz_submission ENABLE REPLICA TRIGGER readiness_replicated;
