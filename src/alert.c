/*
 * alert.c
 *		Alerts: each refusal to reach a tenant is counted where a rollback does not reach it, and told to the publisher, which stores it.
 *
 * The counts are in a hash table in shared memory, one entry for each kind of attempt: who, from where, for which tenant, at what. A flood of
 * the same attempt is one entry and a number. A session role gets at most ROLE_ENTRIES_MAX entries of a database; its further attempts are
 * counted in one entry that names no tenant and no object, so the memory and the rows are bounded and the count stays exact. Entries stay for
 * an hour after their last attempt, so that the bound holds for the rows of an hour. The publisher takes the counts (mt_take_alerts) in the
 * transaction that stores them, and they are subtracted when that has committed.
 *
 * Counts of a database without a publisher wait for one, and go when the database is dropped. They do not crowd out other databases: one takes
 * at most half of what it leaves, and some entries are kept for each. What a database has no room for is counted in one entry that names no role.
 *
 * The log gets at most one line a second and session role. Without shared memory, or in recovery, where nobody could store them, that line is
 * all there is. Called by tenant_context.c at each refusal, before the error is raised. Never raises an error about the attempt itself.
 */
#include "alert.h"

#include "access.h"
#include "access/parallel.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "commands/dbcommands.h"
#include "funcapi.h"
#include "log_redaction.h"
#include "miscadmin.h"
#include "shared_state.h"
#include "storage/ipc.h"
#include "storage/lwlock.h"
#include "storage/proc.h"
#include "storage/shmem.h"
#include "tenant_context.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"
#include "utils/tuplestore.h"

/* Entries of all databases together, and of one session role in one database. */
#define ENTRIES_MAX			2048
#define ROLE_ENTRIES_MAX	64
/* Entries that each database finds room for, and what is kept for that: these, and the one that names no role. */
#define ENTRIES_GRANTED		8
#define ENTRIES_RESERVED	(MT_DATABASES_MAX * (ENTRIES_GRANTED + 1))
/* An entry without uncounted attempts is kept so long after the last one, in microseconds. */
#define ENTRY_LIFE			(INT64CONST(3600) * USECS_PER_SEC)
#define LOG_PAUSE			USECS_PER_SEC
/* Values of mindtickle.tenant that are told apart within a transaction. */
#define CONTEXTS_MAX		16

#if PG_VERSION_NUM >= 170000
#define MY_TRANSACTION		(MyProc->vxid.lxid)
#else
#define MY_TRANSACTION		(MyProc->lxid)
#endif

#define CLIENT_SIZE			48
#define OBJECT_SIZE			(NAMEDATALEN + 12)

/*
 * A kind of attempt. An entry of all further attempts of a role has nothing but database and session_role, and further set; that of a database's
 * further attempts has no session_role either.
 */
typedef struct AlertKey
{
	Oid			database;
	bool		further;
	char		session_role[NAMEDATALEN];
	char		current_role[NAMEDATALEN];
	char		client[CLIENT_SIZE];	/* empty: a local socket, or no client */
	char		tenant_in_force[MT_TENANT_MAX + 1]; /* empty: none */
	char		tenant_asked[MT_TENANT_MAX + 1];
	char		object[OBJECT_SIZE];
} AlertKey;

typedef struct AlertEntry
{
	AlertKey	key;			/* must be first */
	int64		count;			/* attempts that are not stored yet */
	TimestampTz first_at;		/* of those */
	TimestampTz last_at;
	/* of an entry for further attempts: what concerns its session role, or its database, as a whole */
	int			entries;
	TimestampTz logged_at;
	int64		unlogged;
} AlertEntry;

typedef struct AlertState
{
	LWLock	   *lock;
	bool		idle;			/* there may be entries that hold nothing any more */
} AlertState;

static AlertState *state = NULL;
static HTAB *entries = NULL;
static shmem_request_hook_type previous_request_hook = NULL;
static shmem_startup_hook_type previous_startup_hook = NULL;

/* What this transaction has taken to store it. */
static struct
{
	bool		registered;
	int			count;
	struct
	{
		AlertKey	key;
		int64		count;
	}		   *taken;			/* in TopTransactionContext */
} taking;

/* In which (sub)transaction refusals are probes of the isolation itself and make no alert. */
static struct
{
	LocalTransactionId transaction;
	SubTransactionId subtransaction;
} probe = {InvalidLocalTransactionId, InvalidSubTransactionId};

