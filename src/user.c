/*
 * user.c
 *		People: reading a user document, finding whom it means, and storing what is new.
 *
 * A document is matched by our id, then MindTickle's id, then the identity provider's id, then the e-mail without regard to case; a match by
 * one of the latter links the ids, and what had come under MindTickle's id until then is put under ours in the same transaction. A key that is
 * absent leaves its column as it is, null clears it. Nothing is written where nothing changes.
 *
 * Called by the SQL functions below, by pull_store.c and the files of SCIM.
 */
#include "user.h"

#include "access.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "event.h"
#include "miscadmin.h"
#include "plan.h"
#include "progress.h"
#include "push.h"
#include "service_call.h"
#include "storage/lmgr.h"
#include "tenant_table.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/fmgrprotos.h"
#include "utils/formatting.h"
#include "utils/snapmgr.h"

/* Locks of a kind in each tenant: few, so that a transaction that brings a whole staff does not fill the lock table. */
#define KEY_LOCKS		256
/* The kinds, in the order in which they are taken. */
#define LOCK_EXTERNAL_ID	0
#define LOCK_EMAIL		1
#define LOCK_USER_NAME	2
#define LOCK_ID			3

static const char *const roles[] = {"rep", "manager", "admin", NULL};

PG_FUNCTION_INFO_V1(mt_provision_user);
PG_FUNCTION_INFO_V1(mt_deactivate_user);

/*
 * What a document leaves of the attributes: all that it does not name where they are laid over those that are there, and what the identity provider
 * gave where they take their place.
 */
#define NEW_ATTRIBUTES \
	"CASE WHEN $3 & 16384 <> 0 THEN u.attributes || coalesce($17, '{}') " \
	"WHEN u.attributes ? 'scim' THEN coalesce($17, '{}') || jsonb_build_object('scim', u.attributes -> 'scim') " \
	"ELSE coalesce($17, '{}') END"

/* Whom the identity provider has deleted nobody brings back. */
#define NEW_ACTIVE	"coalesce($10, true) AND u.deleted_at IS NULL"

#define DIFFERS(bit, parameter, column) "($3 & " bit " <> 0 AND u." column " IS DISTINCT FROM " parameter ")"
#define MERGED(bit, parameter, column) column " = CASE WHEN $3 & " bit " <> 0 THEN " parameter " ELSE u." column " END"

StaticAssertDecl(MT_USER_ADDS_ATTRIBUTES == 16384 && MT_USER_NEW_TO_PROVIDER == 32768, "the statements know the bits");

/* What is told of a change, and whether it goes on to MindTickle. */
#define PAYLOAD(operation)	"jsonb_build_object('tenantId', $1, 'operation', " operation ", 'user', mindtickle.user_as_json(u))"
#define PUSHES	"EXISTS (SELECT FROM mindtickle.tenant AS t WHERE t.tenant_id = $1 AND t.settings -> 'push_users' = 'true')"

/* $1 tenant, $2 user, $3 columns given, $4 to $17 the columns. The first two results of this and the insertion are alike. */
static MtPlan update = {
	"UPDATE mindtickle.users AS u SET "
	MERGED("1", "$4", "mindtickle_id") ", "
	MERGED("2", "$5", "scim_external_id") ", "
	MERGED("4", "$6", "user_name") ", "
	MERGED("8", "$7", "email") ", "
	MERGED("16", "$8", "name") ", "
	MERGED("32", "coalesce($9, 'rep')", "role") ", "
	MERGED("64", NEW_ACTIVE, "active") ", "
	MERGED("128", "$11", "title") ", "
	MERGED("256", "$12", "department") ", "
	MERGED("512", "$13", "location") ", "
	MERGED("1024", "$14", "hired_at") ", "
	MERGED("2048", "$15", "manager_id") ", "
	MERGED("4096", "$16", "manager_email") ", "
	MERGED("8192", NEW_ATTRIBUTES, "attributes") ", "
	"version = u.version + 1, updated_at = now() "
	"FROM mindtickle.users AS o "
	"WHERE u.tenant_id = $1 AND u.user_id = $2 AND o.tenant_id = $1 AND o.user_id = $2 AND ($3 & 32768 = 0 OR u.user_name IS NULL) AND ("
	DIFFERS("1", "$4", "mindtickle_id") " OR "
	DIFFERS("2", "$5", "scim_external_id") " OR "
	DIFFERS("4", "$6", "user_name") " OR "
	DIFFERS("8", "$7", "email") " OR "
	DIFFERS("16", "$8", "name") " OR "
	DIFFERS("32", "coalesce($9, 'rep')", "role") " OR "
	DIFFERS("64", "(" NEW_ACTIVE ")", "active") " OR "
	DIFFERS("128", "$11", "title") " OR "
	DIFFERS("256", "$12", "department") " OR "
	DIFFERS("512", "$13", "location") " OR "
	DIFFERS("1024", "$14", "hired_at") " OR "
	DIFFERS("2048", "$15", "manager_id") " OR "
	DIFFERS("4096", "$16", "manager_email") " OR "
	DIFFERS("8192", NEW_ATTRIBUTES, "attributes") ") "
	"RETURNING " PAYLOAD("CASE WHEN o.active AND NOT u.active THEN 'DELETE' ELSE 'UPDATE' END") ", " PUSHES ", "
	"u.mindtickle_id IS DISTINCT FROM o.mindtickle_id, u.scim_external_id IS DISTINCT FROM o.scim_external_id",
	17, {TEXTOID, TEXTOID, INT4OID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, BOOLOID, TEXTOID, TEXTOID, TEXTOID,
	TIMESTAMPTZOID, TEXTOID, TEXTOID, JSONBOID}
};

