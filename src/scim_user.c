/*
 * scim_user.c
 *		/Users/{id} and POST /Users: create, read, replace, patch and delete a user.
 *
 * What changes a user locks his row first, so that the version is tested, and what is not named kept, against what is there; then everything is
 * decided in memory, and one statement of user.c writes what differs from before. A column that a pull has changed meanwhile stays as it is until
 * the identity provider changes what it is made of.
 *
 * Called by scim_request.c and scim_bulk.c.
 */
#include "scim_user.h"

#include "catalog/pg_type.h"
#include "plan.h"
#include "scim_patch.h"
#include "scim_value.h"
#include "service_call.h"
#include "user.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/uuid.h"

#define SELECT_USER \
	"SELECT " MT_SCIM_USER_COLUMNS " FROM mindtickle.users AS u WHERE u.tenant_id = $1 AND u.user_id = $3 AND " MT_SCIM_USER_VISIBLE_BY_ID

/* How a row is read. */
typedef enum RowLock
{
	NOT_LOCKED,
	LOCKED_FOR_UPDATE,
	LOCKED_FOR_DELETE
} RowLock;

/* False where there is no such user. */
static bool
read_user(const MtScimCall *call, const char *id, bool with_groups, RowLock lock, MtScimUser *user)
{
	static MtPlan plans[] = {
		[NOT_LOCKED] = {SELECT_USER, 3, {TEXTOID, BOOLOID, TEXTOID}},
		[LOCKED_FOR_UPDATE] = {SELECT_USER " FOR NO KEY UPDATE OF u", 3, {TEXTOID, BOOLOID, TEXTOID}},
		[LOCKED_FOR_DELETE] = {SELECT_USER " FOR UPDATE OF u", 3, {TEXTOID, BOOLOID, TEXTOID}}
	};
	Datum		values[3] = {CStringGetTextDatum(call->tenant), BoolGetDatum(with_groups), CStringGetTextDatum(id)};

	if (mt_plan_run(&plans[lock], values, NULL, SPI_OK_SELECT) == 0)
		return false;
	mt_scim_user_from_row(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, user);
	SPI_freetuptable(SPI_tuptable);
	return true;
}

static void
answer_with_user(MtScimCall *call, const MtScimUser *user, const MtScimSelection *selection, int status)
{
	MtScimAnswer *answer = call->answer;

	answer->status = status;
	answer->etag = mt_scim_etag(user->version);
	answer->location = mt_scim_location(call, mt_scim_resource_types[MT_SCIM_USER].endpoint, user->id);
	answer->body = mt_scim_user_render(call, user, selection);
}

/* Answers with a user as the table has him now. */
static void
answer_with_stored(MtScimCall *call, const char *id, const MtScimSelection *selection, int status)
{
	MtScimUser	user;

	if (!read_user(call, id, !call->in_bulk && mt_scim_selects(selection, MT_SCIM_USER, "groups"), NOT_LOCKED, &user))
		elog(ERROR, "a user who was just written is not there");
	answer_with_user(call, &user, selection, status);
}

/*
 * GET /Users/{id}
 */
void
mt_scim_get_user(MtScimCall *call, const char *id)
{
	MtScimSelection selection;
	MtScimUser	user;

	if (!mt_scim_read_selection(call->parameters, MT_SCIM_USER, &selection, call->answer))
		return;
	if (!read_user(call, id, mt_scim_selects(&selection, MT_SCIM_USER, "groups"), NOT_LOCKED, &user))
	{
		mt_scim_refuse_absent(call->answer);
		return;
	}
	if (call->if_none_match != NULL && mt_scim_etag_listed(call->if_none_match, user.version))
	{
		call->answer->status = 304;
		call->answer->etag = mt_scim_etag(user.version);
		return;
	}
	answer_with_user(call, &user, &selection, 200);
}

static void
give(MtUser *user, MtUserColumn column, bool isnull, Datum value)
{
	user->given |= 1u << column;
	user->nulls[column] = isnull;
	user->values[column] = value;
}

/* Gives a column a text where it is another than before. */
static void
give_text(MtUser *user, MtUserColumn column, const char *before, const char *after)
{
	if (before == NULL ? after == NULL : after != NULL && strcmp(before, after) == 0)
		return;
	give(user, column, after == NULL, after == NULL ? (Datum) 0 : CStringGetTextDatum(after));
}

