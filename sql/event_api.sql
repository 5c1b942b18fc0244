/*
 * Publishing events, consuming them, and watching both. What the tables hold is shown by views: mindtickle.outbox and mindtickle.event_overflow what
 * waits, mindtickle.event what is published and kept.
 */
CREATE FUNCTION mindtickle.event_kept(tenant_id pg_catalog.text, seq pg_catalog.int8) RETURNS pg_catalog.bool
	LANGUAGE c STRICT STABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'mt_event_kept';
COMMENT ON FUNCTION mindtickle.event_kept(pg_catalog.text, pg_catalog.int8)
	IS 'false for an event that its tenant does not keep any more; waits until published events are on the disk';

CREATE FUNCTION mindtickle.event_waits(tenant_id pg_catalog.text, outbox_table pg_catalog.int4, xid pg_catalog.xid8, "position" pg_catalog.int8) RETURNS pg_catalog.bool
	LANGUAGE c STRICT STABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'mt_event_waits';
COMMENT ON FUNCTION mindtickle.event_waits(pg_catalog.text, pg_catalog.int4, pg_catalog.xid8, pg_catalog.int8)
	IS 'true for a row of mindtickle.outbox_N, N being outbox_table, that has not been taken by the publisher';

CREATE FUNCTION mindtickle.overflow_waits(tenant_id pg_catalog.text, round pg_catalog.int8, "position" pg_catalog.int8) RETURNS pg_catalog.bool
	LANGUAGE c STRICT STABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'mt_overflow_waits';
COMMENT ON FUNCTION mindtickle.overflow_waits(pg_catalog.text, pg_catalog.int8, pg_catalog.int8)
	IS 'true for a row of mindtickle.event_overflow_N that has not been published';

CREATE FUNCTION mindtickle.rings_are_whole() RETURNS pg_catalog.bool
	LANGUAGE c STABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'mt_rings_are_whole';
COMMENT ON FUNCTION mindtickle.rings_are_whole()
	IS 'true; error 40001 where a table of events has been emptied since the snapshot, so that a dump would lack rows; for pg_dump';

CREATE VIEW mindtickle.event WITH (security_invoker = true) AS
	SELECT e.tenant_id, e.seq, e.topic, e.payload, e.created_at, e.published_at FROM mindtickle.event_0 AS e WHERE mindtickle.event_kept(e.tenant_id, e.seq)
	UNION ALL
	SELECT e.tenant_id, e.seq, e.topic, e.payload, e.created_at, e.published_at FROM mindtickle.event_1 AS e WHERE mindtickle.event_kept(e.tenant_id, e.seq)
	UNION ALL
	SELECT e.tenant_id, e.seq, e.topic, e.payload, e.created_at, e.published_at FROM mindtickle.event_2 AS e WHERE mindtickle.event_kept(e.tenant_id, e.seq)
	UNION ALL
	SELECT e.tenant_id, e.seq, e.topic, e.payload, e.created_at, e.published_at FROM mindtickle.event_3 AS e WHERE mindtickle.event_kept(e.tenant_id, e.seq);
COMMENT ON VIEW mindtickle.event IS 'published events that are kept';

CREATE VIEW mindtickle.outbox WITH (security_invoker = true) AS
	SELECT o.tenant_id, o."position" AS outbox_id, o.topic, o.payload, o.created_at FROM mindtickle.outbox_0 AS o WHERE mindtickle.event_waits(o.tenant_id, 0, o.xid, o."position")
	UNION ALL
	SELECT o.tenant_id, o."position", o.topic, o.payload, o.created_at FROM mindtickle.outbox_1 AS o WHERE mindtickle.event_waits(o.tenant_id, 1, o.xid, o."position")
	UNION ALL
	SELECT o.tenant_id, o."position", o.topic, o.payload, o.created_at FROM mindtickle.outbox_2 AS o WHERE mindtickle.event_waits(o.tenant_id, 2, o.xid, o."position")
	UNION ALL
	SELECT o.tenant_id, o."position", o.topic, o.payload, o.created_at FROM mindtickle.outbox_3 AS o WHERE mindtickle.event_waits(o.tenant_id, 3, o.xid, o."position");
