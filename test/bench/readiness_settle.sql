/*
 * Waits until the aggregator has folded nothing for three seconds, as mt_stat_worker tells. Where there is none, there is nothing to wait for. Run by
 * readiness.sh.
 */
DO $$
DECLARE
	before text := '';
	now text;
	same integer := 0;
BEGIN
	WHILE to_regclass('mt_stat_worker') IS NOT NULL AND same < 6 LOOP
		PERFORM pg_sleep(0.5);
		EXECUTE $q$SELECT string_agg(w.items::text, ',') FROM mt_stat_worker AS w WHERE w.kind = 'aggregator' AND w.database = current_database()$q$ INTO now;
		same := CASE WHEN now IS NOT DISTINCT FROM before THEN same + 1 ELSE 0 END;
		before := now;
	END LOOP;
END
$$;
