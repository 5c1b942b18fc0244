\set ECHO none
-- What a process remembers of who counts (src/readiness_people.c) is never wrong: not after a change that is rolled back, seen by a function in the midst
-- of its statement, taken in by a fold in part, made by another session, or made to a tenant of the same name.
\getenv inputdir PG_ABS_SRCDIR
\i :inputdir/sql/include/session.sql
\i :inputdir/sql/include/readiness.sql
SELECT plan(26);

SELECT mt_create_tenant(t, t) FROM unnest('{rx-a,rx-b,rx-c}'::text[]) AS t \g /dev/null
INSERT INTO mindtickle.users (tenant_id, user_id, active) VALUES ('rx-a', 'ann', true), ('rx-a', 'bob', false), ('rx-b', 'ann', false), ('rx-b', 'bob', true),
	('rx-a', repeat('l', 200), false), ('rx-a', repeat('l', 45), true), ('rx-a', repeat('l', 46), false);

-- A result of everybody: deltas for which all are looked up.
CREATE FUNCTION pg_temp.record() RETURNS void LANGUAGE sql AS $$
	INSERT INTO mindtickle.quiz_submission (tenant_id, user_id, course_id, quiz_id, submitted_at, score, source)
	SELECT t, u, 'c', 'q', clock_timestamp(), 10, 'sql' FROM unnest('{rx-a,rx-b}'::text[]) AS t, unnest(ARRAY['ann', 'bob', 'cas', repeat('l', 200), repeat('l', 45), repeat('l', 46)]) AS u
$$;
CREATE PROCEDURE pg_temp.fold(details bool) LANGUAGE plpgsql AS $$
DECLARE
	tenant text;
BEGIN
	FOREACH tenant IN ARRAY ARRAY['rx-a', 'rx-b'] LOOP
		FOR i IN 1 .. 1000 LOOP
			COMMIT;
			-- The aggregator may be folding it just now.
			EXIT WHEN mindtickle.fold_readiness(tenant, details) >= 0;
		END LOOP;
		COMMIT;
	END LOOP;
END
$$;
CREATE FUNCTION pg_temp.unequal(tenant text) RETURNS bigint LANGUAGE sql AS 'SELECT count(*) FROM mt_verify_readiness(tenant) WHERE NOT equal';

CALL pg_temp.fold(true);
SELECT pg_temp.record() \g /dev/null
SELECT is(pg_temp.inexact(), '', 'looked up');
SELECT pg_temp.record() \g /dev/null
SELECT is(pg_temp.inexact(), '', 'and remembered, of two tenants with the same people in turn');
CALL pg_temp.fold(false);
SELECT pg_temp.record() \g /dev/null
SELECT is(pg_temp.inexact(), '', 'also after a fold');

-- Rolled back.
BEGIN;
UPDATE mindtickle.users SET active = NOT active;
SELECT pg_temp.record() \g /dev/null
SELECT is(pg_temp.inexact(), '', 'who was switched on and off in this transaction');
ROLLBACK;
SELECT pg_temp.record() \g /dev/null
SELECT is(pg_temp.inexact(), '', 'and after it was rolled back');

-- Seen in the midst of a statement, by a function in RETURNING and by a row trigger, when nobody has been looked up yet, and rolled back.
CREATE FUNCTION pg_temp.look() RETURNS text LANGUAGE plpgsql AS $$ BEGIN RETURN pg_temp.figures('rx-a'); END $$;
CREATE FUNCTION pg_temp.look_from_row() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_temp.figures('rx-a'); RETURN NULL; END $$;
UPDATE mindtickle.users SET active = NOT active WHERE user_id = 'bob';
CALL pg_temp.fold(false);
BEGIN;
SELECT pg_temp.record() \g /dev/null
WITH changed AS (UPDATE mindtickle.users SET active = NOT active RETURNING pg_temp.look()) SELECT count(*) FROM changed \g /dev/null
ROLLBACK;
SELECT pg_temp.record() \g /dev/null
SELECT is(pg_temp.inexact(), '', 'nor is anything kept that was seen in RETURNING');
UPDATE mindtickle.users SET active = NOT active WHERE user_id = 'bob';
CALL pg_temp.fold(false);
BEGIN;
SELECT pg_temp.record() \g /dev/null
CREATE TRIGGER look AFTER UPDATE ON mindtickle.users FOR EACH ROW EXECUTE FUNCTION pg_temp.look_from_row();
UPDATE mindtickle.users SET active = NOT active;
ROLLBACK;
SELECT pg_temp.record() \g /dev/null
SELECT is(pg_temp.inexact(), '', 'or by a row trigger');

-- Rolled back in part.
BEGIN;
SAVEPOINT a;
DELETE FROM mindtickle.users;
SELECT pg_temp.inexact() \g /dev/null
ROLLBACK TO a;
SELECT pg_temp.record() \g /dev/null
SELECT is(pg_temp.inexact(), '', 'rolled back in part');
COMMIT;

-- Committed by the session itself, read before and after the aggregator has taken it in.
CREATE PROCEDURE pg_temp.change_and_read(INOUT wrong int8 DEFAULT 0) LANGUAGE plpgsql AS $$
BEGIN
	FOR i IN 1 .. 300 LOOP
		PERFORM pg_temp.record();
		COMMIT;
		wrong := wrong + (pg_temp.inexact() <> '')::int4;
		COMMIT;
		UPDATE mindtickle.users SET active = NOT active WHERE user_id = 'ann';
		COMMIT;
		wrong := wrong + (pg_temp.inexact() <> '')::int4;
		COMMIT;
	END LOOP;
