/*
 * token.c
 *		Tokens: secrets of 256 random bits that a tenant's applications show. The table keeps SHA-256 of each and nothing else of it.
 *
 * A token's text is hashed as it is given and compared with the tenant's hashes in constant time, each of them to its end. What was found is
 * kept for the access generation (access.c), so that a revocation holds from the next statement on in every backend; expiry is compared at each
 * use. Rows are read by index scans under a fresh catalog snapshot, for the reasons told in access.c.
 *
 * The gateway knows a tenant by the token alone (mindtickle.enter_token). From then on, until the end of the transaction, the service role may
 * do no more than the token: access.c bounds it to the token's tenant, tenant_context.c to functions of the token's scope.
 *
 * Called by tenant_context.c for mt_set_tenant and by access.c for grants that need a token. A token's text is put into no setting, no message
 * and no memory that outlives the call.
 */
#include "token.h"

#include "access.h"
#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/pg_type.h"
#include "common/cryptohash.h"
#include "common/sha2.h"
#include "executor/spi.h"
#include "gateway_state.h"
#include "log_redaction.h"
#include "miscadmin.h"
#include "plan.h"
#include "service_call.h"
#include "tenant_context.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/guc.h"
#include "utils/rel.h"

/* What a token's text begins with, and its random bits in bytes. */
#define TOKEN_PREFIX		"mtk_"
#define TOKEN_BYTES			32
#define TOKEN_LENGTH		(sizeof(TOKEN_PREFIX) - 1 + 2 * TOKEN_BYTES)

/* Longest name of a token in bytes, and most tokens of a tenant. */
#define TOKEN_NAME_MAX		100
#define TOKENS_MAX			100

/* Holds a scope's name. */
#define SCOPE_SIZE			16

/* Columns of api_token, in the order of sql/security.sql. */
#define TOKEN_TENANT_ID		1
#define TOKEN_TOKEN_ID		3
#define TOKEN_TOKEN_HASH	4
#define TOKEN_SCOPES		5
#define TOKEN_EXPIRES_AT	7

/* A row of api_token without its name. */
typedef struct Token
{
	int64		token_id;
	uint8		hash[PG_SHA256_DIGEST_LENGTH];
	bool		scope_held;
	TimestampTz expires_at;		/* DT_NOEND: never */
} Token;

/* The last answers for tokens shown, so that a pool's next transaction reads no table. */
#define KEPT_TOKENS			64
typedef struct KeptToken
{
	uint64		generation;
	char		tenant[MT_TENANT_MAX + 1];
	char		scope[SCOPE_SIZE];
	Token		token;
} KeptToken;

static KeptToken kept_tokens[KEPT_TOKENS];
static int	kept_next = 0;

/* The last answer of mt_token_proof. */
static struct
{
	uint64		generation;
	char		token_id[MT_TOKEN_ID_SIZE];
	char		tenant[MT_TENANT_MAX + 1];
	char		scope[SCOPE_SIZE];
	bool		proven;
	TimestampTz valid_until;
} proof;

/* Scopes; metrics belongs to no tenant, the others to one. */
static const char *const tenant_scopes[] = {"scim", "sync", "quiz", "read", "sql", NULL};

PG_FUNCTION_INFO_V1(mt_check_token);
PG_FUNCTION_INFO_V1(mt_create_token);
PG_FUNCTION_INFO_V1(mt_enter_token);
PG_FUNCTION_INFO_V1(mt_revoke_token);

/* SHA-256 of a text; hash has PG_SHA256_DIGEST_LENGTH bytes. */
static void
hash_text(const char *text, size_t length, uint8 *hash)
{
	pg_cryptohash_ctx *context = pg_cryptohash_create(PG_SHA256);

	if (context == NULL ||
		pg_cryptohash_init(context) < 0 ||
		pg_cryptohash_update(context, (const uint8 *) text, length) < 0 ||
		pg_cryptohash_final(context, hash, PG_SHA256_DIGEST_LENGTH) < 0)
		elog(ERROR, "could not compute SHA-256: %s", context == NULL ? "out of memory" : pg_cryptohash_error(context));
	pg_cryptohash_free(context);
}