PG_FUNCTION_INFO_V1(mt_take_alerts);
PG_FUNCTION_INFO_V1(mt_begin_probe);

static void
request_memory(void)
{
	if (previous_request_hook)
		previous_request_hook();
	RequestAddinShmemSpace(add_size(MAXALIGN(sizeof(AlertState)), hash_estimate_size(ENTRIES_MAX, sizeof(AlertEntry))));
	RequestNamedLWLockTranche("mindtickle_alert", 1);
}

static void
start_memory(void)
{
	HASHCTL		control = {.keysize = sizeof(AlertKey), .entrysize = sizeof(AlertEntry)};
	bool		found;

	if (previous_startup_hook)
		previous_startup_hook();
	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	state = ShmemInitStruct("mindtickle alerts", sizeof(AlertState), &found);
	if (!found)
	{
		state->lock = &(GetNamedLWLockTranche("mindtickle_alert"))->lock;
		state->idle = false;
	}
	entries = ShmemInitHash("mindtickle alert entries", ENTRIES_MAX, ENTRIES_MAX, &control, HASH_ELEM | HASH_BLOBS | HASH_FIXED_SIZE);
	LWLockRelease(AddinShmemInitLock);
}

/*
 * Asks for the memory. By _PG_init, in the postmaster.
 */
void
mt_request_alert_memory(void)
{
	previous_request_hook = shmem_request_hook;
	shmem_request_hook = request_memory;
	previous_startup_hook = shmem_startup_hook;
	shmem_startup_hook = start_memory;
}

/* The client's address as text, empty where there is none: a local socket, a worker. */
static const char *
client_address(void)
{
	static char address[CLIENT_SIZE];
	static bool known = false;
	LOCAL_FCINFO(call, 0);
	Datum		value;

	if (known)
		return address;
	InitFunctionCallInfoData(*call, NULL, 0, InvalidOid, NULL, NULL);
	value = inet_client_addr(call);
	if (!call->isnull)
		strlcpy(address, DatumGetCString(DirectFunctionCall1(inet_out, value)), sizeof(address));
	known = true;
	return address;
}

/*
 * What was asked for, in a form that can be stored and shown: a name as it is; anything else, which may be a token in the wrong place, or a
 * setting from a start-up packet in no encoding at all, redacted and with ? for what is not printable ASCII.
 */
static void
copy_asked(char *copy, const char *asked)
{
	char	   *redacted = mt_tenant_name_valid(asked) ? NULL : mt_redact_tokens(asked);

	strlcpy(copy, redacted == NULL ? asked : redacted, MT_TENANT_MAX + 1);
	for (; *copy != '\0'; copy++)
		if ((unsigned char) *copy < ' ' || (unsigned char) *copy > '~')
			*copy = '?';
}

static void
fill_key(AlertKey *key, const char *tenant_asked, const char *object)
{
	const char *in_force = mt_tenant_in_force_quietly();
	char	   *session_role = GetUserNameFromId(GetSessionUserId(), true);
	char	   *current_role = GetUserNameFromId(GetUserId(), true);

	memset(key, 0, sizeof(AlertKey));
	key->database = MyDatabaseId;
	strlcpy(key->session_role, session_role == NULL ? "" : session_role, NAMEDATALEN);
	strlcpy(key->current_role, current_role == NULL ? "" : current_role, NAMEDATALEN);
	strlcpy(key->client, client_address(), CLIENT_SIZE);
	strlcpy(key->tenant_in_force, in_force == NULL ? "" : in_force, sizeof(key->tenant_in_force));
	copy_asked(key->tenant_asked, tenant_asked);
	strlcpy(key->object, object == NULL ? "" : object, OBJECT_SIZE);
}

/* The key of a role's further attempts, or, of an empty name, of a database's. Whole, with what is between and behind the fields. */
static void
fill_further_key(AlertKey *key, Oid database, const char *session_role)
{
	memset(key, 0, sizeof(AlertKey));
	key->database = database;
	key->further = true;
	strlcpy(key->session_role, session_role, NAMEDATALEN);
}

/* The entry of that key; NULL where there is none. The lock is held. */
static AlertEntry *
find_further(Oid database, const char *session_role)
{
	AlertKey	key;

	fill_further_key(&key, database, session_role);
	return hash_search(entries, &key, HASH_FIND, NULL);
}