/*
 * What a role of the identity provider is for us: what the tenant's role_map says of it, else a rep. Who writes users cannot make himself an
 * admin by a word: the names of our own roles are taken, and mean nothing that the map does not say. NULL for other names.
 */
static const char *
mapped_role(const MtScimCall *call, const char *role)
{
	static MtPlan look_up = {
		"SELECT settings -> 'role_map' ->> $2 FROM mindtickle.tenant WHERE tenant_id = $1", 2, {TEXTOID, TEXTOID}
	};
	static const char *const roles[] = {"rep", "manager", "admin"};
	Datum		values[2] = {CStringGetTextDatum(call->tenant), CStringGetTextDatum(role)};
	bool		isnull = true;
	Datum		mapped = (Datum) 0;

	if (mt_plan_run(&look_up, values, NULL, SPI_OK_SELECT) > 0)
		mapped = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull);
	for (int i = 0; i < (int) lengthof(roles); i++)
		if (isnull ? pg_strcasecmp(roles[i], role) == 0 : strcmp(roles[i], TextDatumGetCString(mapped)) == 0)
			return isnull ? "rep" : roles[i];
	return NULL;
}

static bool
give_role(const MtScimCall *call, MtUser *user, const MtJson *before, const MtJson *after)
{
	const char *old_role = mt_scim_user_role(before);
	const char *new_role = mt_scim_user_role(after);
	const char *role;

	if (old_role == NULL ? new_role == NULL : new_role != NULL && strcmp(old_role, new_role) == 0)
		return true;
	role = new_role == NULL ? "rep" : mapped_role(call, new_role);
	if (role == NULL)
		return mt_scim_refuse(call->answer, 400, "invalidValue", "roles holds a role that is not known here.");
	give(user, MT_USER_ROLE, false, CStringGetTextDatum(role));
	return true;
}

/*
 * What is to be written so that a user who was as before becomes as after. False, with a refusal, where that cannot be.
 */
static bool
make_change(const MtScimCall *call, const MtJson *before, bool provisioned, const MtJson *after, MtUser *user)
{
	const MtJson *old_extension = mt_json_get(before, MT_SCIM_ENTERPRISE_URN);
	const MtJson *extension = mt_json_get(after, MT_SCIM_ENTERPRISE_URN);
	const MtJson *old_active = mt_json_get(before, "active");
	const MtJson *active = mt_json_get(after, "active");
	MtJson	   *document = mt_scim_user_document(after);

	memset(user, 0, sizeof(MtUser));
	memset(user->nulls, true, sizeof(user->nulls));
	give_text(user, MT_USER_USER_NAME, mt_json_get_text(before, "userName"), mt_json_get_text(after, "userName"));
	give_text(user, MT_USER_SCIM_EXTERNAL_ID, mt_json_get_text(before, "externalId"), mt_json_get_text(after, "externalId"));
	give_text(user, MT_USER_EMAIL, mt_scim_user_email(before), mt_scim_user_email(after));
	give_text(user, MT_USER_NAME, mt_scim_user_name(before), mt_scim_user_name(after));
	give_text(user, MT_USER_TITLE, mt_json_get_text(before, "title"), mt_json_get_text(after, "title"));
	give_text(user, MT_USER_DEPARTMENT, mt_json_get_text(old_extension, "department"), mt_json_get_text(extension, "department"));
	give_text(user, MT_USER_MANAGER_ID, mt_json_get_text(mt_json_get(old_extension, "manager"), "value"),
			  mt_json_get_text(mt_json_get(extension, "manager"), "value"));
	if (!mt_json_equal(old_active, active))
		give(user, MT_USER_ACTIVE, false, BoolGetDatum(active == NULL || active->boolean));
	/* Who is written for the first time by the identity provider is provisioned from then on, unless nothing is written at all. */
	if ((!provisioned && user->given != 0) || !mt_json_equal(mt_scim_user_document(before), document))
	{
		MtJson	   *attributes = mt_json_object();

		mt_json_set(attributes, "scim", document);
		give(user, MT_USER_ATTRIBUTES, false, JsonbPGetDatum(mt_json_to_jsonb(attributes)));
		user->given |= MT_USER_ADDS_ATTRIBUTES;
	}
	return give_role(call, user, before, after);
}