/* Looks at every byte whatever is found. */
static bool
equal_hashes(const uint8 *left, const uint8 *right)
{
	volatile uint8 difference = 0;

	for (int i = 0; i < PG_SHA256_DIGEST_LENGTH; i++)
		difference |= left[i] ^ right[i];
	return difference == 0;
}

static bool
holds_scope(ArrayType *scopes, const char *scope)
{
	Datum	   *elements;
	int			count;
	bool		found = false;

	deconstruct_array(scopes, TEXTOID, -1, false, TYPALIGN_INT, &elements, NULL, &count);
	for (int i = 0; i < count; i++)
		found |= strcmp(TextDatumGetCString(elements[i]), scope) == 0;
	return found;
}

static void
read_token(HeapTuple tuple, TupleDesc descriptor, const char *scope, Token *token)
{
	bool		isnull;
	Datum		value;

	token->token_id = DatumGetInt64(heap_getattr(tuple, TOKEN_TOKEN_ID, descriptor, &isnull));
	value = heap_getattr(tuple, TOKEN_TOKEN_HASH, descriptor, &isnull);
	memcpy(token->hash, VARDATA_ANY(DatumGetByteaPP(value)), PG_SHA256_DIGEST_LENGTH);
	token->scope_held = holds_scope(DatumGetArrayTypeP(heap_getattr(tuple, TOKEN_SCOPES, descriptor, &isnull)), scope);
	value = heap_getattr(tuple, TOKEN_EXPIRES_AT, descriptor, &isnull);
	token->expires_at = isnull ? DT_NOEND : DatumGetTimestampTz(value);
}

/* The tenant's tokens, palloc'd; their number goes to *count. */
static Token *
read_tokens(const char *tenant, const char *scope, int *count)
{
	Relation	relation = table_open(mt_relation("api_token"), AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;
	int			allocated = 8;
	Token	   *tokens = palloc(sizeof(Token) * allocated);

	*count = 0;
	ScanKeyInit(&key, TOKEN_TENANT_ID, BTEqualStrategyNumber, F_TEXTEQ, CStringGetTextDatum(tenant));
	scan = systable_beginscan(relation, mt_relation("api_token_pkey"), true, NULL, 1, &key);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		if (*count == allocated)
		{
			allocated *= 2;
			tokens = repalloc(tokens, sizeof(Token) * allocated);
		}
		read_token(tuple, RelationGetDescr(relation), scope, &tokens[(*count)++]);
	}
	systable_endscan(scan);
	table_close(relation, AccessShareLock);
	return tokens;
}

static bool
token_lives(const Token *token)
{
	return token->scope_held && (token->expires_at == DT_NOEND || token->expires_at > GetCurrentTimestamp());
}

static void
keep_token(uint64 generation, const char *tenant, const char *scope, const Token *token)
{
	KeptToken  *kept = &kept_tokens[kept_next];

	kept_next = (kept_next + 1) % KEPT_TOKENS;
	strlcpy(kept->tenant, tenant, sizeof(kept->tenant));
	strlcpy(kept->scope, scope, sizeof(kept->scope));
	kept->token = *token;
	kept->generation = generation;
}

/*
 * True when this is the text of a living token of the tenant that has the scope. Then token_id, of MT_TOKEN_ID_SIZE bytes, is its number.
 */
bool
mt_token_valid(const char *tenant, const char *token, size_t length, const char *scope, char *token_id)
{
	uint64		generation = mt_access_generation();
	uint8		hash[PG_SHA256_DIGEST_LENGTH];
	Token	   *tokens;
	int			count;
	const Token *found = NULL;

	/* Nothing longer than a token is worth hashing. */
	hash_text(token, Min(length, TOKEN_LENGTH + 1), hash);
	for (int i = 0; i < KEPT_TOKENS && found == NULL; i++)
		if (kept_tokens[i].generation == generation && strcmp(kept_tokens[i].tenant, tenant) == 0 &&
			strcmp(kept_tokens[i].scope, scope) == 0 && equal_hashes(kept_tokens[i].token.hash, hash))
			found = &kept_tokens[i].token;
	if (found == NULL)
	{
		tokens = read_tokens(tenant, scope, &count);
		for (int i = 0; i < count; i++)
			if (equal_hashes(tokens[i].hash, hash))
				found = &tokens[i];
		if (found != NULL)
			keep_token(generation, tenant, scope, found);
	}
	if (found == NULL || !token_lives(found))
		return false;
	pg_lltoa(found->token_id, token_id);
	return true;
}

