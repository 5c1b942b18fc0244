/*
 * scim_group.c
 *		/Groups/{id} and POST /Groups: create, read, replace, patch and delete a group. A group is a row of team, its members are rows of
 *		team_member.
 *
 * Whoever changes a group locks first the memberships of the tenant (shared: only the deletion of a user keeps others out), then the group's
 * row. Everything is decided before the first row is written. Each change that is one moves the version and is an event, team_changed.
 *
 * Called by scim_request.c and scim_bulk.c.
 */
#include "scim_group.h"

#include "catalog/pg_type.h"
#include "event.h"
#include "executor/spi.h"
#include "plan.h"
#include "scim_user.h"
#include "scim_value.h"
#include "service_call.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#define SELECT_GROUP \
	"SELECT " MT_SCIM_GROUP_COLUMNS " FROM mindtickle.team AS t WHERE t.tenant_id = $1 AND t.team_id = $2 AND " MT_SCIM_GROUP_VISIBLE

/*
 * Reads a row with MT_SCIM_GROUP_COLUMNS.
 */
void
mt_scim_group_from_row(HeapTuple row, TupleDesc descriptor, MtScimGroup *group)
{
	bool		isnull;
	Datum		external_id;

	group->id = TextDatumGetCString(SPI_getbinval(row, descriptor, 1, &isnull));
	group->object = mt_json_object();
	mt_json_set_text(group->object, "displayName", TextDatumGetCString(SPI_getbinval(row, descriptor, 2, &isnull)));
	external_id = SPI_getbinval(row, descriptor, 3, &isnull);
	if (!isnull)
		mt_json_set_text(group->object, "externalId", TextDatumGetCString(external_id));
	group->version = DatumGetInt64(SPI_getbinval(row, descriptor, 4, &isnull));
	group->created_at = DatumGetTimestampTz(SPI_getbinval(row, descriptor, 5, &isnull));
	group->updated_at = DatumGetTimestampTz(SPI_getbinval(row, descriptor, 6, &isnull));
}

/* False where there is no such group. */
static bool
read_group(const MtScimCall *call, const char *id, bool lock, MtScimGroup *group)
{
	static MtPlan plans[] = {
		{SELECT_GROUP, 2, {TEXTOID, TEXTOID}},
		{SELECT_GROUP " FOR NO KEY UPDATE OF t", 2, {TEXTOID, TEXTOID}}
	};
	Datum		values[2] = {CStringGetTextDatum(call->tenant), CStringGetTextDatum(id)};

	if (mt_plan_run(&plans[lock ? 1 : 0], values, NULL, SPI_OK_SELECT) == 0)
		return false;
	mt_scim_group_from_row(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, group);
	return true;
}

/*
 * The resource as it is answered; members is NULL where they are not wanted.
 */
MtJson *
mt_scim_group_render(const MtScimCall *call, const MtScimGroup *group, MtJson *members, const MtScimSelection *selection)
{
	MtJson	   *resource = mt_json_object();
	MtJson	   *schemas = mt_json_array();

	mt_json_append(schemas, mt_json_string(MT_SCIM_GROUP_URN));
	mt_json_set(resource, "schemas", schemas);
	mt_json_set_text(resource, "id", group->id);
	for (int i = 0; i < group->object->count; i++)
		mt_json_set(resource, group->object->keys[i], group->object->items[i]);
	if (members != NULL)
		mt_json_set(resource, "members", members);
	mt_json_set(resource, "meta", mt_scim_meta(call, MT_SCIM_GROUP, group->id, group->version, group->created_at, group->updated_at));
	mt_scim_apply_selection(selection, MT_SCIM_GROUP, resource);
	return resource;
}

/*
 * Answers with a group as the table has it now; status 204 with the version alone. changed: it has been written, so that members who are too many for
 * an answer are left out of it, where otherwise it is refused.
 */