END
$$;
CALL pg_temp.change_and_read() \gset
SELECT is(:wrong::int8, 0::int8, 'changed and read, again and again');

-- Committed, and taken in one after the other.
UPDATE mindtickle.users SET active = NOT active WHERE user_id = 'ann';
SELECT pg_temp.record() \g /dev/null
SELECT is(pg_temp.inexact(), '', 'a change that is not taken in');
CALL pg_temp.fold(false);
SELECT pg_temp.record() \g /dev/null
SELECT is(pg_temp.inexact(), '', 'taken in by the totals');
UPDATE mindtickle.users SET active = NOT active WHERE user_id = 'ann';
SELECT pg_temp.record() \g /dev/null
SELECT is(pg_temp.unequal('rx-a') + pg_temp.unequal('rx-b'), 0::bigint, 'and undone, of which the users'' and courses'' figures have nothing yet');
SELECT is(pg_temp.inexact(), '', 'nor the totals of the second half');
CALL pg_temp.fold(true);
SELECT pg_temp.record() \g /dev/null
SELECT is(pg_temp.unequal('rx-a') + pg_temp.unequal('rx-b'), 0::bigint, 'all taken in');

-- In an old snapshot.
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT is(pg_temp.inexact(), '', 'a snapshot');
COMMIT;
DELETE FROM mindtickle.users WHERE user_id IN ('ann', repeat('l', 200));
INSERT INTO mindtickle.users (tenant_id, user_id, active) VALUES ('rx-a', 'cas', false), ('rx-b', 'cas', true);
CALL pg_temp.fold(false);
SELECT pg_temp.record() \g /dev/null
SELECT is(pg_temp.inexact(), '', 'deleted and added');

-- Somebody who is not there, and a learner as long as he has rows.
INSERT INTO mindtickle.quiz_submission (tenant_id, user_id, course_id, quiz_id, submitted_at, score, source) VALUES ('rx-a', 'dan', 'c', 'q', clock_timestamp(), 1, 'sql');
SELECT is(pg_temp.inexact(), '', 'a learner by his first result');
CALL pg_temp.fold(false);
INSERT INTO mindtickle.course_progress (tenant_id, user_id, course_id, status) VALUES ('rx-a', 'dan', 'c', 'completed');
SELECT is(pg_temp.inexact(), '', 'and not by the next');
CALL pg_temp.fold(false);
INSERT INTO mindtickle.quiz_submission (tenant_id, user_id, course_id, quiz_id, submitted_at, score, source) VALUES ('rx-a', 'dan', 'c', 'q', clock_timestamp(), 1, 'sql');
SELECT pg_temp.inexact() \g /dev/null
DELETE FROM mindtickle.quiz_submission WHERE user_id = 'dan';
DELETE FROM mindtickle.course_progress WHERE user_id = 'dan';
SELECT is(pg_temp.inexact(), '', 'nor is he one when all is gone');
CALL pg_temp.fold(false);
INSERT INTO mindtickle.quiz_submission (tenant_id, user_id, course_id, quiz_id, submitted_at, score, source) VALUES ('rx-a', 'dan', 'c', 'q', clock_timestamp(), 1, 'sql');
SELECT is(pg_temp.inexact(), '', 'and one again by another');
CALL pg_temp.fold(true);
UPDATE mindtickle.quiz_submission SET user_id = 'eve' WHERE user_id = 'dan';
INSERT INTO mindtickle.quiz_submission (tenant_id, user_id, course_id, quiz_id, submitted_at, score, source) VALUES ('rx-a', 'eve', 'c', 'q', clock_timestamp(), 1, 'sql');
SELECT is(pg_temp.inexact(), '', 'or somebody else in his place');

-- Where deltas do not tell.
SET session_replication_role = replica;
UPDATE mindtickle.users SET active = NOT active;
RESET session_replication_role;
SELECT is(pg_temp.inexact(), '', 'changed as a replica does it');
SELECT mt_rebuild_readiness('rx-a'), mt_rebuild_readiness('rx-b') \g /dev/null
SELECT pg_temp.record() \g /dev/null
SELECT is(pg_temp.inexact(), '', 'and counted anew');

-- A tenant of the same name.
SELECT mt_drop_tenant('rx-a') \g /dev/null
SELECT mt_create_tenant('rx-a', 'anew') \g /dev/null
INSERT INTO mindtickle.users (tenant_id, user_id, active) VALUES ('rx-a', 'ann', false), ('rx-a', 'bob', true);
SELECT pg_temp.record() \g /dev/null
SELECT is(pg_temp.inexact(), '', 'another tenant of the same name');
CALL pg_temp.fold(true);
SELECT pg_temp.record() \g /dev/null
SELECT is(pg_temp.inexact(), '', 'taken in');
SELECT is(pg_temp.unequal('rx-a') + pg_temp.unequal('rx-b'), 0::bigint, 'with everything');
SELECT * FROM finish();
SELECT mt_drop_tenant(t) FROM unnest('{rx-a,rx-b,rx-c}'::text[]) AS t \g /dev/null