/*
 * $1 tenant, $2 user or null, $4 to $17 the columns; $3 as in the update, so that both take the same values. Where another user has the id that
 * MindTickle gives this one, he gets one of his own.
 */
static MtPlan insert = {
	"INSERT INTO mindtickle.users AS u (tenant_id, user_id, mindtickle_id, scim_external_id, user_name, email, name, role, active, "
	"title, department, location, hired_at, manager_id, manager_email, attributes) "
	"SELECT $1, coalesce($2, CASE WHEN NOT EXISTS (SELECT FROM mindtickle.users AS h WHERE h.tenant_id = $1 AND h.user_id = $4) THEN $4 END, "
	"gen_random_uuid()::text), $4, $5, $6, $7, $8, coalesce($9, 'rep'), coalesce($10, true), "
	"$11, $12, $13, $14, $15, $16, coalesce($17, '{}') WHERE $3 IS NOT NULL "
	"ON CONFLICT DO NOTHING RETURNING " PAYLOAD("'CREATE'") ", " PUSHES ", u.user_id, u.version, u.created_at",
	17, {TEXTOID, TEXTOID, INT4OID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, BOOLOID, TEXTOID, TEXTOID, TEXTOID,
	TIMESTAMPTZOID, TEXTOID, TEXTOID, JSONBOID}
};

static Datum
copy_text(Datum value)
{
	return PointerGetDatum(PG_DETOAST_DATUM_COPY(value));
}

/* A column of the first row of the last statement. */
static Datum
result_column(int number)
{
	bool		isnull;

	return SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, number, &isnull);
}

/* The first one, copied. */
static Datum
first_text(void)
{
	return copy_text(result_column(1));
}

/*
 * Takes one of a tenant's few locks that stand for keys, until the transaction ends; kind keeps keys of different kinds apart. What pg_locks shows of
 * it tells neither tenant nor key to one who tries them, nor do the locks of another tenant for the same key.
 */
static void
lock_key(const char *tenant, const char *key, uint16 kind, LOCKMODE mode)
{
	uint64		tenant_hash = mt_lock_hash(tenant);
	uint16		bucket = (uint16) (hash_bytes_extended((const unsigned char *) key, (int) strlen(key), tenant_hash) % KEY_LOCKS);

	LockDatabaseObject(mt_relation("users"), (Oid) tenant_hash, kind * KEY_LOCKS + bucket, mode);
}

/*
 * Our id of the user that an id from outside means: ours, else MindTickle's, else the identity provider's. The id itself where no user is known
 * yet; then the id cannot be linked to a user until the transaction ends, and what is written under it is found when it is. Both are text
 * datums; within mt_service_enter/leave.
 */
Datum
mt_user_resolve(const char *tenant, Datum id)
{
	static MtPlan by_user_id = {
		"SELECT user_id FROM mindtickle.users WHERE tenant_id = $1 AND user_id = $2 AND deleted_at IS NULL",
		2, {TEXTOID, TEXTOID}
	};
	/* A deleted user only where there is no other. */
	static MtPlan by_other_id = {
		"SELECT found.user_id FROM ("
		"SELECT user_id, deleted_at, 1 AS rank FROM mindtickle.users WHERE tenant_id = $1 AND user_id = $2 UNION ALL "
		"SELECT user_id, deleted_at, 2 FROM mindtickle.users WHERE tenant_id = $1 AND mindtickle_id = $2 UNION ALL "
		"SELECT user_id, deleted_at, 3 FROM mindtickle.users WHERE tenant_id = $1 AND scim_external_id = $2) AS found "
		"ORDER BY found.deleted_at IS NOT NULL, found.rank, found.deleted_at DESC, found.user_id LIMIT 1",
		2, {TEXTOID, TEXTOID}
	};
	Datum		values[2] = {CStringGetTextDatum(tenant), id};

	for (int round = 0; round < 2; round++)
	{
		if (mt_plan_run(&by_user_id, values, NULL, SPI_OK_SELECT) > 0 ||
			mt_plan_run(&by_other_id, values, NULL, SPI_OK_SELECT) > 0)
			return first_text();
		if (round == 0)
			lock_key(tenant, TextDatumGetCString(id), LOCK_ID, AccessShareLock);
	}
	return id;
}

