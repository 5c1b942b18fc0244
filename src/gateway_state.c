/*
 * gateway_state.c
 *		What the processes of the HTTP gateway share: the tenants' request budgets, counts for /metrics, and who listens where.
 *
 * A budget is a bucket that fills with mindtickle.gateway_requests_per_second and holds two seconds' worth; a request takes one. It lies in
 * shared memory because a tenant has one budget, not one in each process. There is room for BUDGETS_MAX tenants that ask at the same time;
 * where it is used up by tenants of the last two seconds, further ones are served without a budget.
 *
 * Counts are whatever the gateway names; they only grow, and begin anew with the server. Called by token.c (mt_spend_request) and by the
 * gateway through SQL. Without shared memory there is no budget and no count.
 */
#include "gateway_state.h"

#include "catalog/pg_type.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "shared_state.h"
#include "storage/ipc.h"
#include "storage/lwlock.h"
#include "storage/shmem.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"
#include "utils/timestamp.h"
#include "utils/tuplestore.h"

#define BUDGETS_MAX		2048
/* How many seconds' worth of requests may come at once. */
#define BURST_SECONDS	2
#define COUNTS_MAX		512
#define COUNT_NAME_SIZE	128
#define ADDRESS_SIZE	48
/* At least what the processes themselves keep of their connections (worker/gateway_share.c), in bytes. */
#define SHARE_MEMORY	(16 * 1024)

typedef struct BudgetKey
{
	Oid			database;
	char		tenant[MT_TENANT_MAX + 1];
} BudgetKey;

typedef struct Budget
{
	BudgetKey	key;			/* must be first */
	double		level;			/* requests that can be made */
	TimestampTz at;				/* of this level */
} Budget;

typedef struct Count
{
	char		name[COUNT_NAME_SIZE];	/* must be first */
	int64		value;
} Count;

typedef struct Listener
{
	pid_t		pid;			/* 0: none */
	int			port;
	char		address[ADDRESS_SIZE];
} Listener;

typedef struct GatewayState
{
	LWLock	   *lock;
	Listener	listeners[MT_GATEWAYS_MAX];
} GatewayState;

static GatewayState *state = NULL;
static HTAB *budgets = NULL;
static HTAB *counts = NULL;
static shmem_request_hook_type previous_request_hook = NULL;
static shmem_startup_hook_type previous_startup_hook = NULL;

PG_FUNCTION_INFO_V1(mt_gateway_peers);
PG_FUNCTION_INFO_V1(mt_gateway_listens);
PG_FUNCTION_INFO_V1(mt_gateway_count);
PG_FUNCTION_INFO_V1(mt_gateway_counts);

static void
request_memory(void)
{
	if (previous_request_hook)
		previous_request_hook();
	RequestAddinShmemSpace(add_size(MAXALIGN(sizeof(GatewayState)) + SHARE_MEMORY,
									add_size(hash_estimate_size(BUDGETS_MAX, sizeof(Budget)), hash_estimate_size(COUNTS_MAX, sizeof(Count)))));
	RequestNamedLWLockTranche("mindtickle_gateway", 1);
}

static void
start_memory(void)
{
	HASHCTL		budget_control = {.keysize = sizeof(BudgetKey), .entrysize = sizeof(Budget)};
	HASHCTL		count_control = {.keysize = COUNT_NAME_SIZE, .entrysize = sizeof(Count)};
	bool		found;

	if (previous_startup_hook)
		previous_startup_hook();
	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	state = ShmemInitStruct("mindtickle gateway", sizeof(GatewayState), &found);
	if (!found)
	{
		memset(state, 0, sizeof(GatewayState));
		state->lock = &(GetNamedLWLockTranche("mindtickle_gateway"))->lock;
	}
	budgets = ShmemInitHash("mindtickle request budgets", BUDGETS_MAX, BUDGETS_MAX, &budget_control, HASH_ELEM | HASH_BLOBS | HASH_FIXED_SIZE);
	counts = ShmemInitHash("mindtickle gateway counts", COUNTS_MAX, COUNTS_MAX, &count_control, HASH_ELEM | HASH_STRINGS | HASH_FIXED_SIZE);
	LWLockRelease(AddinShmemInitLock);
}

/*
 * Asks for the memory. By _PG_init, in the postmaster.
 */
void
mt_request_gateway_memory(void)
{
	previous_request_hook = shmem_request_hook;
	shmem_request_hook = request_memory;
	previous_startup_hook = shmem_startup_hook;
	shmem_startup_hook = start_memory;
}

/* What a bucket holds by now. */
static double
level_now(const Budget *budget, double rate, TimestampTz now)
{
	double		seconds = Max((double) (now - budget->at) / USECS_PER_SEC, 0);

	return Min(budget->level + seconds * rate, rate * BURST_SECONDS);
}

/* Removes the buckets that have filled up: to be without one is the same. The lock is held. */
static void
remove_full_budgets(double rate, TimestampTz now)
{
	HASH_SEQ_STATUS status;
	Budget	   *budget;

	hash_seq_init(&status, budgets);
	while ((budget = hash_seq_search(&status)) != NULL)
		if (level_now(budget, rate, now) >= rate * BURST_SECONDS)
			hash_search(budgets, &budget->key, HASH_REMOVE, NULL);
}