static void
refuse_taken(MtScimCall *call)
{
	mt_scim_refuse(call->answer, 409, "uniqueness", "Another user has this userName.");
}

/*
 * A user who comes back after he was deleted takes over MindTickle's id, under which he is still known there: what is pulled from then on is his. The
 * history stays with the former one.
 */
static void
inherit_upstream_id(const MtScimCall *call, Datum user_id, const MtUser *user)
{
	static MtPlan take = {
		"WITH former AS (SELECT user_id, mindtickle_id FROM mindtickle.users WHERE tenant_id = $1 AND deleted_at IS NOT NULL "
		"AND mindtickle_id IS NOT NULL AND (scim_external_id = $2 OR email_key = lower($3)) ORDER BY deleted_at DESC, user_id LIMIT 1 FOR NO KEY UPDATE) "
		"UPDATE mindtickle.users AS u SET mindtickle_id = NULL, version = u.version + 1, updated_at = now() FROM former "
		"WHERE u.tenant_id = $1 AND u.user_id = former.user_id "
		"AND EXISTS (SELECT FROM mindtickle.users AS h WHERE h.tenant_id = $1 AND h.user_id = $4 AND h.mindtickle_id IS NULL) "
		"RETURNING former.mindtickle_id",
		4, {TEXTOID, TEXTOID, TEXTOID, TEXTOID}
	};
	static MtPlan put = {
		"UPDATE mindtickle.users SET mindtickle_id = $3 WHERE tenant_id = $1 AND user_id = $2", 3, {TEXTOID, TEXTOID, TEXTOID}
	};
	static MtPlan look = {
		"SELECT FROM mindtickle.users WHERE tenant_id = $1 AND scim_external_id = $2 AND deleted_at IS NOT NULL AND mindtickle_id IS NOT NULL "
		"UNION ALL SELECT FROM mindtickle.users WHERE tenant_id = $1 AND email_key = lower($3) AND deleted_at IS NOT NULL "
		"AND mindtickle_id IS NOT NULL LIMIT 1",
		3, {TEXTOID, TEXTOID, TEXTOID}
	};
	Datum		keys[4] = {CStringGetTextDatum(call->tenant), user->values[MT_USER_SCIM_EXTERNAL_ID], user->values[MT_USER_EMAIL], user_id};
	char		nulls[4] = {' ', user->nulls[MT_USER_SCIM_EXTERNAL_ID] ? 'n' : ' ', user->nulls[MT_USER_EMAIL] ? 'n' : ' ', ' '};
	Datum		values[3] = {keys[0], user_id};
	bool		isnull;

	/* Few come back, and to look, each by its index, is cheaper. */
	if ((nulls[1] == 'n' && nulls[2] == 'n') || mt_plan_run(&look, keys, nulls, SPI_OK_SELECT) == 0 ||
		mt_plan_run(&take, keys, nulls, SPI_OK_UPDATE_RETURNING) == 0)
		return;
	values[2] = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull);
	mt_plan_run(&put, values, NULL, SPI_OK_UPDATE);
}

/*
 * POST /Users: a new user, or one whom only MindTickle knew, by externalId or e-mail, and who now gets his name.
 */
void
mt_scim_create_user(MtScimCall *call)
{
	MtScimSelection selection;
	MtJson	   *object;
	MtUser		user;
	MtScimUser	made = {.provisioned = true};
	Datum		user_id;

	if (!mt_scim_read_selection(call->parameters, MT_SCIM_USER, &selection, call->answer) ||
		!mt_scim_read_resource(call->answer, MT_SCIM_USER, call->body, &object))
		return;
	if (mt_json_get(object, "active") == NULL)
		mt_json_set(object, "active", mt_json_boolean(true));
	if (!make_change(call, mt_json_object(), false, object, &user))
		return;
	user.given |= MT_USER_NEW_TO_PROVIDER;
	made.id = DatumGetCString(DirectFunctionCall1(uuid_out, OidFunctionCall0(F_GEN_RANDOM_UUID)));
	user.user_id = CStringGetTextDatum(made.id);
	if (mt_user_store_stranger(call->tenant, &user, &made.version, &made.created_at))
	{
		made.updated_at = made.created_at;
		made.object = object;
		answer_with_user(call, &made, &selection, 201);
		return;
	}
	if (mt_user_store(call->tenant, &user, &user_id) == MT_USER_KEY_TAKEN)
	{
		refuse_taken(call);
		return;
	}
	inherit_upstream_id(call, user_id, &user);
	answer_with_stored(call, TextDatumGetCString(user_id), &selection, 201);
}