/*
 * The same for an id that MindTickle gives: its own goes first, as another user may have been given the same one here.
 */
Datum
mt_user_resolve_pulled(const char *tenant, Datum id)
{
	static MtPlan by_mindtickle_id = {
		"SELECT user_id FROM mindtickle.users WHERE tenant_id = $1 AND mindtickle_id = $2", 2, {TEXTOID, TEXTOID}
	};
	Datum		values[2] = {CStringGetTextDatum(tenant), id};

	if (mt_plan_run(&by_mindtickle_id, values, NULL, SPI_OK_SELECT) > 0)
		return first_text();
	return mt_user_resolve(tenant, id);
}

static void
note(MtUser *user, MtUserColumn column, MtPresence presence)
{
	user->nulls[column] = presence != MT_FIELD_SET;
	if (presence != MT_FIELD_ABSENT)
		user->given |= 1u << column;
}

/*
 * Reads a user document. False where it has a fault.
 */
bool
mt_user_read(MtFields *fields, MtUser *user)
{
	Datum	   *values = user->values;
	JsonbValue	attributes;
	MtPresence	presence;

	memset(user, 0, sizeof(MtUser));
	(void) mt_field_id(fields, "userId", false, &user->user_id);
	note(user, MT_USER_MINDTICKLE_ID, mt_field_id(fields, "mindtickleId", false, &values[MT_USER_MINDTICKLE_ID]));
	note(user, MT_USER_SCIM_EXTERNAL_ID, mt_field_id(fields, "scimExternalId", false, &values[MT_USER_SCIM_EXTERNAL_ID]));
	note(user, MT_USER_USER_NAME, mt_field_text(fields, "userName", MT_ADDRESS_MAX, &values[MT_USER_USER_NAME]));
	note(user, MT_USER_EMAIL, mt_field_text(fields, "email", MT_ADDRESS_MAX, &values[MT_USER_EMAIL]));
	note(user, MT_USER_NAME, mt_field_text(fields, "name", MT_TEXT_MAX, &values[MT_USER_NAME]));
	note(user, MT_USER_ROLE, mt_field_word(fields, "role", roles, &values[MT_USER_ROLE]));
	note(user, MT_USER_ACTIVE, mt_field_boolean(fields, "active", &values[MT_USER_ACTIVE]));
	note(user, MT_USER_TITLE, mt_field_text(fields, "title", MT_TEXT_MAX, &values[MT_USER_TITLE]));
	note(user, MT_USER_DEPARTMENT, mt_field_text(fields, "department", MT_TEXT_MAX, &values[MT_USER_DEPARTMENT]));
	note(user, MT_USER_LOCATION, mt_field_text(fields, "location", MT_TEXT_MAX, &values[MT_USER_LOCATION]));
	note(user, MT_USER_HIRED_AT, mt_field_timestamp(fields, "hiredAt", &values[MT_USER_HIRED_AT]));
	note(user, MT_USER_MANAGER_ID, mt_field_id(fields, "managerId", false, &values[MT_USER_MANAGER_ID]));
	note(user, MT_USER_MANAGER_EMAIL, mt_field_text(fields, "managerEmail", MT_ADDRESS_MAX, &values[MT_USER_MANAGER_EMAIL]));
	presence = mt_field_container(fields, "attributes", false, &attributes);
	note(user, MT_USER_ATTRIBUTES, presence);
	/* Under "scim" stands what the identity provider sent, whoever else writes the user. */
	if (presence == MT_FIELD_SET)
		values[MT_USER_ATTRIBUTES] = DirectFunctionCall2(jsonb_delete, JsonbPGetDatum(JsonbValueToJsonb(&attributes)),
														 CStringGetTextDatum("scim"));
	return !mt_faulty(fields->fault);
}

/*
 * Whom a document means: true, with our id, where there is such a user; *links is then whether it gives an id of the identity provider's that is new
 * to him.
 */
