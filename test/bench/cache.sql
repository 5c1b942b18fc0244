/*
 * The tenant cache on a roster of 5,000 users: taking it and building it, as a client gets it (cache.sh has stored those samples' script); asking for
 * the version alone; and what the log of changes costs those who write: statements in a transaction of their own, and statements of many rows, with
 * and without the triggers of the cache.
 */
CALL bench.ensure_tenant('bench', 'bench_reader', 'reader');
DELETE FROM mindtickle.team_member WHERE tenant_id = 'bench';
DELETE FROM mindtickle.team WHERE tenant_id = 'bench';
DELETE FROM mindtickle.users WHERE tenant_id = 'bench';
INSERT INTO mindtickle.users (tenant_id, user_id, mindtickle_id, email, name, title, department)
	SELECT 'bench', format('10000010000%s', 10000 + i), format('10000010000%s', 10000 + i), format('somebody.%s@example.com', i), format('Somebody Number %s', i), 'Account Executive', 'Sales'
	FROM generate_series(1, 5000) AS i;
INSERT INTO mindtickle.team (tenant_id, team_id, name, source) SELECT 'bench', 'team-' || i, 'Team ' || i, 'pull' FROM generate_series(1, 20) AS i;
INSERT INTO mindtickle.team_member (tenant_id, team_id, user_id, source) SELECT 'bench', 'team-' || (1 + row_number() OVER () % 20), user_id, 'pull' FROM mindtickle.users WHERE tenant_id = 'bench';
VACUUM ANALYZE mindtickle.users, mindtickle.team, mindtickle.team_member;

CREATE FUNCTION bench.store(measured text, side text, round integer, microseconds float8) RETURNS void LANGUAGE sql AS $$
	INSERT INTO bench.sample VALUES (measured, side, round, microseconds)
$$;

-- Runs a statement as the reader, so often; on the server alone.
CREATE FUNCTION bench.time_of(statement text, times integer) RETURNS float8 LANGUAGE plpgsql AS $$
DECLARE
	began timestamptz := clock_timestamp();
BEGIN
	FOR i IN 1..times LOOP
		EXECUTE statement;
	END LOOP;
	RETURN extract(epoch FROM clock_timestamp() - began) * 1000000;
END
$$;
SELECT mt_get_user_roster('bench') \g /dev/null
DO $$
BEGIN
	FOR round IN 1..15 LOOP
		PERFORM bench.store('roster of 5,000, on the server', 'cached', round, bench.time_of($q$SELECT mt_get_user_roster('bench')$q$, 10)),
			bench.store('roster of 5,000, on the server', 'built', round, bench.time_of($q$SELECT mindtickle.render_roster('bench')$q$, 10)),
			bench.store('version of the roster', 'cache_version', round, bench.time_of($q$SELECT mindtickle.cache_version('bench', 'roster')$q$, 2000)),
			bench.store('version of the roster', 'SELECT 1', round, bench.time_of('SELECT 1', 2000));
	END LOOP;
END
$$;

-- Writers. The tables of the cache have the rows of a day with them.
CREATE PROCEDURE bench.update_singly(times integer) LANGUAGE plpgsql AS $$
BEGIN
	FOR i IN 1..times LOOP
		UPDATE mindtickle.users SET title = i::text WHERE tenant_id = 'bench' AND user_id = '1000001000010001';
		COMMIT;
	END LOOP;
END
$$;
CREATE PROCEDURE bench.write(side text, round integer) LANGUAGE plpgsql AS $$
DECLARE
	began timestamptz;
BEGIN
	EXECUTE format('ALTER TABLE mindtickle.users %s TRIGGER cache_changed', CASE side WHEN 'logged' THEN 'ENABLE ALWAYS' ELSE 'DISABLE' END);
	COMMIT;
	CALL bench.update_singly(50);
	began := clock_timestamp();
	CALL bench.update_singly(500);
	PERFORM bench.store('a user changed, a transaction each', side, round, extract(epoch FROM clock_timestamp() - began) * 1000000);
	COMMIT;
	began := clock_timestamp();
	UPDATE mindtickle.users SET department = round::text || side WHERE tenant_id = 'bench';
	PERFORM bench.store('5,000 users changed by one statement', side, round, extract(epoch FROM clock_timestamp() - began) * 1000000);
	COMMIT;
END
$$;
SET synchronous_commit = off;
DO $$
BEGIN
	FOR round IN 1..12 LOOP
		IF round % 2 = 0 THEN
			CALL bench.write('logged', round);
			CALL bench.write('not logged', round);
		ELSE
			CALL bench.write('not logged', round);
			CALL bench.write('logged', round);
		END IF;
	END LOOP;
END
$$;
RESET synchronous_commit;
ALTER TABLE mindtickle.users ENABLE ALWAYS TRIGGER cache_changed;
SELECT mt_invalidate_tenant('bench') \g /dev/null

INSERT INTO bench.comparison (measured, ours, beside, units, unit, bound) VALUES
	('roster of 5,000, on the server', 'cached', 'built', 10, 'call', 3),
	('version of the roster', 'cache_version', 'SELECT 1', 2000, 'call', NULL),
	('a user changed, a transaction each', 'logged', 'not logged', 500, 'transaction', 0.9),
	('5,000 users changed by one statement', 'logged', 'not logged', 5000, 'row', 0.9);