COMMENT ON VIEW mindtickle.outbox IS 'events that wait to be published, in the order of outbox_id';

CREATE VIEW mindtickle.event_overflow WITH (security_invoker = true) AS
	SELECT o.tenant_id, o.round, o."position", o.topic, o.payload, o.created_at FROM mindtickle.event_overflow_0 AS o WHERE mindtickle.overflow_waits(o.tenant_id, o.round, o."position")
	UNION ALL
	SELECT o.tenant_id, o.round, o."position", o.topic, o.payload, o.created_at FROM mindtickle.event_overflow_1 AS o WHERE mindtickle.overflow_waits(o.tenant_id, o.round, o."position");
COMMENT ON VIEW mindtickle.event_overflow IS 'events of tenants past their queue_limit that wait to be published, in the order of round and position';

CREATE VIEW mindtickle.event_position WITH (security_invoker = true) AS
	SELECT DISTINCT ON (p.tenant_id) p.* FROM (TABLE mindtickle.event_position_0 UNION ALL TABLE mindtickle.event_position_1) AS p
	ORDER BY p.tenant_id, p.number DESC;
COMMENT ON VIEW mindtickle.event_position IS 'how far each tenant''s events have come';

CREATE FUNCTION mindtickle.longest_event_retention() RETURNS pg_catalog.interval
	LANGUAGE sql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
	SELECT max(coalesce(t.settings ->> 'retain_events', d.default_value #>> '{}')::interval)
	FROM mindtickle.tenant AS t, mindtickle.setting_definitions() AS d WHERE d.name = 'retain_events'
$$;
COMMENT ON FUNCTION mindtickle.longest_event_retention() IS 'the longest retain_events of all tenants; needs no tenant in force';

CREATE FUNCTION mindtickle.publish(tenant pg_catalog.text, max_rows pg_catalog.int4, announce pg_catalog.bool DEFAULT true, wait pg_catalog.bool DEFAULT true,
		OUT published pg_catalog.int4, OUT more pg_catalog.bool) RETURNS pg_catalog.record
	LANGUAGE c STRICT VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'mt_publish';
COMMENT ON FUNCTION mindtickle.publish(pg_catalog.text, pg_catalog.int4, pg_catalog.bool, pg_catalog.bool)
	IS 'numbers waiting events of a tenant in a transaction of its own and NOTIFYs each topic with its highest seq; how many, -1 where it is not to wait for who has them in hand, and whether there is more to do; needs no tenant in force';

CREATE FUNCTION mindtickle.hold_events(tenant pg_catalog.text) RETURNS pg_catalog.void
	LANGUAGE c STRICT VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'mt_hold_events';
COMMENT ON FUNCTION mindtickle.hold_events(pg_catalog.text)
	IS 'keeps a tenant''s events from being published until the end of the transaction, which changes some of those that wait';

CREATE FUNCTION mindtickle.tenants_to_publish() RETURNS SETOF pg_catalog.text
	LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'mt_tenants_to_publish';
COMMENT ON FUNCTION mindtickle.tenants_to_publish() IS 'tenants with events that wait; needs no tenant in force';

CREATE FUNCTION mindtickle.tend_events(events_too pg_catalog.bool) RETURNS pg_catalog.text
	LANGUAGE c STRICT VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'mt_tend_events';
COMMENT ON FUNCTION mindtickle.tend_events(pg_catalog.bool)
	IS 'one step towards small tables of events, in words; large: and the name of one that mindtickle.empty_event_table is to empty; NULL: there is nothing to do; events_too: also for those that are published; needs no tenant in force';

CREATE FUNCTION mindtickle.empty_event_table(name pg_catalog.text) RETURNS pg_catalog.bool
	LANGUAGE c STRICT VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'mt_empty_event_table';
COMMENT ON FUNCTION mindtickle.empty_event_table(pg_catalog.text)
	IS 'for the publisher''s helper: empties a large table of events, or of how far they have come, that nobody needs any more; false: it is empty or needed, or somebody is in the way';

CREATE FUNCTION mindtickle.notification_usage() RETURNS pg_catalog.float8
	LANGUAGE sql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS $$
	SELECT pg_notification_queue_usage()
$$;
COMMENT ON FUNCTION mindtickle.notification_usage() IS 'for the publisher: how full the server''s queue of notifications is, 0 to 1';

CREATE FUNCTION mindtickle.trim_events(tenant pg_catalog.text, published_before pg_catalog.timestamptz, keep pg_catalog.int8) RETURNS pg_catalog.int8
	LANGUAGE c STRICT VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'mt_trim_events';
COMMENT ON FUNCTION mindtickle.trim_events(pg_catalog.text, pg_catalog.timestamptz, pg_catalog.int8)
	IS 'lets go of a tenant''s events that were published before a moment, and of all but the last so many; returns how many';

CREATE FUNCTION mindtickle.trim_tenant(tenant pg_catalog.text) RETURNS pg_catalog.int8
	LANGUAGE plpgsql STRICT VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	settings jsonb := mindtickle.effective_settings(tenant);
	removed int8;
	total int8;
BEGIN
	total := mindtickle.trim_events(tenant, now() - (settings ->> 'retain_events')::interval, ((settings ->> 'event_limit')::numeric)::int8);
	DELETE FROM mindtickle.readiness_report AS r
		WHERE r.tenant_id = tenant AND r.computed_at < now() - (settings ->> 'retain_reports')::interval;
	GET DIAGNOSTICS removed = ROW_COUNT;
	total := total + removed;
	-- One that somebody replays, and keeps locked, must not keep all else.
	DELETE FROM mindtickle.dead_letter AS d
		WHERE d.tenant_id = tenant AND d.letter_id = ANY (ARRAY(
			SELECT l.letter_id FROM mindtickle.dead_letter AS l
			WHERE l.tenant_id = tenant AND l.received_at < now() - (settings ->> 'retain_dead_letters')::interval
			FOR UPDATE SKIP LOCKED));
	GET DIAGNOSTICS removed = ROW_COUNT;
	total := total + removed;
	DELETE FROM mindtickle.sync_job AS j
		WHERE j.tenant_id = tenant AND j.finished_at < now() - (settings ->> 'retain_jobs')::interval;
	GET DIAGNOSTICS removed = ROW_COUNT;
	RETURN total + removed + mindtickle.trim_cache(tenant);
END
$$;
COMMENT ON FUNCTION mindtickle.trim_tenant(pg_catalog.text) IS 'removes what has passed the tenant''s retain_ settings and event_limit; returns how many rows';

CREATE FUNCTION mindtickle.event_consumers(OUT tenant_id pg_catalog.text, OUT consumer pg_catalog.text, OUT acked_seq pg_catalog.int8, OUT lag pg_catalog.int8,
		OUT lost pg_catalog.int8, OUT created_at pg_catalog.timestamptz, OUT acked_at pg_catalog.timestamptz)
	RETURNS SETOF pg_catalog.record
	LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'mt_event_consumers';
COMMENT ON FUNCTION mindtickle.event_consumers() IS 'the consumers of the tenant in force; for the owner, while none is, of all tenants';

CREATE FUNCTION mindtickle.queue_stats(OUT tenant_id pg_catalog.text, OUT waiting pg_catalog.int8, OUT oldest_waiting_at pg_catalog.timestamptz,
		OUT overflow pg_catalog.int8, OUT first_seq pg_catalog.int8, OUT last_seq pg_catalog.int8, OUT events pg_catalog.int8, OUT consumers pg_catalog.int4,
		OUT longest_lag pg_catalog.int8, OUT dead_letters pg_catalog.int8, OUT dead_letters_waiting pg_catalog.int8,
		OUT dead_letters_full pg_catalog.bool)
	RETURNS SETOF pg_catalog.record
	LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'mt_queue_stats';
COMMENT ON FUNCTION mindtickle.queue_stats() IS 'the queues of all tenants; for mt_stat_queue, and so for pg_monitor';

CREATE FUNCTION @extschema@.mt_event_channel(tenant pg_catalog.text, topic pg_catalog.text) RETURNS pg_catalog.text
	LANGUAGE c STRICT STABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'mt_event_channel_sql';
COMMENT ON FUNCTION @extschema@.mt_event_channel(pg_catalog.text, pg_catalog.text) IS 'the channel on which events of a topic are announced, for LISTEN';

CREATE FUNCTION @extschema@.mt_poll_events(tenant pg_catalog.text, consumer pg_catalog.text, max pg_catalog.int4, OUT seq pg_catalog.int8, OUT topic pg_catalog.text,
		OUT payload pg_catalog.jsonb, OUT created_at pg_catalog.timestamptz)
	RETURNS SETOF pg_catalog.record
	LANGUAGE c STRICT VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'mt_poll_events';
COMMENT ON FUNCTION @extschema@.mt_poll_events(pg_catalog.text, pg_catalog.text, pg_catalog.int4)
	IS 'the next events that a consumer has not acknowledged, in order; the first call makes the consumer, which begins at the oldest event that is kept';

CREATE FUNCTION @extschema@.mt_ack_events(tenant pg_catalog.text, consumer pg_catalog.text, seq pg_catalog.int8) RETURNS pg_catalog.void
	LANGUAGE c STRICT VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'mt_ack_events';
COMMENT ON FUNCTION @extschema@.mt_ack_events(pg_catalog.text, pg_catalog.text, pg_catalog.int8) IS 'a consumer has done with all events up to this one';

CREATE FUNCTION @extschema@.mt_drop_consumer(tenant pg_catalog.text, consumer pg_catalog.text) RETURNS pg_catalog.void
	LANGUAGE c STRICT VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'mt_drop_consumer';
COMMENT ON FUNCTION @extschema@.mt_drop_consumer(pg_catalog.text, pg_catalog.text) IS 'forgets a consumer';

CREATE VIEW @extschema@.mt_event_consumers WITH (security_invoker = true) AS
	SELECT c.tenant_id, c.consumer, c.acked_seq, c.lag, c.lost, c.created_at, c.acked_at
	FROM mindtickle.event_consumers() AS c
	-- whose row security then holds for it too
	JOIN mindtickle.tenant AS t ON t.tenant_id OPERATOR(pg_catalog.=) c.tenant_id;
COMMENT ON VIEW @extschema@.mt_event_consumers IS 'who consumes events, and how far behind each is; lost: events that have gone before it acknowledged them';

CREATE VIEW @extschema@.mt_stat_queue WITH (security_invoker = true) AS
	SELECT q.tenant_id, q.waiting, q.oldest_waiting_at, q.overflow, q.first_seq, q.last_seq, q.events, q.consumers, q.longest_lag, q.dead_letters,
		q.dead_letters_waiting, q.dead_letters_full, pg_catalog.pg_notification_queue_usage() AS notification_queue
	FROM mindtickle.queue_stats() AS q;
COMMENT ON VIEW @extschema@.mt_stat_queue IS 'events of each tenant that wait in the outbox and in the overflow, what is published and kept, consumers, dead letters; for members of pg_monitor';

CREATE FUNCTION mindtickle.flush_wal() RETURNS pg_catalog.void
	LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'mt_flush_wal';
COMMENT ON FUNCTION mindtickle.flush_wal() IS 'for the gateway: waits until everything that is visible now is on the disk';