static bool
find_user(const char *tenant, const MtUser *user, Datum *user_id, bool *links)
{
	static MtPlan find = {
		"SELECT found.user_id, $4 IS NOT NULL AND found.scim_external_id IS DISTINCT FROM $4 FROM ("
		"SELECT user_id, scim_external_id, 1 AS rank FROM mindtickle.users WHERE tenant_id = $1 AND user_id = $2 UNION ALL "
		"SELECT user_id, scim_external_id, 2 FROM mindtickle.users WHERE tenant_id = $1 AND mindtickle_id = $3 UNION ALL "
		"SELECT user_id, scim_external_id, 3 FROM mindtickle.users WHERE tenant_id = $1 AND scim_external_id = $4 AND deleted_at IS NULL "
		"AND (mindtickle_id = $3) IS NOT FALSE AND (user_name IS NULL OR NOT $6) UNION ALL "
		"SELECT user_id, scim_external_id, 4 FROM mindtickle.users WHERE tenant_id = $1 AND email_key = lower($5) AND deleted_at IS NULL "
		"AND (mindtickle_id = $3) IS NOT FALSE AND (scim_external_id = $4) IS NOT FALSE AND (user_name IS NULL OR NOT $6)) AS found "
		"ORDER BY found.rank, found.user_id LIMIT 1",
		6, {TEXTOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, BOOLOID}
	};
	Datum		values[6] = {CStringGetTextDatum(tenant), user->user_id, user->values[MT_USER_MINDTICKLE_ID],
	user->values[MT_USER_SCIM_EXTERNAL_ID], user->values[MT_USER_EMAIL], BoolGetDatum((user->given & MT_USER_NEW_TO_PROVIDER) != 0)};
	char		nulls[6] = {' ', ' ', ' ', ' ', ' ', ' '};

	if (user->user_id == (Datum) 0)
		nulls[1] = 'n';
	if (user->nulls[MT_USER_MINDTICKLE_ID])
		nulls[2] = 'n';
	if (user->nulls[MT_USER_SCIM_EXTERNAL_ID])
		nulls[3] = 'n';
	if (user->nulls[MT_USER_EMAIL])
		nulls[4] = 'n';
	if (mt_plan_run(&find, values, nulls, SPI_OK_SELECT) == 0)
		return false;
	*user_id = first_text();
	*links = DatumGetBool(result_column(2)) && (user->given & (1u << MT_USER_SCIM_EXTERNAL_ID)) != 0;
	return true;
}

/* How far a row of progress is, and when. */
#define FAR(row) "array_position('{not_started,in_progress,completed}', " row ".status), coalesce(" MT_PROGRESS_MOMENT(row) ", '-infinity')"

/*
 * Puts what had come under another id of a user under ours, now that both are known to be one. Waits for those who are writing under it; those
 * who come later find the link. What stands under another user's own id stays there. Of two rows of a course that one counts which is further, then the
 * later one: a completed course does not go back by a link.
 */
static void
rekey_user(const char *tenant, Datum user_id, Datum other_id)
{
	static MtPlan progress = {
		"WITH moved AS (DELETE FROM mindtickle.course_progress AS p WHERE p.tenant_id = $1 AND p.user_id = $3 "
		"AND NOT EXISTS (SELECT FROM mindtickle.users AS u WHERE u.tenant_id = $1 AND u.user_id = $3) RETURNING p.*) "
		"INSERT INTO mindtickle.course_progress AS p (tenant_id, user_id, course_id, status, score, completed_at, invited_at, started_at, "
		"due_at, is_overdue, has_failed, percent_completed, max_score, updated_at, synced_at) "
		"SELECT tenant_id, $2, course_id, status, score, completed_at, invited_at, started_at, due_at, is_overdue, has_failed, "
		"percent_completed, max_score, updated_at, synced_at FROM moved "
		"ON CONFLICT (tenant_id, user_id, course_id) DO UPDATE SET status = excluded.status, score = excluded.score, "
		"completed_at = excluded.completed_at, invited_at = excluded.invited_at, started_at = excluded.started_at, "
		"due_at = excluded.due_at, is_overdue = excluded.is_overdue, has_failed = excluded.has_failed, "
		"percent_completed = excluded.percent_completed, max_score = excluded.max_score, updated_at = excluded.updated_at, "
		"synced_at = excluded.synced_at WHERE (" FAR("excluded") ") > (" FAR("p") ")",
		3, {TEXTOID, TEXTOID, TEXTOID}
	};
	static MtPlan submissions = {
		"WITH moved AS (DELETE FROM mindtickle.quiz_submission AS s WHERE s.tenant_id = $1 AND s.user_id = $3 "
		"AND NOT EXISTS (SELECT FROM mindtickle.users AS u WHERE u.tenant_id = $1 AND u.user_id = $3) RETURNING s.*) "
		"INSERT INTO mindtickle.quiz_submission (tenant_id, user_id, course_id, quiz_id, submitted_at, answers, score, computed_score, "
		"attempt, passed, max_score, raw_score, source, received_at) "
		"SELECT tenant_id, $2, course_id, quiz_id, submitted_at, answers, score, computed_score, attempt, passed, max_score, raw_score, "
		"source, received_at FROM moved ON CONFLICT DO NOTHING",
		3, {TEXTOID, TEXTOID, TEXTOID}
	};
	static MtPlan there = {
		"SELECT EXISTS (SELECT FROM mindtickle.course_progress WHERE tenant_id = $1 AND user_id = $2), "
		"EXISTS (SELECT FROM mindtickle.quiz_submission WHERE tenant_id = $1 AND user_id = $2)",
		2, {TEXTOID, TEXTOID}
	};
	Datum		values[3] = {CStringGetTextDatum(tenant), user_id, other_id};
	Datum		keys[2] = {values[0], other_id};
	bool		has_submissions;

	if (strcmp(TextDatumGetCString(user_id), TextDatumGetCString(other_id)) == 0)
		return;
	lock_key(tenant, TextDatumGetCString(other_id), LOCK_ID, AccessExclusiveLock);
	/* Most have nothing, and to look is cheaper than to move nothing. */
	mt_plan_run(&there, keys, NULL, SPI_OK_SELECT);
	has_submissions = DatumGetBool(result_column(2));
	if (DatumGetBool(result_column(1)))
		mt_plan_run(&progress, values, NULL, SPI_OK_INSERT);
	if (has_submissions)
		mt_plan_run(&submissions, values, NULL, SPI_OK_INSERT);
}

