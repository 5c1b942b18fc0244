-- What sync.sh measures.
CREATE TABLE bench.sync_count (moment text, at numeric, tenant text, requests int8, throttled int8, violations int8, PRIMARY KEY (moment, tenant));
-- ticks: CPU that was used; all_ticks: of the machine, what there was.
CREATE TABLE bench.sync_cost (moment text, process text, ticks int8, kilobytes int8, all_ticks int8, PRIMARY KEY (moment, process));
CREATE TABLE bench.sync_failing (tenant text PRIMARY KEY);