static void
answer_with_group(MtScimCall *call, const char *id, const MtScimSelection *selection, bool changed, int status)
{
	MtScimAnswer *answer = call->answer;
	MtScimGroup group;
	MtJson	   *members = NULL;

	if (!read_group(call, id, false, &group))
	{
		mt_scim_refuse_absent(answer);
		return;
	}
	answer->status = status;
	answer->etag = mt_scim_etag(group.version);
	if (status == 200 && call->if_none_match != NULL && mt_scim_etag_listed(call->if_none_match, group.version))
	{
		answer->status = 304;
		return;
	}
	answer->location = mt_scim_location(call, mt_scim_resource_types[MT_SCIM_GROUP].endpoint, group.id);
	if (status == 204)
		return;
	if (!call->in_bulk && mt_scim_selects(selection, MT_SCIM_GROUP, "members"))
	{
		members = mt_scim_read_members(call, group.id, MT_SCIM_ANSWER_MAX);
		if (members == NULL && !changed)
		{
			mt_scim_refuse_members(call);
			return;
		}
	}
	answer->body = mt_scim_group_render(call, &group, members, selection);
}

/*
 * GET /Groups/{id}
 */
void
mt_scim_get_group(MtScimCall *call, const char *id)
{
	MtScimSelection selection;

	if (mt_scim_read_selection(call->parameters, MT_SCIM_GROUP, &selection, call->answer))
		answer_with_group(call, id, &selection, false, 200);
}

static void
emit_team_changed(const MtScimCall *call, const char *operation, const char *id, const MtJson *object, MtJson *added, MtJson *removed)
{
	MtJson	   *payload = mt_json_object();
	MtJson	   *team = mt_json_object();

	mt_json_set_text(team, "teamId", id);
	mt_json_set_text(team, "name", mt_json_get_text(object, "displayName"));
	mt_json_set_text(team, "scimExternalId", mt_json_get_text(object, "externalId"));
	mt_json_set_text(payload, "tenantId", call->tenant);
	mt_json_set_text(payload, "operation", operation);
	mt_json_set(payload, "team", team);
	if (added != NULL)
		mt_json_set(payload, "added", added);
	if (removed != NULL)
		mt_json_set(payload, "removed", removed);
	mt_emit_event(call->tenant, "team_changed", JsonbPGetDatum(mt_json_to_jsonb(payload)));
}

/* Parameters $3 and $4 of the statements that write a group. */
static void
bind_object(const MtJson *object, Datum *values, char *nulls)
{
	const char *external_id = mt_json_get_text(object, "externalId");

	values[2] = CStringGetTextDatum(mt_json_get_text(object, "displayName"));
	nulls[2] = ' ';
	values[3] = external_id == NULL ? (Datum) 0 : CStringGetTextDatum(external_id);
	nulls[3] = external_id == NULL ? 'n' : ' ';
}

/*
 * POST /Groups
 */
void
mt_scim_create_group(MtScimCall *call)
{
	static MtPlan insert = {
		"INSERT INTO mindtickle.team (tenant_id, team_id, name, scim_external_id, source) "
		"SELECT $1, gen_random_uuid()::text, $3, $4, 'scim' WHERE $2 IS NULL RETURNING team_id",
		4, {TEXTOID, TEXTOID, TEXTOID, TEXTOID}
	};
	MtScimSelection selection;
	MtScimMemberChange change;
	MtJson	   *object;
	MtJson	   *added = mt_json_array();
	Datum		values[4] = {CStringGetTextDatum(call->tenant)};
	char		nulls[4] = {' ', 'n'};
	char	   *id;
	bool		isnull;

	mt_lock_members(call->tenant, ShareLock);
	mt_scim_begin_members(&change, call, NULL);
	if (!mt_scim_read_selection(call->parameters, MT_SCIM_GROUP, &selection, call->answer) ||
		!mt_scim_read_resource(call->answer, MT_SCIM_GROUP, call->body, &object) ||
		!mt_scim_set_members(&change, mt_json_get(call->body, "members")) ||
		!mt_scim_check_members(&change))
		return;
	bind_object(object, values, nulls);
	mt_plan_run(&insert, values, nulls, SPI_OK_INSERT_RETURNING);
	id = TextDatumGetCString(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull));
	(void) mt_scim_store_members(&change, id, added, mt_json_array());
	emit_team_changed(call, "CREATE", id, object, added, NULL);
	answer_with_group(call, id, &selection, true, 201);
}

