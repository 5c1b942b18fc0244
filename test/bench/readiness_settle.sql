/*
 * Waits until the aggregator has had nothing to fold for three seconds: nothing is left to be taken in, it is not at work, and has not been meanwhile, as
 * mt_stat_worker tells. Where there is none, there is nothing to wait for. Run by readiness.sh.
 */
DO $$
DECLARE
	before text := '';
	now text;
	at_rest boolean;
	same integer := 0;
BEGIN
	WHILE to_regclass('mt_stat_worker') IS NOT NULL AND same < 6 LOOP
		PERFORM pg_sleep(0.5);
		EXECUTE $q$
			SELECT string_agg(w.items::text, ','), bool_and(w.state <> 'working') AND NOT EXISTS (SELECT FROM mindtickle.tenants_to_fold())
			FROM mt_stat_worker AS w WHERE w.kind = 'aggregator' AND w.database = current_database()
		$q$ INTO now, at_rest;
		COMMIT;
		same := CASE WHEN at_rest IS NOT FALSE AND now IS NOT DISTINCT FROM before THEN same + 1 ELSE 0 END;
		before := now;
	END LOOP;
END
$$;