/*
 * True when mindtickle.token_id is the number of a living token of the tenant with the scope that was entered with, or scope sql where none was
 * entered; *valid_until is then when it expires, DT_NOEND: never.
 */
bool
mt_token_proof(const char *tenant, TimestampTz *valid_until)
{
	uint64		generation = mt_access_generation();
	const char *scope = mt_token_entered() ? mt_setting_token_scope : "sql";
	int64		token_id;
	Token	   *tokens;
	int			count;

	if (mt_setting_token_id == NULL || mt_setting_token_id[0] == '\0')
		return false;
	if (proof.generation != generation || strcmp(proof.token_id, mt_setting_token_id) != 0 || strcmp(proof.tenant, tenant) != 0 ||
		strcmp(proof.scope, scope) != 0)
	{
		proof.generation = 0;
		proof.proven = false;
		proof.valid_until = DT_NOEND;
		token_id = strtoi64(mt_setting_token_id, NULL, 10);
		tokens = read_tokens(tenant, scope, &count);
		for (int i = 0; i < count; i++)
		{
			if (tokens[i].token_id != token_id || !tokens[i].scope_held)
				continue;
			proof.proven = true;
			proof.valid_until = tokens[i].expires_at;
		}
		pfree(tokens);
		strlcpy(proof.token_id, mt_setting_token_id, sizeof(proof.token_id));
		strlcpy(proof.tenant, tenant, sizeof(proof.tenant));
		strlcpy(proof.scope, scope, sizeof(proof.scope));
		proof.generation = generation;
	}
	if (!proof.proven || (proof.valid_until != DT_NOEND && proof.valid_until <= GetCurrentTimestamp()))
		return false;
	*valid_until = proof.valid_until;
	return true;
}

/*
 * True while a token that was entered bounds what the service role may do.
 */
bool
mt_token_entered(void)
{
	return mt_setting_token_scope != NULL && mt_setting_token_scope[0] != '\0';
}

/*
 * How far the service role may go for the tenant by the token that was entered; *valid_until as in mt_token_proof.
 */
MtAccess
mt_token_access(const char *tenant, TimestampTz *valid_until)
{
	if (!mt_token_proof(tenant, valid_until))
		return MT_ACCESS_NONE;
	return strcmp(mt_setting_token_scope, "read") == 0 ? MT_ACCESS_READER : MT_ACCESS_WRITER;
}

/*
 * True when the scope that was entered with is the one that a function needs which the gateway calls. What needs no more than a reader is in
 * scope read, with the exceptions below; what needs more and is not among them cannot be done with a token.
 */
bool
mt_token_scope_allows(const char *function, MtAccess needed)
{
	static const struct
	{
		const char *function;
		const char *scope;		/* NULL: any that writes */
	}			scopes[] = {
		{"keep_dead_letter", NULL},
		{"mt_deactivate_user", "scim"},
		{"mt_handle_scim_event", "scim"},
		{"mt_process_quiz_result", "quiz"},
		{"mt_provision_user", "scim"},
		{"mt_scim_request", "scim"},
		{"mt_sync_course_progress", "sync"},
		{"mt_sync_tenant", "sync"},
		{"mt_upsert_progress", "sync"},
		{"pull_result", "sync"},
		{"request_pull", "sync"},
		{"scim_request", "scim"},
	};

	for (int i = 0; i < (int) lengthof(scopes); i++)
		if (strcmp(scopes[i].function, function) == 0)
			return scopes[i].scope == NULL ? strcmp(mt_setting_token_scope, "read") != 0
				: strcmp(scopes[i].scope, mt_setting_token_scope) == 0;
	return needed <= MT_ACCESS_READER && strcmp(mt_setting_token_scope, "read") == 0;
}