/* Removes an entry that has none below it. The lock is held. */
static void
remove_entry(AlertEntry *entry)
{
	AlertEntry *role_entry = entry->key.further ? NULL : find_further(entry->key.database, entry->key.session_role);
	AlertEntry *database_entry = find_further(entry->key.database, "");

	if (role_entry != NULL && role_entry != database_entry)
		role_entry->entries--;
	if (database_entry != NULL && database_entry != entry)
		database_entry->entries--;
	hash_search(entries, &entry->key, HASH_REMOVE, NULL);
}

/* Removes entries that hold nothing any more: all of them, or those whose time has passed. The lock is held. */
static void
remove_idle_entries(TimestampTz idle_since)
{
	HASH_SEQ_STATUS status;
	AlertEntry *entry;

	hash_seq_init(&status, entries);
	while ((entry = hash_seq_search(&status)) != NULL)
		if (entry->count == 0 && entry->last_at <= idle_since && entry->entries == 0)
			remove_entry(entry);
}

/* A new entry of a key; NULL where the table is full. The lock is held. */
static AlertEntry *
make_entry(const AlertKey *key)
{
	AlertEntry *entry = hash_search(entries, key, HASH_ENTER_NULL, NULL);

	if (entry != NULL)
		memset((char *) entry + sizeof(AlertKey), 0, sizeof(AlertEntry) - sizeof(AlertKey));
	return entry;
}

/* True when a database may have as many entries as it is said to have. The lock is held. */
static bool
has_room(const AlertEntry *database_entry)
{
	return database_entry->entries <= ENTRIES_GRANTED ||
		2 * database_entry->entries <= ENTRIES_MAX - ENTRIES_RESERVED - hash_get_num_entries(entries);
}

/* The entry of a key, made where there is none and the database has room. above: the entry of the further ones. The lock is held. */
static AlertEntry *
find_or_make_entry(const AlertKey *key, AlertEntry *above, AlertEntry *database_entry)
{
	AlertEntry *entry = hash_search(entries, key, HASH_FIND, NULL);

	if (entry != NULL)
		return entry;
	/* Counted already when room is made, which takes away what has nothing to its name. */
	database_entry->entries++;
	if (above != database_entry)
		above->entries++;
	if (!has_room(database_entry) && state->idle)
	{
		state->idle = false;
		remove_idle_entries(DT_NOEND);
	}
	if (has_room(database_entry))
		entry = make_entry(key);
	if (entry == NULL)
	{
		database_entry->entries--;
		if (above != database_entry)
			above->entries--;
	}
	return entry;
}

/*
 * The entry in which an attempt is counted: its own, or one of further attempts, of its role or of the database. *whole is the one that tells when
 * the log had its line. NULL where there is no room for anything. The lock is held.
 */
static AlertEntry *
entry_of_attempt(const AlertKey *key, AlertEntry **whole)
{
	AlertKey	further;
	AlertEntry *database_entry = find_further(key->database, "");
	AlertEntry *entry;

	fill_further_key(&further, key->database, "");
	if (database_entry == NULL)
		database_entry = make_entry(&further);
	*whole = database_entry;
	if (database_entry == NULL)
		return NULL;
	fill_further_key(&further, key->database, key->session_role);
	*whole = find_or_make_entry(&further, database_entry, database_entry);
	if (*whole == NULL)
	{
		*whole = database_entry;
		return database_entry;
	}
	entry = hash_search(entries, key, HASH_FIND, NULL);
	if (entry == NULL && (*whole)->entries < ROLE_ENTRIES_MAX)
		entry = find_or_make_entry(key, *whole, database_entry);
	return entry != NULL ? entry : *whole;
}

/* True when it is time for another line in the log, also where a clock that was ahead has written the last one. */
static bool
log_due(TimestampTz now, TimestampTz logged_at)
{
	return logged_at > now || now - logged_at >= LOG_PAUSE;
}

/*
 * Counts an attempt; false where that is not possible. *log is set where the log is to have a line, *unlogged is then how many had none since the
 * last. *first: the publisher has to be told.
 */