static void
emit_user_changed(const char *tenant, Datum user_id, Datum operation)
{
	static MtPlan payload = {
		"SELECT " PAYLOAD("$3") " FROM mindtickle.users AS u WHERE u.tenant_id = $1 AND u.user_id = $2", 3, {TEXTOID, TEXTOID, TEXTOID}
	};
	Datum		values[3] = {CStringGetTextDatum(tenant), user_id, operation};

	if (mt_plan_run(&payload, values, NULL, SPI_OK_SELECT) > 0)
		mt_emit_event(tenant, "user_changed", result_column(1));
}

/* What follows from a user's having been written; the results are those of the statement. */
static void
tell_change(const char *tenant, const MtUser *user, Datum user_id, bool new_mindtickle_id, bool new_external_id)
{
	bool		pushes = DatumGetBool(result_column(2)) && !user->pulled;

	mt_emit_event(tenant, "user_changed", result_column(1));
	if (pushes)
		mt_push_user(tenant, user_id);
	if (new_mindtickle_id && !user->nulls[MT_USER_MINDTICKLE_ID])
		rekey_user(tenant, user_id, user->values[MT_USER_MINDTICKLE_ID]);
	if (new_external_id && !user->nulls[MT_USER_SCIM_EXTERNAL_ID])
		rekey_user(tenant, user_id, user->values[MT_USER_SCIM_EXTERNAL_ID]);
}

/* A text as lower() in a statement gives it. */
static char *
folded(Datum value)
{
	text	   *bytes = DatumGetTextPP(value);

	return str_tolower(VARDATA_ANY(bytes), VARSIZE_ANY_EXHDR(bytes), DEFAULT_COLLATION_OID);
}

/*
 * Keeps others from writing a user with this e-mail (it identifies a user but is not unique), or with this user name, until the transaction ends.
 */
static void
lock_folded(const char *tenant, Datum key, uint16 kind)
{
	lock_key(tenant, folded(key), kind, ExclusiveLock);
}

/*
 * Until the transaction ends: ExclusiveLock keeps everybody else from making people of the tenant or linking them. For who does that with many, as
 * nobody can take the locks on the keys of many in an order that goes with all others'. ShareLock is for who does it with one, and taken by the
 * functions below. Before any other lock here, and before rows of users are locked.
 */
void
mt_lock_people(const char *tenant, LOCKMODE mode)
{
	/* Not under an index of users: REINDEX CONCURRENTLY gives it another oid. */
	LockDatabaseObject(mt_relation("user_address"), (Oid) mt_lock_hash(tenant), 0, mode);
}

/*
 * Keeps others from making a user of the same keys, none of which needs to be unique, or from linking one to the same id of the identity provider's,
 * until the transaction ends: who comes second finds the first. Everybody takes these locks in this order, and before any lock on an id
 * (mt_user_resolve) and on the row of the user: who knows him by our id, too (mt_user_lock_change).
 */
