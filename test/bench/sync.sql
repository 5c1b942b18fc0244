-- What sync.sh measures.
CREATE TABLE bench.sync_count (moment text, at numeric, tenant text, requests int8, throttled int8, violations int8, PRIMARY KEY (moment, tenant));
CREATE TABLE bench.sync_cost (moment text PRIMARY KEY, cpu numeric, kilobytes int8);
CREATE TABLE bench.sync_failing (tenant text PRIMARY KEY);