/* Reads the token of this hash; tenant gets whose it is, empty: nobody's in particular. False where there is none. */
static bool
find_token(const uint8 *hash, const char *scope, char *tenant, Token *token)
{
	Relation	relation = table_open(mt_relation("api_token"), AccessShareLock);
	bytea	   *key_value = palloc(VARHDRSZ + PG_SHA256_DIGEST_LENGTH);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;
	bool		isnull;

	SET_VARSIZE(key_value, VARHDRSZ + PG_SHA256_DIGEST_LENGTH);
	memcpy(VARDATA(key_value), hash, PG_SHA256_DIGEST_LENGTH);
	ScanKeyInit(&key, TOKEN_TOKEN_HASH, BTEqualStrategyNumber, F_BYTEAEQ, PointerGetDatum(key_value));
	scan = systable_beginscan(relation, mt_relation("api_token_token_hash_idx"), true, NULL, 1, &key);
	tuple = systable_getnext(scan);
	if (HeapTupleIsValid(tuple))
	{
		Datum		value = heap_getattr(tuple, TOKEN_TENANT_ID, RelationGetDescr(relation), &isnull);

		text_to_cstring_buffer(DatumGetTextPP(value), tenant, MT_TENANT_MAX + 1);
		read_token(tuple, RelationGetDescr(relation), scope, token);
	}
	systable_endscan(scan);
	table_close(relation, AccessShareLock);
	return HeapTupleIsValid(tuple);
}

/*
 * The living token of this text, for the scope, which it need not hold: token->scope_held tells. tenant, of MT_TENANT_MAX + 1 bytes, gets whose
 * it is. Who looks for it by its hash learns by the time it takes nothing about tokens that he does not have: he cannot choose a hash.
 */
static bool
look_up_token(const char *text, size_t length, const char *scope, char *tenant, Token *token)
{
	uint64		generation = mt_access_generation();
	uint8		hash[PG_SHA256_DIGEST_LENGTH];
	bool		found = false;

	hash_text(text, Min(length, TOKEN_LENGTH + 1), hash);
	for (int i = 0; i < KEPT_TOKENS && !found; i++)
		if (kept_tokens[i].generation == generation && strcmp(kept_tokens[i].scope, scope) == 0 &&
			equal_hashes(kept_tokens[i].token.hash, hash))
		{
			strlcpy(tenant, kept_tokens[i].tenant, MT_TENANT_MAX + 1);
			*token = kept_tokens[i].token;
			found = true;
		}
	if (!found)
	{
		found = find_token(hash, scope, tenant, token);
		if (found)
			keep_token(generation, tenant, scope, token);
	}
	return found && (token->expires_at == DT_NOEND || token->expires_at > GetCurrentTimestamp());
}

static void
refuse_token(const char *message)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("%s", message)));
}

static void
check_name(text *name)
{
	if (VARSIZE_ANY_EXHDR(name) < 1 || VARSIZE_ANY_EXHDR(name) > TOKEN_NAME_MAX)
		refuse_token("name must have 1 to 100 bytes");
}

/* Scopes must be such as the tenant, or for_metrics nobody in particular, can have. */
static void
check_scopes(ArrayType *scopes, bool for_metrics)
{
	Datum	   *elements;
	bool	   *nulls;
	int			count;

	deconstruct_array(scopes, TEXTOID, -1, false, TYPALIGN_INT, &elements, &nulls, &count);
	if (ARR_NDIM(scopes) > 1 || count < 1 || count > 10)
		refuse_token("scopes must be a list of 1 to 10 scopes");
	for (int i = 0; i < count; i++)
	{
		const char *scope = nulls[i] ? "" : TextDatumGetCString(elements[i]);
		bool		known = for_metrics && strcmp(scope, "metrics") == 0;

		for (int j = 0; !for_metrics && tenant_scopes[j] != NULL; j++)
			known |= strcmp(scope, tenant_scopes[j]) == 0;
		if (!known)
			refuse_token(for_metrics ? "scopes of a token without a tenant can only be metrics"
						 : "scopes must be of scim, sync, quiz, read, sql");
	}
}

/* A new token's text, palloc'd. */
static char *
make_token(void)
{
	uint8		bits[TOKEN_BYTES];
	char	   *token = palloc(TOKEN_LENGTH + 1);

	if (!pg_strong_random(bits, sizeof(bits)))
		ereport(ERROR,
				(errcode(ERRCODE_INTERNAL_ERROR),
				 errmsg("could not get random numbers from the system")));
	strcpy(token, TOKEN_PREFIX);
	hex_encode((const char *) bits, sizeof(bits), token + sizeof(TOKEN_PREFIX) - 1);
	token[TOKEN_LENGTH] = '\0';
	return token;
}