static bool
count_attempt(const AlertKey *key, TimestampTz now, bool *log, int64 *unlogged, bool *first)
{
	AlertEntry *whole;
	AlertEntry *entry;

	LWLockAcquire(state->lock, LW_EXCLUSIVE);
	entry = entry_of_attempt(key, &whole);
	if (entry != NULL)
	{
		*first = entry->count++ == 0;
		if (*first)
			entry->first_at = now;
		entry->last_at = now;
		whole->last_at = now;
		whole->unlogged++;
		if (log_due(now, whole->logged_at))
		{
			*log = true;
			*unlogged = whole->unlogged - 1;
			whole->logged_at = now;
			whole->unlogged = 0;
		}
	}
	LWLockRelease(state->lock);
	return entry != NULL;
}

/* The same where there is nothing to count in: only when to log. */
static void
count_for_log(TimestampTz now, bool *log, int64 *unlogged)
{
	static TimestampTz logged_at = 0;
	static int64 not_logged = 0;

	*log = log_due(now, logged_at);
	*unlogged = not_logged;
	not_logged = *log ? 0 : not_logged + 1;
	if (*log)
		logged_at = now;
}

/* The line in the log: no statement, no value that is not a name. */
static void
log_attempt(const AlertKey *key, int64 unlogged)
{
	const char *asked = mt_tenant_name_valid(key->tenant_asked) ? key->tenant_asked : "(no tenant id)";

	ereport(LOG_SERVER_ONLY,
			(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
			 errmsg("mindtickle: refused tenant \"%s\" to role \"%s\"", asked, key->current_role),
			 errdetail("Session role \"%s\", client %s, database \"%s\", tenant in force \"%s\", object %s; "
					   "%lld more since the last line about this session role.",
					   key->session_role, key->client[0] == '\0' ? "local" : key->client, get_database_name(key->database),
					   key->tenant_in_force, key->object, (long long) unlogged),
			 errhidestmt(true), errhidecontext(true)));
}

/*
 * Counts a refusal. tenant_asked may be anything that was given as a tenant, object is the function, table or command that was refused.
 */
void
mt_alert(const char *tenant_asked, const char *object)
{
	AlertKey	key;
	TimestampTz now = GetCurrentTimestamp();
	bool		log = false;
	bool		first = false;
	int64		unlogged = 0;

	if (probe.transaction == MY_TRANSACTION && SubTransactionIsActive(probe.subtransaction))
		return;
	fill_key(&key, tenant_asked, object);
	if (state == NULL || RecoveryInProgress() || !count_attempt(&key, now, &log, &unlogged, &first))
		count_for_log(now, &log, &unlogged);
	if (first)
		mt_mark_alerts();
	if (log)
		log_attempt(&key, unlogged);
}

/*
 * Counts a context that names a tenant without a right to it, once for each transaction and value. Parallel workers leave it to their leader.
 */
void
mt_alert_context(const char *setting)
{
	static LocalTransactionId transaction = InvalidLocalTransactionId;
	static char settings[CONTEXTS_MAX][MT_TENANT_MAX + 1];
	static int	count = 0;
	char		clipped[MT_TENANT_MAX + 1];

	if (IsParallelWorker())
		return;
	if (transaction != MY_TRANSACTION)
	{
		transaction = MY_TRANSACTION;
		count = 0;
	}
	strlcpy(clipped, setting, sizeof(clipped));
	for (int i = 0; i < Min(count, CONTEXTS_MAX); i++)
		if (strcmp(settings[i], clipped) == 0)
			return;
	strcpy(settings[count++ % CONTEXTS_MAX], clipped);
	mt_alert(setting, "mindtickle.tenant");
}

/*
 * mindtickle.begin_probe(): refusals make no alert until the end of the (sub)transaction. The owner's alone.
 */
Datum
mt_begin_probe(PG_FUNCTION_ARGS)
{
	mt_require_owner(fcinfo);
	probe.transaction = MY_TRANSACTION;
	probe.subtransaction = GetCurrentSubTransactionId();
	PG_RETURN_VOID();
}

/*
 * Removes what waits for a database that has been dropped meanwhile. By the launcher, in a transaction.
 */
