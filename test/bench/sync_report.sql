-- What sync.sh has measured, beside its bounds.
\pset footer off
CREATE TEMP VIEW rate AS
	SELECT split_part(f.moment, ' ', 1) AS part, f.tenant, t.requests - f.requests AS requests, (t.requests - f.requests) / (t.at - f.at) AS per_second,
		x.tenant IS NOT NULL AS failing
	FROM bench.sync_count AS f JOIN bench.sync_count AS t ON t.tenant = f.tenant AND t.moment = split_part(f.moment, ' ', 1) || ' to'
		LEFT JOIN bench.sync_failing AS x ON x.tenant = f.tenant
	WHERE f.moment LIKE '% from';
CREATE TEMP TABLE figure (place int GENERATED ALWAYS AS IDENTITY, measured text, value numeric, bound text, met bool);
INSERT INTO figure (measured, value, bound, met)
	SELECT 'share of the allowed rate that is used', round(v, 3), '>= 0.93', v >= 0.93 FROM (SELECT avg(per_second) AS v FROM rate WHERE part = 'steady') AS s;
INSERT INTO figure (measured, value, bound, met)
	SELECT 'least of a tenant / mean of all', round(v, 3), '>= 0.95', v >= 0.95 FROM (SELECT min(per_second) / avg(per_second) AS v FROM rate WHERE part = 'steady') AS s;
INSERT INTO figure (measured, value, bound, met)
	SELECT 'rate of the others while one in a hundred fails / without', round(v, 3), '>= 0.90', v >= 0.90
	FROM (SELECT (SELECT avg(per_second) FROM rate WHERE part = 'faults' AND NOT failing) / (SELECT avg(per_second) FROM rate WHERE part = 'steady') AS v) AS s;
INSERT INTO figure (measured, value, bound, met)
	SELECT 'requests over a limit, 429s', sum(violations) + sum(throttled), '0', sum(violations) + sum(throttled) = 0
	FROM bench.sync_count WHERE moment = 'end' AND tenant NOT IN (TABLE bench.sync_failing);
INSERT INTO figure (measured, value, bound, met)
	SELECT 'fullest second after a restart / steady rate', round(v, 3), '<= 1.2', v <= 1.2
	FROM (SELECT :fullest / (SELECT sum(per_second) FROM rate WHERE part = 'steady') AS v) AS r;
CREATE TEMP VIEW cost AS
	SELECT f.process, (t.ticks - f.ticks)::numeric / (t.all_ticks - f.all_ticks) AS share,
		(t.ticks - f.ticks)::numeric / :hertz / ((SELECT sum(requests) FROM rate WHERE part = 'steady') / 1000) AS seconds
	FROM bench.sync_cost AS f JOIN bench.sync_cost AS t ON t.process = f.process AND f.moment = 'steady from' AND t.moment = 'steady to';
INSERT INTO figure (measured, value)
	SELECT 'requests a second', round(sum(per_second), 0) FROM rate WHERE part = 'steady';
INSERT INTO figure (measured, value)
	SELECT 'CPU seconds of the worker per 1,000 requests', round(seconds, 3) FROM cost WHERE process = 'sync';
INSERT INTO figure (measured, value)
	SELECT 'the same of publisher and aggregator', round(sum(seconds), 3) FROM cost WHERE process IN ('publisher', 'aggregator');
INSERT INTO figure (measured, value)
	SELECT 'the same of the sandbox', round(seconds, 3) FROM cost WHERE process = 'sandbox';
INSERT INTO figure (measured, value)
	SELECT 'share of the machine''s CPU that was used, by anything', round(share, 3) FROM cost WHERE process = 'machine';
INSERT INTO figure (measured, value, bound, met)
	SELECT 'memory of the worker, MiB', round(v, 1), '< 64', v < 64
	FROM (SELECT max(kilobytes) / 1024.0 AS v FROM bench.sync_cost WHERE process = 'sync') AS s;
SELECT measured, value, bound, CASE WHEN met THEN 'met' WHEN NOT met THEN 'NOT MET' END AS verdict FROM figure ORDER BY place;