/* Begins a call for a tenant, or for NULL, as the owner. Returns the tenant as a datum. */
static Datum
enter_for_tokens(MtServiceCall *call, FunctionCallInfo fcinfo)
{
	char	   *tenant;

	if (PG_ARGISNULL(0))
	{
		mt_service_enter_as_owner(call, fcinfo);
		return CStringGetTextDatum("");
	}
	tenant = text_to_cstring(PG_GETARG_TEXT_PP(0));
	mt_service_enter(call, fcinfo, tenant, MT_ACCESS_ADMIN, true);
	return CStringGetTextDatum(tenant);
}

/* Stores the hash. ERROR 42710 where the name is in use, 54000 where there are too many already. */
static void
store_token(Datum *values, const char *nulls)
{
	static MtPlan insert = {
		"INSERT INTO mindtickle.api_token (tenant_id, name, token_hash, scopes, expires_at) "
		"VALUES ($1, $2, $3, $4, clock_timestamp() + $5) ON CONFLICT DO NOTHING",
		5, {TEXTOID, TEXTOID, BYTEAOID, TEXTARRAYOID, INTERVALOID}
	};
	const char *tenant = TextDatumGetCString(values[0]);
	int			count;

	/* Counted by what is there now, not by the transaction's own snapshot, which may be older than the other admin's token. */
	mt_lock_tokens(tenant);
	pfree(read_tokens(tenant, "", &count));
	if (count >= TOKENS_MAX)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("a tenant can have %d tokens", TOKENS_MAX),
				 errhint("Revoke those that are not used any more with mt_revoke_token.")));
	if (mt_plan_run(&insert, values, nulls, SPI_OK_INSERT) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_OBJECT),
				 errmsg("there is a token of this name already"),
				 errhint("Tokens are replaced without a gap by making one of another name first and revoking the old one then.")));
}

/*
 * mt_create_token(tenant, name, scopes, expires_in DEFAULT NULL) -> text: the token, which is shown this once. For tenant NULL one of scope
 * metrics. ERROR 22023 for arguments that cannot be, 42501 where the role is no admin of the tenant, 42710, 54000.
 */
Datum
mt_create_token(PG_FUNCTION_ARGS)
{
	MtServiceCall call;
	Datum		values[5];
	char		nulls[6] = "     ";
	char	   *token = make_token();
	uint8		hash[PG_SHA256_DIGEST_LENGTH];
	bytea	   *hash_datum = palloc(VARHDRSZ + PG_SHA256_DIGEST_LENGTH);

	hash_text(token, TOKEN_LENGTH, hash);
	SET_VARSIZE(hash_datum, VARHDRSZ + PG_SHA256_DIGEST_LENGTH);
	memcpy(VARDATA(hash_datum), hash, PG_SHA256_DIGEST_LENGTH);

	values[0] = enter_for_tokens(&call, fcinfo);
	if (PG_ARGISNULL(1) || PG_ARGISNULL(2))
		refuse_token("name and scopes must not be null");
	check_name(PG_GETARG_TEXT_PP(1));
	check_scopes(PG_GETARG_ARRAYTYPE_P(2), PG_ARGISNULL(0));
	values[1] = PG_GETARG_DATUM(1);
	values[2] = PointerGetDatum(hash_datum);
	values[3] = PG_GETARG_DATUM(2);
	values[4] = (Datum) 0;
	if (PG_ARGISNULL(3))
		nulls[4] = 'n';
	else
	{
		Interval	zero = {0};

		values[4] = PG_GETARG_DATUM(3);
		if (!DatumGetBool(DirectFunctionCall2(interval_gt, values[4], IntervalPGetDatum(&zero))))
			refuse_token("expires_in must be longer than nothing");
	}
	store_token(values, nulls);
	mt_service_leave(&call);
	PG_RETURN_TEXT_P(cstring_to_text(token));
}

static void
set_for_transaction(const char *name, const char *value)
{
	set_config_option(name, value, PGC_SUSET, PGC_S_SESSION, GUC_ACTION_LOCAL, true, ERROR, false);
}

