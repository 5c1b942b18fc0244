# mindtickle: tenant-isolated MindTickle data inside PostgreSQL.
#
#   make, make install, make installcheck    as every PGXS extension
#   make demo, make demo-stop                a private cluster with the sandbox, ready to look at
#   make test                                every suite against clusters of its own
#   make bench                               the figures of the README, measured here
#   make fuzz MINUTES=10 SEED=1              random queries of one tenant's roles against another's rows, for so long (these are the defaults)
#
# demo, test, bench and fuzz install the packages they need first, so they also work where pg_config is not there yet.

EXTENSION = mindtickle
EXTVERSION = 0.1.0
MODULE_big = mindtickle

OBJS = \
	src/mindtickle.o \
	src/access.o \
	src/alert.o \
	src/api_version.o \
	src/connection_test.o \
	src/course.o \
	src/cache_change.o \
	src/cache_stats.o \
	src/dead_letter.o \
	src/event.o \
	src/event_consumer.o \
	src/event_flush.o \
	src/event_publish.o \
	src/event_retention.o \
	src/event_ring.o \
	src/event_stats.o \
	src/event_store.o \
	src/field.o \
	src/gateway_state.o \
	src/iso_timestamp.o \
	src/json_body.o \
	src/launcher.o \
	src/log_redaction.o \
	src/plan.o \
	src/push.o \
	src/privacy.o \
	src/progress.o \
	src/pull_groupings.o \
	src/pull_reports.o \
	src/pull_store.o \
	src/pulled_page.o \
	src/quiz_result.o \
	src/quiz_score.o \
	src/readiness.o \
	src/readiness_change.o \
	src/readiness_delta.o \
	src/readiness_details.o \
	src/readiness_entry.o \
	src/readiness_fold.o \
	src/readiness_people.o \
	src/readiness_ring.o \
	src/readiness_row.o \
	src/readiness_source.o \
	src/readiness_store.o \
	src/replay.o \
	src/ring.o \
	src/request_slot.o \
	src/credential.o \
	src/cursor.o \
	src/scim_answer.o \
	src/scim_attribute.o \
	src/scim_bulk.o \
	src/scim_condition.o \
	src/scim_element.o \
	src/scim_event.o \
	src/scim_group.o \
	src/scim_inspect.o \
	src/scim_json.o \
	src/scim_letter.o \
	src/scim_list.o \
	src/scim_member.o \
	src/scim_parse.o \
	src/scim_patch.o \
	src/scim_query.o \
	src/scim_request.o \
	src/scim_schema.o \
	src/scim_select.o \
	src/scim_user.o \
	src/scim_user_row.o \
	src/scim_value.o \
	src/service_call.o \
	src/settings.o \
	src/shared_state.o \
	src/spent_table.o \
	src/statistics.o \
	src/sync_request.o \
	src/tenant_cache.o \
	src/tenant_context.o \
	src/tenant_settings.o \
	src/tenant_statistics.o \
	src/tenant_table.o \
	src/token.o \
	src/user.o \
	src/utility_hook.o \
	src/wake_up.o \
	src/worker_report.o

# The install script is these parts in this order.
SQL_PARTS = \
	sql/preamble.sql \
	sql/tenant.sql \
	sql/context.sql \
	sql/people.sql \
	sql/scim_people.sql \
	sql/training.sql \
	sql/readiness_tables.sql \
	sql/event_tables.sql \
	sql/queue.sql \
	sql/cache_tables.sql \
	sql/sync_tables.sql \
	sql/security.sql \
	sql/row_security.sql \
	sql/setup.sql \
	sql/tenant_admin.sql \
	sql/credential.sql \
	sql/token.sql \
	sql/alert.sql \
	sql/scoring.sql \
	sql/users_api.sql \
	sql/scim_filter.sql \
	sql/scim_api.sql \
	sql/readiness_deltas.sql \
	sql/readiness_api.sql \
	sql/readiness_details.sql \
	sql/cache.sql \
	sql/privacy.sql \
	sql/sync_api.sql \
	sql/worker_api.sql \
	sql/event_api.sql \
	sql/replay.sql \
	sql/gateway.sql \
	sql/pull_api.sql \
	sql/push_api.sql \
	sql/sync_state.sql \
	sql/views.sql \
	sql/check_server.sql \
	sql/check_rights.sql \
	sql/check_objects.sql \
	sql/check.sql \
	sql/isolation_check.sql \
	sql/dump.sql \
	sql/installed.sql \
	sql/privileges.sql

DATA_built = $(EXTENSION)--$(EXTVERSION).sql
EXTRA_CLEAN = $(EXTENSION)--$(EXTVERSION).sql

PG_CFLAGS = -Wall -Wextra -Wno-unused-parameter -Wno-missing-field-initializers -std=gnu11

REGRESS = $(sort $(notdir $(basename $(wildcard test/sql/*.sql))))
REGRESS_OPTS = --inputdir=test --load-extension=pgtap
ISOLATION = $(sort $(notdir $(basename $(wildcard test/isolation/specs/*.spec))))
ISOLATION_OPTS = --inputdir=test/isolation --outputdir=.
TAP_TESTS = 1
PROVE_TESTS = test/tap/*.pl

PG_CONFIG ?= pg_config
PGXS := $(shell $(PG_CONFIG) --pgxs 2>/dev/null)

all: $(EXTENSION)--$(EXTVERSION).sql worker

# The second library has a Makefile of its own: PGXS builds one module a Makefile.
.PHONY: worker demo demo-stop test bench fuzz
worker:
	$(MAKE) -C worker PG_CONFIG=$(PG_CONFIG)

$(EXTENSION)--$(EXTVERSION).sql: $(SQL_PARTS)
	cat $^ > $@

demo test bench fuzz:
	@test/setup/install-packages $@
	@test/setup/$(if $(filter test,$@),run-tests,$@)

demo-stop:
	@test/setup/demo-stop

ifneq ($(PGXS),)
install: install-worker
clean: clean-worker
uninstall: uninstall-worker
.PHONY: install-worker clean-worker uninstall-worker
install-worker clean-worker uninstall-worker: %-worker:
	$(MAKE) -C worker $* PG_CONFIG=$(PG_CONFIG)
# With make -j both would write the same library at once.
install-worker: worker
include $(PGXS)

# Every object is rebuilt when a header changes: the folder is small.
$(OBJS): $(wildcard src/*.h)
endif