/* Reads the user whom a request means. False, with a refusal, where there is none or he is not as the request expects him. */
static bool
take_user(MtScimCall *call, const char *id, RowLock lock, MtScimUser *user)
{
	if (!read_user(call, id, false, lock, user))
		return mt_scim_refuse_absent(call->answer);
	return mt_scim_version_expected(call, user->version);
}

/* What a request makes of a user: the object that he becomes. False, with a refusal, where that cannot be. It may change the body. */
typedef bool (*Alteration) (MtScimCall *call, const MtScimUser *before, MtJson *body, MtJson **after);

/* What is left out is cleared; active, which has a default, becomes it. */
static void
default_active(MtJson *object)
{
	if (mt_json_get(object, "active") == NULL)
		mt_json_set(object, "active", mt_json_boolean(true));
}

static bool
replace_object(MtScimCall *call, const MtScimUser *before, MtJson *body, MtJson **after)
{
	if (!mt_scim_read_resource(call->answer, MT_SCIM_USER, body, after))
		return false;
	default_active(*after);
	return true;
}

static bool
patch_object(MtScimCall *call, const MtScimUser *before, MtJson *body, MtJson **after)
{
	MtScimPatch patch = {.call = call,.resource = MT_SCIM_USER,.id = before->id};

	patch.object = mt_json_copy(before->object);
	if (!mt_scim_apply_patch(&patch, body))
		return false;
	default_active(patch.object);
	*after = patch.object;
	return true;
}

/*
 * Alters a user. Who knows him by his keys locks these first and then his row; so here they are locked first, too, and what they are is found out
 * before his row is locked, and once more where another one has changed him meanwhile. Should that bring other keys, they are locked behind the row.
 */
static void
alter_user(MtScimCall *call, const char *id, Alteration alter)
{
	MtScimSelection selection;
	MtScimUser	user;
	MtJson	   *after;
	MtUser		change;
	Datum		user_id;
	int64		version;

	if (!mt_scim_read_selection(call->parameters, MT_SCIM_USER, &selection, call->answer) ||
		!take_user(call, id, NOT_LOCKED, &user) ||
		!alter(call, &user, mt_json_copy(call->body), &after) ||
		!make_change(call, user.object, user.provisioned, after, &change))
		return;
	version = user.version;
	mt_user_lock_change(call->tenant, &change);
	if (!take_user(call, id, LOCKED_FOR_UPDATE, &user))
		return;
	if (user.version != version &&
		(!alter(call, &user, call->body, &after) || !make_change(call, user.object, user.provisioned, after, &change)))
		return;
	change.user_id = CStringGetTextDatum(user.id);
	if (change.given != 0 && mt_user_store(call->tenant, &change, &user_id) == MT_USER_KEY_TAKEN)
		refuse_taken(call);
	else
		answer_with_stored(call, user.id, &selection, 200);
}

/*
 * PUT /Users/{id}
 */
void
mt_scim_replace_user(MtScimCall *call, const char *id)
{
	alter_user(call, id, replace_object);
}

/*
 * PATCH /Users/{id}
 */
void
mt_scim_patch_user(MtScimCall *call, const char *id)
{
	alter_user(call, id, patch_object);
}

/*
 * DELETE /Users/{id}: nobody finds the user any more; the row and its history stay.
 */
void
mt_scim_delete_user(MtScimCall *call, const char *id)
{
	MtScimSelection selection;
	MtScimUser	user;

	mt_lock_members(call->tenant, ExclusiveLock);
	if (!mt_scim_read_selection(call->parameters, MT_SCIM_USER, &selection, call->answer) ||
		!take_user(call, id, LOCKED_FOR_DELETE, &user))
		return;
	mt_user_delete(call->tenant, CStringGetTextDatum(user.id));
	call->answer->status = 204;
}
