/*
 * Alerts on their way from shared memory (src/alert.c) to the table. Called by the publisher.
 */
CREATE FUNCTION mindtickle.take_alerts(OUT at pg_catalog.timestamptz, OUT last_at pg_catalog.timestamptz, OUT session_role pg_catalog.text,
		OUT "current_role" pg_catalog.text, OUT client_addr pg_catalog.inet, OUT tenant_in_force pg_catalog.text,
		OUT tenant_asked pg_catalog.text, OUT object pg_catalog.text, OUT count pg_catalog.int8)
	RETURNS SETOF pg_catalog.record
	LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'mt_take_alerts';
COMMENT ON FUNCTION mindtickle.take_alerts() IS 'refused attempts that are not stored yet; they count as stored when the transaction commits';

CREATE FUNCTION mindtickle.record_alerts() RETURNS pg_catalog.int4
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	taken record;
	recorded int4 := 0;
BEGIN
	FOR taken IN SELECT * FROM mindtickle.take_alerts() LOOP
		UPDATE mindtickle.security_alert AS a SET count = a.count + taken.count, last_at = taken.last_at
			WHERE a.alert_id = (
				SELECT s.alert_id FROM mindtickle.security_alert AS s
				WHERE s.at > taken.at - interval '1 hour' AND s.at <= taken.at
					AND s.session_role = taken.session_role AND s.database = current_database()
					AND s."current_role" IS NOT DISTINCT FROM taken."current_role"
					AND s.client_addr IS NOT DISTINCT FROM taken.client_addr
					AND s.tenant_in_force IS NOT DISTINCT FROM taken.tenant_in_force
					AND s.tenant_asked IS NOT DISTINCT FROM taken.tenant_asked
					AND s.object IS NOT DISTINCT FROM taken.object
				ORDER BY s.alert_id DESC LIMIT 1);
		IF NOT FOUND THEN
			INSERT INTO mindtickle.security_alert (at, session_role, "current_role", client_addr, tenant_in_force, tenant_asked, object, count, last_at)
				VALUES (taken.at, taken.session_role, taken."current_role", taken.client_addr, taken.tenant_in_force, taken.tenant_asked,
						taken.object, taken.count, taken.last_at);
		END IF;
		recorded := recorded + 1;
	END LOOP;
	DELETE FROM mindtickle.security_alert AS a WHERE a.at < now() - interval '400 days';
	-- Anyone may LISTEN, so the payload says nothing; and anyone may fill the queue of notifications, which must not keep alerts from being stored.
	IF recorded > 0 AND current_setting('mindtickle.notify')::bool AND mindtickle.notification_usage() < 0.9 THEN
		PERFORM pg_notify('mindtickle.alert', '');
	END IF;
	RETURN recorded;
END
$$;
COMMENT ON FUNCTION mindtickle.record_alerts() IS 'stores refused attempts for 400 days and NOTIFYs mindtickle.alert, unless the queue of notifications is nearly full; returns how many kinds there were';

CREATE FUNCTION mindtickle.begin_probe() RETURNS pg_catalog.void
	LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'mt_begin_probe';
COMMENT ON FUNCTION mindtickle.begin_probe() IS 'for mt_verify_isolation: refusals make no alert until the end of the (sub)transaction; owner only';