void
mt_user_lock_keys(const char *tenant, const MtUser *user)
{
	mt_lock_people(tenant, ShareLock);
	if (!user->nulls[MT_USER_SCIM_EXTERNAL_ID])
		lock_key(tenant, TextDatumGetCString(user->values[MT_USER_SCIM_EXTERNAL_ID]), LOCK_EXTERNAL_ID, ExclusiveLock);
	if (!user->nulls[MT_USER_EMAIL])
		lock_folded(tenant, user->values[MT_USER_EMAIL], LOCK_EMAIL);
	if (!user->nulls[MT_USER_USER_NAME])
		lock_folded(tenant, user->values[MT_USER_USER_NAME], LOCK_USER_NAME);
}

/*
 * Takes the locks on keys that mt_user_store will need for a user who is known by our id, so that his row can be locked.
 */
void
mt_user_lock_change(const char *tenant, const MtUser *user)
{
	if (user->nulls[MT_USER_SCIM_EXTERNAL_ID] && user->nulls[MT_USER_USER_NAME])
		mt_lock_people(tenant, ShareLock);
	else
		mt_user_lock_keys(tenant, user);
}

/*
 * True when the user name or MindTickle id that a document gives is another user's. values and nulls are those of the statements that write. A name
 * that is new to the user stays free for him until the transaction ends: an update that met another's new row in the unique index would be an error.
 */
static bool
key_taken(const char *tenant, Datum *values, const char *nulls)
{
	static MtPlan taken = {
		"SELECT EXISTS (SELECT FROM mindtickle.users WHERE tenant_id = $1 AND user_id IS DISTINCT FROM $2 AND mindtickle_id = $3) "
		"OR EXISTS (SELECT FROM mindtickle.users WHERE tenant_id = $1 AND user_id IS DISTINCT FROM $2 AND user_name_key = lower($4) "
		"AND deleted_at IS NULL), "
		"EXISTS (SELECT FROM mindtickle.users WHERE tenant_id = $1 AND user_id = $2 AND user_name_key = lower($4))",
		4, {TEXTOID, TEXTOID, TEXTOID, TEXTOID}
	};
	Datum		keys[4] = {values[0], values[1], values[3 + MT_USER_MINDTICKLE_ID], values[3 + MT_USER_USER_NAME]};
	char		absent[4] = {' ', nulls[1], nulls[3 + MT_USER_MINDTICKLE_ID], nulls[3 + MT_USER_USER_NAME]};

	if (absent[2] == 'n' && absent[3] == 'n')
		return false;
	for (bool locked = false;; locked = true)
	{
		bool		isnull;

		mt_plan_run(&taken, keys, absent, SPI_OK_SELECT);
		if (DatumGetBool(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull)))
			return true;
		if (locked || absent[3] == 'n' || DatumGetBool(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 2, &isnull)))
			return false;
		lock_folded(tenant, keys[3], LOCK_USER_NAME);
	}
}

/* The parameters of the statements that write a user. values and nulls have 3 + MT_USER_COLUMNS places; $2 is the user's id where he has one already. */
static void
bind_user(const char *tenant, const MtUser *user, Datum *values, char *nulls)
{
	memset(nulls, ' ', 3 + MT_USER_COLUMNS);
	values[0] = CStringGetTextDatum(tenant);
	values[1] = user->user_id;
	nulls[1] = user->user_id == (Datum) 0 ? 'n' : ' ';
	values[2] = Int32GetDatum((int32) user->given);
	for (int column = 0; column < MT_USER_COLUMNS; column++)
	{
		values[3 + column] = user->values[column];
		if (user->nulls[column])
			nulls[3 + column] = 'n';
	}
}

/* True where an index of a table has a row of the tenant with this key. */
static bool
key_known(MtTenantTable *table, const char *tenant, Datum key, Snapshot snapshot)
{
	MtTenantScan scan;
	ScanKeyData scan_key;
	bool		found;

	mt_tenant_key(&scan_key, 2, BTEqualStrategyNumber, F_TEXTEQ, key);
	mt_tenant_scan_open(&scan, table, tenant, snapshot, 1);
	mt_tenant_scan_start(&scan, &scan_key, 1);
	found = mt_tenant_scan_next(&scan, ForwardScanDirection);
	mt_tenant_scan_close(&scan);
	return found;
}

/*
 * True where no user of the tenant, be he deleted, has the identity provider's id or the e-mail of this one, and nothing has come under the id. Both
 * are locked until the transaction ends.
 */