void
mt_forget_alerts_of_dropped(void)
{
	HASH_SEQ_STATUS status;
	AlertEntry *entry;
	Oid		   *databases = palloc(sizeof(Oid) * ENTRIES_MAX);
	int			count = 0;

	/* Listed before the catalog is looked at: a database that has come since then is not among them. */
	LWLockAcquire(state->lock, LW_SHARED);
	hash_seq_init(&status, entries);
	while ((entry = hash_seq_search(&status)) != NULL)
		if (entry->key.further && entry->key.session_role[0] == '\0')
			databases[count++] = entry->key.database;
	LWLockRelease(state->lock);

	for (int i = 0; i < count; i++)
	{
		if (SearchSysCacheExists1(DATABASEOID, ObjectIdGetDatum(databases[i])))
			continue;
		LWLockAcquire(state->lock, LW_EXCLUSIVE);
		hash_seq_init(&status, entries);
		while ((entry = hash_seq_search(&status)) != NULL)
			if (entry->key.database == databases[i])
				hash_search(entries, &entry->key, HASH_REMOVE, NULL);
		LWLockRelease(state->lock);
	}
	pfree(databases);
}

/* What was taken and is stored now is not waiting any more. */
static void
at_transaction_end(XactEvent event, void *arg)
{
	if (event != XACT_EVENT_COMMIT && event != XACT_EVENT_ABORT && event != XACT_EVENT_PREPARE)
		return;
	if (event == XACT_EVENT_COMMIT && taking.count > 0)
	{
		LWLockAcquire(state->lock, LW_EXCLUSIVE);
		for (int i = 0; i < taking.count; i++)
		{
			AlertEntry *entry = hash_search(entries, &taking.taken[i].key, HASH_FIND, NULL);

			if (entry != NULL)
				entry->count -= taking.taken[i].count;
		}
		state->idle = true;
		LWLockRelease(state->lock);
	}
	taking.count = 0;
	taking.taken = NULL;
}

/* An entry as a row of mt_take_alerts. */
static void
put_row(ReturnSetInfo *result, const AlertEntry *entry)
{
	Datum		values[9];
	bool		nulls[9] = {false};
	const AlertKey *key = &entry->key;

	values[0] = TimestampTzGetDatum(entry->first_at);
	values[1] = TimestampTzGetDatum(entry->last_at);
	values[2] = CStringGetTextDatum(key->session_role);
	values[3] = CStringGetTextDatum(key->current_role);
	nulls[3] = key->current_role[0] == '\0';
	nulls[4] = key->client[0] == '\0';
	values[4] = nulls[4] ? (Datum) 0 : DirectFunctionCall1(inet_in, CStringGetDatum(key->client));
	values[5] = CStringGetTextDatum(key->tenant_in_force);
	nulls[5] = key->tenant_in_force[0] == '\0';
	values[6] = CStringGetTextDatum(key->tenant_asked);
	nulls[6] = key->further;
	values[7] = CStringGetTextDatum(key->object);
	nulls[7] = key->object[0] == '\0';
	values[8] = Int64GetDatum(entry->count);
	tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
}

/*
 * mindtickle.take_alerts() -> setof (at, last_at, session_role, current_role, client_addr, tenant_in_force, tenant_asked, object, count): the
 * attempts of this database that are not stored yet. They count as stored when the transaction commits. Once a transaction.
 */
Datum
mt_take_alerts(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	HASH_SEQ_STATUS status;
	AlertEntry *entry;
	AlertEntry *copies;
	int			count = 0;

	InitMaterializedSRF(fcinfo, MAT_SRF_USE_EXPECTED_DESC);
	if (state == NULL || taking.count > 0)
		return (Datum) 0;
	if (!taking.registered)
		RegisterXactCallback(at_transaction_end, NULL);
	taking.registered = true;

	copies = palloc(sizeof(AlertEntry) * ENTRIES_MAX);
	LWLockAcquire(state->lock, LW_EXCLUSIVE);
	remove_idle_entries(GetCurrentTimestamp() - ENTRY_LIFE);
	hash_seq_init(&status, entries);
	while ((entry = hash_seq_search(&status)) != NULL)
		if (entry->key.database == MyDatabaseId && entry->count > 0)
			copies[count++] = *entry;
	LWLockRelease(state->lock);

	taking.taken = MemoryContextAlloc(TopTransactionContext, sizeof(*taking.taken) * Max(count, 1));
	for (int i = 0; i < count; i++)
	{
		put_row(result, &copies[i]);
		taking.taken[i].key = copies[i].key;
		taking.taken[i].count = copies[i].count;
	}
	taking.count = count;
	pfree(copies);
	return (Datum) 0;
}
