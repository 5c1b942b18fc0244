/*
 * scim_event.c
 *		mt_handle_scim_event: the webhook by which an identity provider or HR system tells of one user, {tenantId, operation, user}.
 *
 * The tenant is that of the caller's context, or his default; a document that names another one is refused as a call for that tenant is, with an
 * alert. CREATE makes a user or brings him up to date and back into service, UPDATE brings him up to date, DELETE deactivates him; nobody is ever
 * removed. A document may come again: the second time it changes nothing.
 *
 * What is wrong is an error that names the field. Who receives documents from outside keeps the bytes as a dead letter then, in a transaction of
 * its own, as what is written here is rolled back.
 *
 * Called by the gateway with the body of a request, by mt_replay_dead_letter, and by anybody who writes for a tenant.
 */
#include "mindtickle.h"

#include "catalog/pg_type.h"
#include "field.h"
#include "miscadmin.h"
#include "plan.h"
#include "service_call.h"
#include "tenant_context.h"
#include "user.h"
#include "utils/builtins.h"

typedef enum Operation
{
	OPERATION_CREATE,
	OPERATION_UPDATE,
	OPERATION_DELETE,
	OPERATION_NONE
} Operation;

static const char *const operations[] = {"CREATE", "UPDATE", "DELETE", NULL};

PG_FUNCTION_INFO_V1(mt_handle_scim_event);

/* The tenant that the document is for; ERROR 42501 where it names none and none is in force. */
static char *
tenant_of(MtFields *fields)
{
	Datum		named;
	const char *in_force;

	if (mt_field_text(fields, "tenantId", MT_TEXT_MAX, &named) == MT_FIELD_SET)
		return TextDatumGetCString(named);
	if (mt_faulty(fields->fault))
		mt_raise_fault(fields->fault);
	in_force = mt_tenant_in_force();
	if (in_force == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("tenantId is absent and no tenant is in force"),
				 errhint("SELECT * FROM mt_whoami() shows the tenants that your role may act for.")));
	return pstrdup(in_force);
}

/*
 * The document with the user's role in our words, where the tenant's role_map has it. From outside nobody becomes more than a rep by a word that the
 * map does not have, as in SCIM (scim_user.c).
 */
static Jsonb *
map_role(const char *tenant, Jsonb *document, bool from_outside)
{
	static MtPlan map = {
		"SELECT jsonb_set($2, '{user,role}', r.role) FROM (SELECT coalesce("
		"t.settings #> ARRAY['role_map', $2 #>> '{user,role}'], "
		"CASE WHEN $3 AND lower(($2 #>> '{user,role}') COLLATE \"C\") IN ('rep', 'manager', 'admin') THEN '\"rep\"'::jsonb END) AS role "
		"FROM mindtickle.tenant AS t WHERE t.tenant_id = $1 AND jsonb_typeof($2 #> '{user,role}') = 'string') AS r WHERE r.role IS NOT NULL",
		3, {TEXTOID, JSONBOID, BOOLOID}
	};
	Datum		values[3] = {CStringGetTextDatum(tenant), JsonbPGetDatum(document), BoolGetDatum(from_outside)};
	bool		isnull;

	if (mt_plan_run(&map, values, NULL, SPI_OK_SELECT) == 0)
		return document;
	return DatumGetJsonbPCopy(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull));
}

static Operation
read_operation(MtFields *fields)
{
	Datum		word;
	char	   *name;

	if (mt_field_word(fields, "operation", operations, &word) != MT_FIELD_SET)
	{
		mt_fault(fields, "operation", "is required");
		return OPERATION_NONE;
	}
	name = TextDatumGetCString(word);
	for (int i = 0; i < OPERATION_NONE; i++)
		if (strcmp(operations[i], name) == 0)
			return (Operation) i;
	return OPERATION_NONE;
}

