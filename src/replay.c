/*
 * replay.c
 *		mt_replay_dead_letter: tries once more what could not be processed.
 *
 * Each source of dead letters has a function mindtickle.replay_<source>(tenant, resource, raw) -> boolean, which does with the bytes what was to be
 * done when they came, tells whether that changed anything, and raises an error where they are still at fault; then the letter stays as it was.
 */
#include "mindtickle.h"

#include "catalog/pg_type.h"
#include "plan.h"
#include "service_call.h"
#include "utils/builtins.h"

/* A source and its statement, which is planned only when it is used. */
typedef struct ReplaySource
{
	const char *name;
	MtPlan		replay;
} ReplaySource;

#define REPLAY(name)	{name, {"SELECT mindtickle.replay_" name "($1, $2, $3)", 3, {TEXTOID, TEXTOID, BYTEAOID}}}

PG_FUNCTION_INFO_V1(mt_replay_dead_letter);

/* ERROR 0A000 for a source that nobody replays. */
static ReplaySource *
find_source(const char *name)
{
	static ReplaySource sources[] = {REPLAY("pull"), REPLAY("push"), REPLAY("http"), REPLAY("scim")};

	for (int i = 0; i < (int) lengthof(sources); i++)
		if (strcmp(sources[i].name, name) == 0)
			return &sources[i];
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("dead letters of source \"%s\" cannot be replayed", name)));
	return NULL;
}

/*
 * mt_replay_dead_letter(tenant, letter_id) -> boolean: true when that changed something. ERROR 42704 where there is no such letter, 55000 where it
 * has been replayed or is not whole, and whatever is still wrong with it.
 */
Datum
mt_replay_dead_letter(PG_FUNCTION_ARGS)
{
	static MtPlan take = {
		"SELECT source, resource, raw, replayed_at IS NOT NULL, substring(reason FROM '\\((only (?:the first [0-9]+ of [0-9]+ bytes are|what is no secret is) kept)\\)$') "
		"FROM mindtickle.dead_letter WHERE tenant_id = $1 AND letter_id = $2 FOR UPDATE",
		2, {TEXTOID, INT8OID}
	};
	static MtPlan close = {
		"UPDATE mindtickle.dead_letter SET replayed_at = clock_timestamp() WHERE tenant_id = $1 AND letter_id = $2",
		2, {TEXTOID, INT8OID}
	};
	char	   *tenant = text_to_cstring(PG_GETARG_TEXT_PP(0));
	Datum		key[2] = {PG_GETARG_DATUM(0), PG_GETARG_DATUM(1)};
	MtServiceCall call;
	Datum		letter[4];
	char	   *cut;
	Datum		values[3] = {PG_GETARG_DATUM(0)};
	ReplaySource *source;
	bool		isnull;
	bool		changed;

	mt_service_enter(&call, fcinfo, tenant, MT_ACCESS_WRITER, true);
	if (mt_plan_run(&take, key, NULL, SPI_OK_SELECT) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("there is no dead letter " INT64_FORMAT, PG_GETARG_INT64(1))));
	for (int i = 0; i < (int) lengthof(letter); i++)
		letter[i] = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, i + 1, &isnull);
	if (DatumGetBool(letter[3]))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("dead letter " INT64_FORMAT " has been replayed already", PG_GETARG_INT64(1))));
	cut = SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, lengthof(letter) + 1);
	if (cut != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("dead letter " INT64_FORMAT " cannot be replayed: %s", PG_GETARG_INT64(1), cut)));
	source = find_source(TextDatumGetCString(letter[0]));
	values[1] = letter[1];
	values[2] = letter[2];
	(void) mt_plan_run(&source->replay, values, NULL, SPI_OK_SELECT);
	changed = DatumGetBool(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull)) && !isnull;
	(void) mt_plan_run(&close, key, NULL, SPI_OK_UPDATE);
	mt_service_leave(&call);
	PG_RETURN_BOOL(changed);
}
