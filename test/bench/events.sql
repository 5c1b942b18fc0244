/*
 * What events.sh measures into, and what it compares.
 *
 * A writer's transaction inserts a row and either calls mindtickle.emit_event, or pg_notify with the same document, or neither. Who writes is a superuser, to
 * whom the rest of the transaction costs least, so that the difference shows. The sides run in turns, round 0 does not count, a figure is the median of the
 * rounds, a ratio the median of the rounds' ratios.
 *
 * Latency is from the moment at which the writer wrote the event, in his transaction, until the listener has the notification that tells of it: with
 * events, one whose seq is as high; with pg_notify, its own. Both writers' commits wait for the disk.
 */
CREATE TABLE bench.row (n int8, at timestamptz DEFAULT now());
CREATE TABLE bench.rate (measured text NOT NULL, side text NOT NULL, round integer NOT NULL, per_second float8 NOT NULL);
CREATE TABLE bench.latency (measured text NOT NULL, side text NOT NULL, round integer NOT NULL, microseconds float8 NOT NULL);
CREATE TABLE bench.delivery (measured text NOT NULL, at float8 NOT NULL, microseconds float8 NOT NULL, events integer NOT NULL);
CREATE TABLE bench.backlog (tenant_id text, topic text, payload jsonb);
CREATE TABLE bench.heard (at float8, payload text);

CALL bench.ensure_tenant('bench-a', 'bench_reader', 'reader');
CALL bench.ensure_tenant('bench-b', 'bench_reader', 'reader');

-- Latencies from what a listener has heard: of events by their seq, of pg_notify by the moment in its document.
CREATE PROCEDURE bench.take_heard(measured text, side text, round integer, tenant text) LANGUAGE plpgsql AS $$
BEGIN
	IF side = 'pg_notify' THEN
		INSERT INTO bench.latency SELECT measured, side, round, h.at - (h.payload::jsonb ->> 'at')::float8 FROM bench.heard AS h;
	ELSE
		INSERT INTO bench.latency
			SELECT measured, side, round, h.at - (e.payload ->> 'at')::float8
			FROM mt_events AS e, LATERAL (
				SELECT o.at FROM bench.heard_seq AS o WHERE o.seq >= e.seq ORDER BY o.seq LIMIT 1) AS h
			WHERE e.tenant_id = take_heard.tenant AND e.payload ? 'at' AND e.seq BETWEEN (SELECT min(o.seq) FROM bench.heard_seq AS o) AND (SELECT max(o.seq) FROM bench.heard_seq AS o);
	END IF;
END
$$;
CREATE MATERIALIZED VIEW bench.heard_seq AS
	-- a later notification of a lower seq is no news
	SELECT min(h.at) OVER (ORDER BY (h.payload::jsonb ->> 'seq')::int8 DESC) AS at, (h.payload::jsonb ->> 'seq')::int8 AS seq FROM bench.heard AS h WHERE h.payload::jsonb ? 'seq';
CREATE INDEX ON bench.heard_seq (seq);