/*
 * The token that the service role shows for a scope, NULL: for any; tenant, of MT_TENANT_MAX + 1 bytes, gets whose it is. spends: it is a request of
 * the tenant, as it is where nothing can follow for want of the scope. ERROR 28000 for what is no living token, whatever is wrong with it, 53400
 * where the tenant's request budget is spent, 42501 where the token lacks the scope, or where somebody else shows it.
 */
static void
require_token(text *shown, const char *scope, bool spends, char *tenant, Token *token)
{
	mt_hide_tokens_of_statement();
	if (GetUserId() != mt_service_role(false))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("a token can be entered by the service role alone"),
				 errdetail("Its rights are what the token bounds.")));
	if (mt_token_entered())
		ereport(ERROR,
				(errcode(ERRCODE_ACTIVE_SQL_TRANSACTION),
				 errmsg("a token has been entered in this transaction already")));
	if (!look_up_token(VARDATA_ANY(shown), VARSIZE_ANY_EXHDR(shown), scope == NULL ? "" : scope, tenant, token))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION),
				 errmsg("the token is not valid"),
				 errdetail("It is unknown, has expired, or was revoked.")));
	if (spends || (scope != NULL && !token->scope_held))
		mt_spend_request(tenant);
	if (scope != NULL && !token->scope_held)
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("the token lacks the scope \"%s\"", scope),
				 errhint("An admin of the tenant makes one that has it with mt_create_token.")));
}

/*
 * mindtickle.check_token(token, scope, refused) -> text: for the gateway, what enter_token would say of a token, without its being entered: nothing
 * follows from it. It is a request of the tenant where that is refused, as enter_token does not come to count it then. scope NULL: any. Returns the
 * token's tenant, empty for scope metrics.
 */
Datum
mt_check_token(PG_FUNCTION_ARGS)
{
	char		tenant[MT_TENANT_MAX + 1];
	Token		token;

	if (PG_ARGISNULL(0) || PG_ARGISNULL(2))
		PG_RETURN_NULL();
	require_token(PG_GETARG_TEXT_PP(0), PG_ARGISNULL(1) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(1)), PG_GETARG_BOOL(2), tenant, &token);
	PG_RETURN_TEXT_P(cstring_to_text(tenant));
}

/*
 * mindtickle.enter_token(token, scope) -> text: for the gateway. Until the end of the transaction the service role may do what the token may, in
 * this scope, and nothing else; returns the token's tenant, empty for scope metrics. ERROR 28000 for what is no living token, whatever is wrong
 * with it, 42501 where it lacks the scope, 53400 where the tenant's request budget is spent. Counts as a request of the tenant.
 */
Datum
mt_enter_token(PG_FUNCTION_ARGS)
{
	char	   *scope = text_to_cstring(PG_GETARG_TEXT_PP(1));
	char		tenant[MT_TENANT_MAX + 1];
	char		token_id[MT_TOKEN_ID_SIZE];
	Token		token;

	require_token(PG_GETARG_TEXT_PP(0), scope, true, tenant, &token);
	pg_lltoa(token.token_id, token_id);
	set_for_transaction("mindtickle.tenant", tenant);
	set_for_transaction("mindtickle.token_id", token_id);
	set_for_transaction("mindtickle.token_scope", scope);
	PG_RETURN_TEXT_P(cstring_to_text(tenant));
}

/*
 * mt_revoke_token(tenant, name): the token ends, with the next statement of every session. ERROR 42704 where there is none of that name.
 */
Datum
mt_revoke_token(PG_FUNCTION_ARGS)
{
	static MtPlan revoke = {
		"DELETE FROM mindtickle.api_token WHERE tenant_id = $1 AND name = $2", 2, {TEXTOID, TEXTOID}
	};
	MtServiceCall call;
	Datum		values[2];

	values[0] = enter_for_tokens(&call, fcinfo);
	if (PG_ARGISNULL(1))
		refuse_token("name must not be null");
	check_name(PG_GETARG_TEXT_PP(1));
	values[1] = PG_GETARG_DATUM(1);
	if (mt_plan_run(&revoke, values, NULL, SPI_OK_DELETE) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("there is no token of this name")));
	mt_service_leave(&call);
	PG_RETURN_VOID();
}