static bool
is_stranger(const char *tenant, const MtUser *user)
{
	static MtTenantTable by_external_id = {{"users"}, "users_scim_external_id_idx"};
	static MtTenantTable by_email = {{"users"}, "users_email_key_idx"};
	static MtTenantTable progress = {.table = {"course_progress"}};
	static MtTenantTable submissions = {.table = {"quiz_submission"}};
	Datum		external_id = user->values[MT_USER_SCIM_EXTERNAL_ID];
	Snapshot	snapshot;
	bool		known = false;

	mt_user_lock_keys(tenant, user);
	/* Who is writing under the id is waited for, as in rekey_user. */
	if (!user->nulls[MT_USER_SCIM_EXTERNAL_ID])
		lock_key(tenant, TextDatumGetCString(external_id), LOCK_ID, AccessExclusiveLock);

	snapshot = RegisterSnapshot(GetTransactionSnapshot());
	if (!user->nulls[MT_USER_SCIM_EXTERNAL_ID])
		known = key_known(&by_external_id, tenant, external_id, snapshot) || key_known(&progress, tenant, external_id, snapshot) ||
			key_known(&submissions, tenant, external_id, snapshot);
	if (!known && !user->nulls[MT_USER_EMAIL])
		known = key_known(&by_email, tenant, PointerGetDatum(cstring_to_text(folded(user->values[MT_USER_EMAIL]))), snapshot);
	UnregisterSnapshot(snapshot);
	return !known;
}

/*
 * Stores a user who is new to the identity provider, under the id that he is given, if nobody and nothing here can be his: that is by far the most
 * frequent case, and takes one statement. False where mt_user_store must find out who he is, or that his name is taken: then nothing is written. Within
 * mt_service_enter/leave.
 */
bool
mt_user_store_stranger(const char *tenant, const MtUser *user, int64 *version, TimestampTz *created_at)
{
	Datum		values[3 + MT_USER_COLUMNS];
	char		nulls[3 + MT_USER_COLUMNS];

	bind_user(tenant, user, values, nulls);
	if (!is_stranger(tenant, user) || mt_plan_run(&insert, values, nulls, SPI_OK_INSERT_RETURNING) == 0)
		return false;
	*version = DatumGetInt64(result_column(4));
	*created_at = DatumGetTimestampTz(result_column(5));
	tell_change(tenant, user, user->user_id, false, false);
	return true;
}

/*
 * Stores a user. *user_id is then our id of him, as a text datum. It is looked up again under the locks whom the document means before anybody is
 * made or linked, and as often as what others commit meanwhile makes it another answer. Within mt_service_enter/leave.
 */
MtUserOutcome
mt_user_store(const char *tenant, MtUser *user, Datum *user_id)
{
	Datum		values[3 + MT_USER_COLUMNS];
	char		nulls[3 + MT_USER_COLUMNS];
	bool		locked = (user->given & MT_USER_NEW_TO_PROVIDER) != 0;
	bool		taken = false;

	bind_user(tenant, user, values, nulls);

	/* Who is most likely not there yet is looked up once. */
	if (locked)
		mt_user_lock_keys(tenant, user);
	else
		mt_lock_people(tenant, ShareLock);
	for (;;)
	{
		bool		links;

		CHECK_FOR_INTERRUPTS();
		if (find_user(tenant, user, user_id, &links))
		{
			if (links && !locked)
			{
				mt_user_lock_keys(tenant, user);
				locked = true;
				continue;
			}
			values[1] = *user_id;
			nulls[1] = ' ';
			/* What waits to be pushed is newer; the pull only says who he is there. */
			if (user->pulled && mt_push_pending(tenant, *user_id))
				values[2] = Int32GetDatum((int32) (user->given & (1u << MT_USER_MINDTICKLE_ID)));
			if (key_taken(tenant, values, nulls))
				return MT_USER_KEY_TAKEN;
			if (mt_plan_run(&update, values, nulls, SPI_OK_UPDATE_RETURNING) == 0)
			{
				/* Another one has just given this user a name. */
				if (user->given & MT_USER_NEW_TO_PROVIDER)
					continue;
				return MT_USER_UNCHANGED;
			}
			tell_change(tenant, user, *user_id, DatumGetBool(result_column(3)), DatumGetBool(result_column(4)));
			return MT_USER_CHANGED;
		}
		if (taken)
			return MT_USER_KEY_TAKEN;
		if (!locked)
		{
			mt_user_lock_keys(tenant, user);
			locked = true;
			continue;
		}
		values[1] = user->user_id;
		nulls[1] = user->user_id == (Datum) 0 ? 'n' : ' ';
		if (mt_plan_run(&insert, values, nulls, SPI_OK_INSERT_RETURNING) > 0)
		{
			*user_id = copy_text(result_column(3));
			tell_change(tenant, user, *user_id, true, true);
			return MT_USER_CHANGED;
		}
		/* One of the keys is there: his own by now, which is found, or another's. */
		taken = key_taken(tenant, values, nulls);
	}
}

/*
 * Marks a user as deleted by the identity provider, and takes him out of his teams; his history stays. Nobody joins a team meanwhile (the caller
 * holds mt_lock_members exclusively) and he is locked. Within mt_service_enter/leave.
 */