/* Takes a request out of a tenant's bucket. False where there is none in it. */
static bool
take_request(const BudgetKey *key, double rate)
{
	TimestampTz now = GetCurrentTimestamp();
	Budget	   *budget;
	bool		found;
	bool		taken = true;

	LWLockAcquire(state->lock, LW_EXCLUSIVE);
	if (hash_get_num_entries(budgets) == BUDGETS_MAX && hash_search(budgets, key, HASH_FIND, NULL) == NULL)
		remove_full_budgets(rate, now);
	budget = hash_search(budgets, key, HASH_ENTER_NULL, &found);
	if (budget != NULL)
	{
		budget->level = found ? level_now(budget, rate, now) : rate * BURST_SECONDS;
		budget->at = now;
		taken = budget->level >= 1;
		if (taken)
			budget->level -= 1;
	}
	LWLockRelease(state->lock);
	return taken;
}

/*
 * Counts a request against the tenant's budget. ERROR 53400 where it is spent.
 */
void
mt_spend_request(const char *tenant)
{
	BudgetKey	key;

	if (state == NULL || mt_setting_gateway_requests_per_second == 0 || tenant[0] == '\0')
		return;
	memset(&key, 0, sizeof(key));
	key.database = MyDatabaseId;
	strlcpy(key.tenant, tenant, sizeof(key.tenant));
	if (!take_request(&key, mt_setting_gateway_requests_per_second))
		ereport(ERROR,
				(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
				 errmsg("the tenant's request budget is spent"),
				 errdetail("It is %d requests a second.", mt_setting_gateway_requests_per_second)));
}

/*
 * mindtickle.gateway_peers(address, port) -> int: how many other processes of this server listen there.
 */
Datum
mt_gateway_peers(PG_FUNCTION_ARGS)
{
	char	   *address = text_to_cstring(PG_GETARG_TEXT_PP(0));
	int32		port = PG_GETARG_INT32(1);
	int			peers = 0;

	if (state == NULL)
		PG_RETURN_INT32(0);
	LWLockAcquire(state->lock, LW_SHARED);
	for (int i = 0; i < MT_GATEWAYS_MAX; i++)
		if (state->listeners[i].pid != 0 && state->listeners[i].pid != MyProcPid && state->listeners[i].port == port &&
			strcmp(state->listeners[i].address, address) == 0)
			peers++;
	LWLockRelease(state->lock);
	PG_RETURN_INT32(peers);
}

static void
forget_listener(int code, Datum arg)
{
	LWLockAcquire(state->lock, LW_EXCLUSIVE);
	for (int i = 0; i < MT_GATEWAYS_MAX; i++)
		if (state->listeners[i].pid == MyProcPid)
			state->listeners[i].pid = 0;
	LWLockRelease(state->lock);
}

/*
 * mindtickle.gateway_listens(address, port): this process listens there, until it exits.
 */
Datum
mt_gateway_listens(PG_FUNCTION_ARGS)
{
	char	   *address = text_to_cstring(PG_GETARG_TEXT_PP(0));
	int32		port = PG_GETARG_INT32(1);
	Listener   *own = NULL;

	if (state == NULL)
		PG_RETURN_VOID();
	LWLockAcquire(state->lock, LW_EXCLUSIVE);
	for (int i = 0; i < MT_GATEWAYS_MAX && (own == NULL || own->pid != MyProcPid); i++)
		if (state->listeners[i].pid == MyProcPid || (own == NULL && state->listeners[i].pid == 0))
			own = &state->listeners[i];
	if (own != NULL)
	{
		own->pid = MyProcPid;
		own->port = port;
		strlcpy(own->address, address, sizeof(own->address));
	}
	LWLockRelease(state->lock);
	before_shmem_exit(forget_listener, (Datum) 0);
	PG_RETURN_VOID();
}

/*
 * mindtickle.gateway_count(names text[], amounts int8[]): adds to these counts. What there is no room for is left out.
 */
Datum
mt_gateway_count(PG_FUNCTION_ARGS)
{
	Datum	   *names;
	Datum	   *amounts;
	int			name_count;
	int			amount_count;

	if (state == NULL)
		PG_RETURN_VOID();
	deconstruct_array(PG_GETARG_ARRAYTYPE_P(0), TEXTOID, -1, false, TYPALIGN_INT, &names, NULL, &name_count);
	deconstruct_array(PG_GETARG_ARRAYTYPE_P(1), INT8OID, sizeof(int64), FLOAT8PASSBYVAL, TYPALIGN_DOUBLE, &amounts, NULL, &amount_count);
	for (int i = 0; i < Min(name_count, amount_count); i++)
	{
		char		name[COUNT_NAME_SIZE];
		Count	   *count;
		bool		found;

		text_to_cstring_buffer(DatumGetTextPP(names[i]), name, sizeof(name));
		LWLockAcquire(state->lock, LW_EXCLUSIVE);
		count = hash_search(counts, name, HASH_ENTER_NULL, &found);
		if (count != NULL)
			count->value = (found ? count->value : 0) + DatumGetInt64(amounts[i]);
		LWLockRelease(state->lock);
	}
	PG_RETURN_VOID();
}

/*
 * mindtickle.gateway_counts() -> setof (name, value).
 */
Datum
mt_gateway_counts(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	HASH_SEQ_STATUS status;
	Count	   *copies = palloc(sizeof(Count) * COUNTS_MAX);
	const Count *count;
	int			copied = 0;

	InitMaterializedSRF(fcinfo, 0);
	if (state == NULL)
		return (Datum) 0;
	LWLockAcquire(state->lock, LW_SHARED);
	hash_seq_init(&status, counts);
	while ((count = hash_seq_search(&status)) != NULL)
		copies[copied++] = *count;
	LWLockRelease(state->lock);

	for (int i = 0; i < copied; i++)
	{
		Datum		values[2] = {CStringGetTextDatum(copies[i].name), Int64GetDatum(copies[i].value)};
		bool		nulls[2] = {false, false};

		tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	}
	return (Datum) 0;
}