/* Reads the user; id is then the sender's id of him, 0 where it gives none. Faults are noted. */
static void
read_user(MtFields *fields, Operation operation, MtUser *user, Datum *id)
{
	JsonbValue	object;
	MtFields	user_fields;

	*id = (Datum) 0;
	if (mt_field_container(fields, "user", false, &object) != MT_FIELD_SET)
	{
		mt_fault(fields, "user", "is required");
		return;
	}
	if (!mt_fields_open(&user_fields, &object, "user", -1, fields->fault) || !mt_user_read(&user_fields, user))
		return;
	(void) mt_field_id(&user_fields, "id", false, id);
	if (*id == (Datum) 0)
		*id = user->user_id;
	user->user_id = (Datum) 0;
	if (*id != (Datum) 0 || !user->nulls[MT_USER_MINDTICKLE_ID] || !user->nulls[MT_USER_SCIM_EXTERNAL_ID])
		return;
	/* An address can be two people's: it does not say who has left. */
	if (operation == OPERATION_DELETE)
		mt_fault(&user_fields, NULL, "must have an id, mindtickleId or scimExternalId");
	else if (user->nulls[MT_USER_EMAIL])
		mt_fault(&user_fields, NULL, "must have an id, mindtickleId, scimExternalId or email");
}

static bool
find_by_external_id(const char *tenant, Datum external_id, Datum *user_id)
{
	MtUser		user = {.values[MT_USER_SCIM_EXTERNAL_ID] = external_id};

	for (int column = 0; column < MT_USER_COLUMNS; column++)
		user.nulls[column] = column != MT_USER_SCIM_EXTERNAL_ID;
	return mt_user_find(tenant, &user, user_id);
}

/*
 * Finds out whom the document means and puts our id of him into it. For CREATE the identity provider's id goes first, as its documents are told apart
 * by it; and others who bring the same keys wait, or there would be two users. Who is not known is made under the sender's id.
 */
static void
identify(const char *tenant, Operation operation, MtUser *user, Datum id)
{
	Datum		external_id = user->values[MT_USER_SCIM_EXTERNAL_ID];
	Datum		known;

	if (operation != OPERATION_DELETE)
		mt_user_lock_keys(tenant, user);
	if (operation == OPERATION_CREATE && !user->nulls[MT_USER_SCIM_EXTERNAL_ID] && find_by_external_id(tenant, external_id, &user->user_id))
		return;
	if (id != (Datum) 0)
		user->user_id = mt_user_resolve(tenant, id);
	if (operation == OPERATION_CREATE)
		return;
	if (!mt_user_find(tenant, user, &known))
		ereport(ERROR,
				(errcode(ERRCODE_NO_DATA_FOUND),
				 errmsg("there is no such user"),
				 errdetail("user.id is matched with user_id, mindtickle_id and scim_external_id of mt_users.")));
	user->user_id = known;
}

static void
set_active(MtUser *user, bool active)
{
	user->given |= 1u << MT_USER_ACTIVE;
	user->nulls[MT_USER_ACTIVE] = false;
	user->values[MT_USER_ACTIVE] = BoolGetDatum(active);
}

/*
 * mt_handle_scim_event(payload jsonb) -> text: our id of the user. ERROR 22023 for what is wrong, P0002 where an UPDATE or DELETE means nobody, 23505
 * where a user name or MindTickle id is another user's.
 */
Datum
mt_handle_scim_event(PG_FUNCTION_ARGS)
{
	Jsonb	   *document = PG_GETARG_JSONB_P(0);
	char	   *tenant;
	Operation	operation;
	MtServiceCall call;
	MtFault		fault = {0};
	MtFields	fields;
	MtUser		user;
	Datum		id;
	Datum		user_id;

	if (!mt_fields_open_document(&fields, document, &fault))
		mt_raise_fault(&fault);
	tenant = tenant_of(&fields);
	mt_service_enter(&call, fcinfo, tenant, MT_ACCESS_WRITER, true);
	/* The gateway and a dead letter's replay act as the service role; who calls this himself knows whom he makes an admin. */
	(void) mt_fields_open_document(&fields, map_role(tenant, document, call.role == GetUserId()), &fault);
	operation = read_operation(&fields);
	read_user(&fields, operation, &user, &id);
	if (mt_faulty(&fault))
		mt_raise_fault(&fault);

	identify(tenant, operation, &user, id);
	if (operation == OPERATION_DELETE)
		user.given = 0;
	if (operation == OPERATION_DELETE || (operation == OPERATION_CREATE && (user.given & 1u << MT_USER_ACTIVE) == 0))
		set_active(&user, operation == OPERATION_CREATE);
	if (mt_user_store(tenant, &user, &user_id) == MT_USER_KEY_TAKEN)
		mt_raise_user_key_taken();
	MemoryContextSwitchTo(call.context);
	user_id = PointerGetDatum(PG_DETOAST_DATUM_COPY(user_id));
	mt_service_leave(&call);
	PG_RETURN_DATUM(user_id);
}
