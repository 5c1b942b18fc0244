/*
 * push.c
 *		Queues users whose provisioning is to go on to MindTickle (push_users).
 *
 * Called by user.c, in the transaction of the change: what commits is queued, what is rolled back is not. What a pull has brought is not
 * queued, for it comes from there. A user is queued once, whatever changes until the worker has sent him. Who was deleted and comes back under his name
 * is another one here and the same one there, so the former one's deactivation must not follow. A dead letter is replayed by queueing its user: what is
 * sent is how he is then.
 */
#include "push.h"

#include "catalog/pg_type.h"
#include "plan.h"
#include "service_call.h"
#include "shared_state.h"
#include "utils/builtins.h"

PG_FUNCTION_INFO_V1(mt_replay_push);

/*
 * Queues the user if the tenant pushes, and has the worker told at commit; true when he is queued. user_id is a text datum. Within
 * mt_service_enter/leave.
 */
bool
mt_push_user(const char *tenant, Datum user_id)
{
	static MtPlan queue = {
		"INSERT INTO mindtickle.push_queue (tenant_id, user_id, version) SELECT $1, $2, u.version FROM mindtickle.users AS u "
		"WHERE u.tenant_id = $1 AND u.user_id = $2 AND EXISTS (SELECT FROM mindtickle.tenant AS t WHERE t.tenant_id = $1 "
		"AND t.settings -> 'push_users' = 'true') "
		"ON CONFLICT (tenant_id, user_id) DO UPDATE SET version = excluded.version, tries = 0, not_before = NULL, error = NULL",
		2, {TEXTOID, TEXTOID}
	};
	static MtPlan forget_former = {
		"DELETE FROM mindtickle.push_queue AS q USING mindtickle.users AS u, mindtickle.users AS f WHERE q.tenant_id = $1 AND u.tenant_id = $1 "
		"AND f.tenant_id = $1 AND u.user_id = $2 AND u.deleted_at IS NULL AND f.deleted_at IS NOT NULL AND f.user_id = q.user_id "
		"AND coalesce(nullif(f.email_key, ''), f.user_name_key) = coalesce(nullif(u.email_key, ''), u.user_name_key)",
		2, {TEXTOID, TEXTOID}
	};
	Datum		values[2] = {CStringGetTextDatum(tenant), user_id};

	if (mt_plan_run(&queue, values, NULL, SPI_OK_INSERT) == 0)
		return false;
	mt_plan_run(&forget_former, values, NULL, SPI_OK_DELETE);
	mt_mark_push(tenant);
	return true;
}

/*
 * True when a change of the user waits to be pushed, so that what a pull brings of him is older. Where the tenant pushes, the user is locked before
 * it is asked: nobody can queue him until the transaction ends.
 */
bool
mt_push_pending(const char *tenant, Datum user_id)
{
	static MtPlan lock = {
		"SELECT FROM mindtickle.users AS u WHERE u.tenant_id = $1 AND u.user_id = $2 AND EXISTS (SELECT FROM mindtickle.tenant AS t "
		"WHERE t.tenant_id = $1 AND t.settings -> 'push_users' = 'true') FOR NO KEY UPDATE OF u",
		2, {TEXTOID, TEXTOID}
	};
	static MtPlan pending = {
		"SELECT FROM mindtickle.push_queue WHERE tenant_id = $1 AND user_id = $2", 2, {TEXTOID, TEXTOID}
	};
	Datum		values[2] = {CStringGetTextDatum(tenant), user_id};

	return mt_plan_run(&lock, values, NULL, SPI_OK_SELECT) > 0 && mt_plan_run(&pending, values, NULL, SPI_OK_SELECT) > 0;
}

/*
 * mindtickle.replay_push(tenant, resource, raw) -> bool: queues the user of a dead letter once more. ERROR 55000 where he is not to be pushed, 22023
 * where the letter is of no user.
 */
Datum
mt_replay_push(PG_FUNCTION_ARGS)
{
	static const char users[] = "users/";
	char	   *tenant = text_to_cstring(PG_GETARG_TEXT_PP(0));
	char	   *resource = text_to_cstring(PG_GETARG_TEXT_PP(1));
	MtServiceCall call;

	mt_service_enter(&call, fcinfo, tenant, MT_ACCESS_OWNER, true);
	if (strncmp(resource, users, strlen(users)) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("nothing is pushed as \"%s\"", resource)));
	if (!mt_push_user(tenant, CStringGetTextDatum(resource + strlen(users))))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("user \"%s\" is not pushed", resource + strlen(users)),
				 errdetail("There is no such user any more, or the tenant's push_users is off.")));
	mt_service_leave(&call);
	PG_RETURN_BOOL(true);
}