/* Stores what a group has become. Nothing is written where nothing changes. */
static void
store_change(MtScimCall *call, const MtScimGroup *group, const MtJson *object, MtScimMemberChange *change)
{
	static MtPlan update = {
		"UPDATE mindtickle.team SET name = $3, scim_external_id = $4, version = version + 1, updated_at = now() "
		"WHERE tenant_id = $1 AND team_id = $2",
		4, {TEXTOID, TEXTOID, TEXTOID, TEXTOID}
	};
	MtJson	   *added = mt_json_array();
	MtJson	   *removed = mt_json_array();
	Datum		values[4] = {CStringGetTextDatum(call->tenant), CStringGetTextDatum(group->id)};
	char		nulls[4] = {' ', ' '};

	if (!mt_scim_store_members(change, group->id, added, removed) && mt_json_equal(group->object, object))
		return;
	bind_object(object, values, nulls);
	mt_plan_run(&update, values, nulls, SPI_OK_UPDATE);
	emit_team_changed(call, "UPDATE", group->id, object, added, removed);
}

/* What replacing, patching and deleting begin with: the group, locked. False, with a refusal, where the request has come to its end. */
static bool
lock_group(MtScimCall *call, const char *id, MtScimSelection *selection, MtScimGroup *group)
{
	if (!mt_scim_read_selection(call->parameters, MT_SCIM_GROUP, selection, call->answer))
		return false;
	mt_lock_members(call->tenant, ShareLock);
	if (!read_group(call, id, true, group))
		return mt_scim_refuse_absent(call->answer);
	return mt_scim_version_expected(call, group->version);
}

/*
 * PUT /Groups/{id}
 */
void
mt_scim_replace_group(MtScimCall *call, const char *id)
{
	MtScimSelection selection;
	MtScimGroup group;
	MtScimMemberChange change;
	MtJson	   *object;

	if (!lock_group(call, id, &selection, &group))
		return;
	mt_scim_begin_members(&change, call, group.id);
	if (!mt_scim_read_resource(call->answer, MT_SCIM_GROUP, call->body, &object) ||
		!mt_scim_set_members(&change, mt_json_get(call->body, "members")) ||
		!mt_scim_check_members(&change))
		return;
	store_change(call, &group, object, &change);
	answer_with_group(call, group.id, &selection, true, 200);
}

/*
 * PATCH /Groups/{id}: answered without a body, which would be as long as the group, unless the client chooses attributes.
 */
void
mt_scim_patch_group(MtScimCall *call, const char *id)
{
	MtScimSelection selection;
	MtScimGroup group;
	MtScimMemberChange change;
	MtScimPatch patch = {
		.call = call,.resource = MT_SCIM_GROUP,.id = id,.members = mt_scim_patch_members,.members_state = &change
	};

	if (!lock_group(call, id, &selection, &group))
		return;
	mt_scim_begin_members(&change, call, group.id);
	patch.object = mt_json_copy(group.object);
	if (!mt_scim_apply_patch(&patch, call->body) || !mt_scim_check_members(&change))
		return;
	store_change(call, &group, patch.object, &change);
	answer_with_group(call, group.id, &selection, true, selection.kind == MT_SCIM_SELECT_ALL ? 204 : 200);
}

/*
 * DELETE /Groups/{id}: the users stay.
 */
void
mt_scim_delete_group(MtScimCall *call, const char *id)
{
	static MtPlan remove_members = {
		"DELETE FROM mindtickle.team_member WHERE tenant_id = $1 AND team_id = $2", 2, {TEXTOID, TEXTOID}
	};
	static MtPlan remove_group = {
		"DELETE FROM mindtickle.team WHERE tenant_id = $1 AND team_id = $2", 2, {TEXTOID, TEXTOID}
	};
	MtScimSelection selection;
	MtScimGroup group;
	Datum		values[2];

	if (!lock_group(call, id, &selection, &group))
		return;
	values[0] = CStringGetTextDatum(call->tenant);
	values[1] = CStringGetTextDatum(group.id);
	mt_plan_run(&remove_members, values, NULL, SPI_OK_DELETE);
	mt_plan_run(&remove_group, values, NULL, SPI_OK_DELETE);
	emit_team_changed(call, "DELETE", group.id, group.object, NULL, NULL);
	call->answer->status = 204;
}