void
mt_user_delete(const char *tenant, Datum user_id)
{
	static MtPlan leave_teams = {
		"WITH gone AS (DELETE FROM mindtickle.team_member WHERE tenant_id = $1 AND user_id = $2 RETURNING team_id) "
		"UPDATE mindtickle.team AS t SET version = t.version + 1, updated_at = now() FROM gone WHERE t.tenant_id = $1 AND t.team_id = gone.team_id",
		2, {TEXTOID, TEXTOID}
	};
	static MtPlan mark = {
		"UPDATE mindtickle.users SET active = false, deleted_at = now(), version = version + 1, updated_at = now() "
		"WHERE tenant_id = $1 AND user_id = $2",
		2, {TEXTOID, TEXTOID}
	};
	Datum		values[2] = {CStringGetTextDatum(tenant), user_id};

	mt_plan_run(&leave_teams, values, NULL, SPI_OK_UPDATE);
	mt_plan_run(&mark, values, NULL, SPI_OK_UPDATE);
	emit_user_changed(tenant, user_id, CStringGetTextDatum("DELETE"));
	mt_push_user(tenant, user_id);
}

/*
 * Whom a document means: true, with our id as a text datum, where there is such a user. Within mt_service_enter/leave.
 */
bool
mt_user_find(const char *tenant, const MtUser *user, Datum *user_id)
{
	bool		links;

	return find_user(tenant, user, user_id, &links);
}

/*
 * The error for MT_USER_KEY_TAKEN.
 */
void
mt_raise_user_key_taken(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_UNIQUE_VIOLATION),
			 errmsg("userName or mindtickleId is another user's")));
}

/*
 * mt_provision_user(tenant, user jsonb) -> text: creates or updates a user, returns our id.
 */
Datum
mt_provision_user(PG_FUNCTION_ARGS)
{
	char	   *tenant = text_to_cstring(PG_GETARG_TEXT_PP(0));
	MtServiceCall call;
	MtFault		fault = {0};
	MtFields	fields;
	MtUser		user;
	Datum		user_id;

	mt_service_enter(&call, fcinfo, tenant, MT_ACCESS_WRITER, true);
	if (!mt_fields_open_document(&fields, PG_GETARG_JSONB_P(1), &fault) || !mt_user_read(&fields, &user))
		mt_raise_fault(&fault);
	if (user.user_id == (Datum) 0 && user.nulls[MT_USER_MINDTICKLE_ID] && user.nulls[MT_USER_SCIM_EXTERNAL_ID] && user.nulls[MT_USER_EMAIL])
	{
		mt_fault(&fields, NULL, "must have a userId, mindtickleId, scimExternalId or email");
		mt_raise_fault(&fault);
	}
	if (mt_user_store(tenant, &user, &user_id) == MT_USER_KEY_TAKEN)
		mt_raise_user_key_taken();
	MemoryContextSwitchTo(call.context);
	user_id = copy_text(user_id);
	mt_service_leave(&call);
	PG_RETURN_DATUM(user_id);
}

/*
 * mt_deactivate_user(tenant, user_id) -> boolean: true when he was active. ERROR P0002 where there is no such user.
 */
Datum
mt_deactivate_user(PG_FUNCTION_ARGS)
{
	static MtPlan deactivate = {
		"UPDATE mindtickle.users SET active = false, version = version + 1, updated_at = now() "
		"WHERE tenant_id = $1 AND user_id = $2 AND active",
		2, {TEXTOID, TEXTOID}
	};
	static MtPlan exists = {
		"SELECT FROM mindtickle.users WHERE tenant_id = $1 AND user_id = $2", 2, {TEXTOID, TEXTOID}
	};
	char	   *tenant = text_to_cstring(PG_GETARG_TEXT_PP(0));
	text	   *id = PG_GETARG_TEXT_PP(1);
	MtServiceCall call;
	Datum		values[2];
	bool		changed;

	mt_service_enter(&call, fcinfo, tenant, MT_ACCESS_WRITER, true);
	mt_check_argument_id("user_id", id);
	values[0] = CStringGetTextDatum(tenant);
	values[1] = mt_user_resolve(tenant, PointerGetDatum(id));
	changed = mt_plan_run(&deactivate, values, NULL, SPI_OK_UPDATE) > 0;
	if (changed)
	{
		emit_user_changed(tenant, values[1], CStringGetTextDatum("DELETE"));
		mt_push_user(tenant, values[1]);
	}
	else if (mt_plan_run(&exists, values, NULL, SPI_OK_SELECT) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_NO_DATA_FOUND),
				 errmsg("there is no such user"),
				 errdetail("user_id is matched with user_id, mindtickle_id and scim_external_id of mt_users.")));
	mt_service_leave(&call);
	PG_RETURN_BOOL(changed);
}
