/*
 * process.c
 *		The life of a worker process: start, wait until the extension can be used, take on the service role, run transactions, reload, end.
 *
 * Called by the entry points in publisher.c, aggregator.c, helper.c, sync.c and gateway.c. A worker reaches the extension through SQL alone, and the
 * text of that SQL is in statements.c; the only exceptions are the two questions of the start, asked here because they come before the service role
 * is known.
 *
 * A worker ends with 0 where it has nothing to do in this database and with 1 where the launcher shall start it again. It never ends because
 * of data: a transaction that fails is rolled back in mt_in_transaction and the caller goes on.
 */
#include "process.h"

#include "access/xact.h"
#include "commands/extension.h"
#include "common/pg_prng.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "statements.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/proc.h"
#include "tcop/tcopprot.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timeout.h"

PG_MODULE_MAGIC;

/* Milliseconds between two looks at an extension that cannot be used yet. */
#define READY_CHECK_PAUSE 60000

/* What mindtickle.service_role was when the role was taken on. */
static char service_role_setting[NAMEDATALEN];

/*
 * An order to end (SIGTERM) interrupts a transaction, as in any backend. Between transactions it waits for mt_worker_service, so that a
 * worker can do its last work.
 */
static volatile sig_atomic_t in_transaction = false;
static volatile sig_atomic_t end_ordered = false;
static uint64 transaction_count = 0;
static MtWork last_work = NULL;
static void *last_work_argument;

/* Set where the worker ends by itself after an order; then an order interrupts a transaction only when it is repeated after so long. */
static bool gentle = false;
static volatile TimestampTz ordered_at = 0;

#define PATIENCE	(3 * USECS_PER_SEC)

/* Argument and result of the questions of the start. */
typedef struct StartQuestion
{
	const char *kind;
	bool		present;
	bool		attached;
	char		state[400];
} StartQuestion;

/* The session's own settings: what a database or role was given by ALTER ... SET must not change how a worker works. */
static const struct
{
	const char *name;
	const char *value;
}			session_settings[] = {
	{"search_path", "pg_catalog, pg_temp"},
	{"default_transaction_isolation", "read committed"},
	{"default_transaction_read_only", "off"},
	{"idle_in_transaction_session_timeout", "0"},
#if PG_VERSION_NUM >= 170000
	{"transaction_timeout", "0"},
#endif
	/* Short: while one tenant waits for a lock, all do. */
	{"lock_timeout", "2s"},
	{"statement_timeout", "60s"},
	{"row_security", "on"},
	/* Statements are short, whatever the planner thinks of tables that it knows nothing of yet: compiling one can take a second, many times over. */
	{"jit", "off"},
	/* Waits for this server's disk, not for a standby: a budget must survive a crash, and a lost standby must not stop the pulls. */
	{"synchronous_commit", "local"},
};

static void
take_order_to_end(SIGNAL_ARGS)
{
	int			saved_errno = errno;

	if (ordered_at == 0)
		ordered_at = GetCurrentTimestamp();
	if (in_transaction && (!gentle || GetCurrentTimestamp() - ordered_at > PATIENCE))
		die(postgres_signal_arg);
	end_ordered = true;
	SetLatch(MyLatch);
	errno = saved_errno;
}

/*
 * From here on the worker looks itself whether it was ordered to end, and ends when it has done what it began: at most PATIENCE later.
 */
void
mt_worker_end_gently(void)
{
	gentle = true;
}

/*
 * True when the worker was ordered to end.
 */
bool
mt_worker_end_ordered(void)
{
	return end_ordered;
}

/* Does what there is to do last, and ends the process; the launcher starts it again where it shall go on. */
static void
end_as_ordered(void)
{
	MtFailure	failure;

	end_ordered = false;
	if (last_work != NULL && !mt_in_transaction(last_work, last_work_argument, &failure))
		ereport(LOG, (errmsg("a worker of mindtickle could not finish before its end: %s", failure.text)));
	proc_exit(1);
}

/*
 * Has work done in a transaction when the worker is ordered to end, unless that comes in the middle of another one.
 */
void
mt_worker_do_last(MtWork work, void *argument)
{
	last_work = work;
	last_work_argument = argument;
}

/* Takes over what an error says. A data exception's message is left out of the text, as it may quote data. */
static void
take_failure(const ErrorData *error, MtFailure *failure)
{
	failure->sqlstate = error->sqlerrcode;
	if (ERRCODE_TO_CATEGORY(error->sqlerrcode) == ERRCODE_DATA_EXCEPTION)
		snprintf(failure->text, sizeof(failure->text), "data exception %s", unpack_sql_state(error->sqlerrcode));
	else
		strlcpy(failure->text, error->message, sizeof(failure->text));
	strlcpy(failure->message, error->message, sizeof(failure->message));
	strlcpy(failure->field, error->column_name == NULL ? "" : error->column_name, sizeof(failure->field));
	strlcpy(failure->hint, error->hint == NULL ? "" : error->hint, sizeof(failure->hint));
}

/* Runs work in a transaction of its own with this isolation; flushed: its commit waits for the disk. False when it failed: see mt_in_transaction. */
static bool
run_transaction(int isolation, bool flushed, MtWork work, void *argument, MtFailure *failure)
{
	MemoryContext caller = CurrentMemoryContext;
	volatile bool committed = false;

	in_transaction = true;
	transaction_count++;
	if (end_ordered && !gentle)
	{
		in_transaction = false;
		end_as_ordered();
	}
	PG_TRY();
	{
		SetCurrentStatementStartTimestamp();
		StartTransactionCommand();
		XactIsoLevel = isolation;
		if (!flushed)
			(void) set_config_option("synchronous_commit", "off", PGC_USERSET, PGC_S_SESSION, GUC_ACTION_LOCAL, true, ERROR, false);
		if (StatementTimeout > 0)
			enable_timeout_after(STATEMENT_TIMEOUT, StatementTimeout);
		SPI_connect();
		PushActiveSnapshot(GetTransactionSnapshot());
		work(argument);
		SPI_finish();
		PopActiveSnapshot();
		disable_timeout(STATEMENT_TIMEOUT, false);
		CommitTransactionCommand();
		committed = true;
	}
	PG_CATCH();
	{
		/* FreeErrorData does not free all that CopyErrorData copies. */
		MemoryContext copies = AllocSetContextCreate(caller, "mindtickle failure", ALLOCSET_SMALL_SIZES);
		ErrorData  *error;

		HOLD_INTERRUPTS();
		disable_timeout(STATEMENT_TIMEOUT, false);
		QueryCancelPending = false;
		MemoryContextSwitchTo(copies);
		error = CopyErrorData();
		FlushErrorState();
		AbortCurrentTransaction();
		take_failure(error, failure);
		MemoryContextDelete(copies);
		RESUME_INTERRUPTS();
	}
	PG_END_TRY();

	in_transaction = false;
	MemoryContextSwitchTo(caller);
	pgstat_report_stat(false);
	return committed;
}

static void
report_failure(void *argument)
{
	mt_sql_worker_failed(argument);
}

/*
 * Shows a failure in mt_stat_worker, if the extension is there at all; for those of mt_try_transaction that are this process's own.
 */
void
mt_worker_report_failure(MtFailure *failure)
{
	MtFailure	unreported;

	(void) run_transaction(XACT_READ_COMMITTED, true, report_failure, failure->text, &unreported);
}

/* A failure shows in mt_stat_worker. */
static bool
run_and_report(int isolation, bool flushed, MtWork work, void *argument, MtFailure *failure)
{
	if (run_transaction(isolation, flushed, work, argument, failure))
		return true;
	mt_worker_report_failure(failure);
	return false;
}

/*
 * Runs work in a transaction of its own. False when it failed: then everything is rolled back and *failure says why. The error's detail and
 * context are dropped, and so is the message of a data exception: they may quote data.
 */
bool
mt_in_transaction(MtWork work, void *argument, MtFailure *failure)
{
	return run_and_report(XACT_READ_COMMITTED, true, work, argument, failure);
}

/*
 * The same for work that is done again by itself should a crash of the server undo it: its commit does not wait for the disk. What commits after it
 * is never there without it.
 */
bool
mt_in_unflushed_transaction(MtWork work, void *argument, MtFailure *failure)
{
	return run_and_report(XACT_READ_COMMITTED, false, work, argument, failure);
}

/*
 * The same for work that may fail by the fault of who asked for it: it does not show in mt_stat_worker.
 */
bool
mt_try_transaction(MtWork work, void *argument, MtFailure *failure)
{
	return run_transaction(XACT_READ_COMMITTED, true, work, argument, failure);
}

/*
 * The same, all of it in one snapshot (REPEATABLE READ).
 */
bool
mt_in_snapshot(MtWork work, void *argument, MtFailure *failure)
{
	return run_and_report(XACT_REPEATABLE_READ, true, work, argument, failure);
}

static void
look_for_extension(void *argument)
{
	StartQuestion *question = argument;

	question->present = OidIsValid(get_extension_oid("mindtickle", true));
}

static void
attach_to_slot(void *argument)
{
	StartQuestion *question = argument;
	Oid			types[1] = {TEXTOID};
	Datum		values[1] = {CStringGetTextDatum(question->kind)};
	bool		isnull;

	if (SPI_execute_with_args("SELECT mindtickle.worker_attach($1)", 1, types, values, NULL, false, 1) != SPI_OK_SELECT ||
		SPI_processed != 1)
		elog(ERROR, "mindtickle.worker_attach gave no answer");
	question->attached = DatumGetBool(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull));
}

static void
ask_for_state(void *argument)
{
	StartQuestion *question = argument;
	char	   *state;

	if (SPI_execute("SELECT mindtickle.worker_state()", false, 1) != SPI_OK_SELECT || SPI_processed != 1)
		elog(ERROR, "mindtickle.worker_state gave no answer");
	state = SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1);
	strlcpy(question->state, state == NULL ? "absent" : state, sizeof(question->state));
}

/*
 * True when the extension can be used and this process has its rights. Between transactions.
 */
bool
mt_worker_ready(void)
{
	StartQuestion question = {0};
	MtFailure	failure;

	return mt_in_transaction(ask_for_state, &question, &failure) && strncmp(question.state, "ready:", 6) == 0;
}

/* The role outlives the transaction, as after SET ROLE. */
static void
take_on_role(void *argument)
{
	SetConfigOption("role", argument, PGC_SUSET, PGC_S_SESSION);
}

/*
 * Ends the process where the extension is not in this database (any more). Between transactions.
 */
void
mt_worker_end_without_extension(void)
{
	StartQuestion question = {0};
	MtFailure	failure;

	if (mt_in_transaction(look_for_extension, &question, &failure) && !question.present)
		proc_exit(0);
}

/* Waits for the latch, or for the time to pass. */
static void
wait_and_service(long milliseconds)
{
	(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, milliseconds, PG_WAIT_EXTENSION);
	ResetLatch(MyLatch);
	mt_worker_service();
}

/* What a state says, without the word that tells its kind. */
static const char *
without_kind(const char *state)
{
	const char *colon = strstr(state, ": ");

	return colon == NULL ? state : colon + 2;
}

/* Returns once the extension says that it is usable, with the service role's name in role[NAMEDATALEN]. */
static void
wait_until_ready(const char *title, char *role)
{
	char		told[400] = "";

	for (;;)
	{
		StartQuestion question = {0};
		MtFailure	failure;

		if (!mt_in_transaction(ask_for_state, &question, &failure))
		{
			mt_worker_end_without_extension();
			strlcpy(question.state, failure.text, sizeof(question.state));
		}
		else if (strncmp(question.state, "ready:", 6) == 0)
		{
			strlcpy(role, question.state + 6, NAMEDATALEN);
			return;
		}
		else if (strcmp(question.state, "absent") == 0)
			proc_exit(0);

		if (strcmp(told, question.state) != 0)
			ereport(LOG, (errmsg("%s waits: %s", title, without_kind(question.state))));
		strlcpy(told, question.state, sizeof(told));
		mt_worker_idle("waiting: the extension is not set up");
		wait_and_service(READY_CHECK_PAUSE);
	}
}

static void
remember_role_setting(void)
{
	const char *setting = GetConfigOption("mindtickle.service_role", true, false);

	strlcpy(service_role_setting, setting == NULL ? "" : setting, sizeof(service_role_setting));
}

/*
 * Makes this process a worker of the database: returns when it acts as the service role, and ends it where it is not wanted. kind is the
 * slot's name, NULL for one that has none; title what people see.
 */
void
mt_worker_start(Oid database, const char *kind, const char *title)
{
	StartQuestion question = {.kind = kind};
	MtFailure	failure;
	char		role[NAMEDATALEN];

	pqsignal(SIGTERM, take_order_to_end);
	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	pqsignal(SIGPIPE, SIG_IGN);
	BackgroundWorkerUnblockSignals();
	BackgroundWorkerInitializeConnectionByOid(database, InvalidOid, 0);

	SetConfigOption("application_name", title, PGC_USERSET, PGC_S_SESSION);
	for (int i = 0; i < (int) lengthof(session_settings); i++)
		SetConfigOption(session_settings[i].name, session_settings[i].value, PGC_USERSET, PGC_S_SESSION);
	mt_worker_busy("starting");

	mt_worker_end_without_extension();
	if (kind != NULL && !mt_in_transaction(attach_to_slot, &question, &failure))
	{
		ereport(LOG, (errmsg("%s could not attach: %s", title, failure.text)));
		proc_exit(1);
	}
	if (kind != NULL && !question.attached)
		proc_exit(0);

	wait_until_ready(title, role);
	remember_role_setting();
	if (!mt_in_transaction(take_on_role, role, &failure))
	{
		ereport(LOG, (errmsg("%s could not act as role \"%s\": %s", title, role, failure.text)));
		proc_exit(1);
	}
}

/*
 * Once a turn of a worker's loop, between transactions: obeys an order to end, and takes over changed settings.
 */
void
mt_worker_service(void)
{
	/* Nothing runs that could be cancelled, as in an idle session. */
	QueryCancelPending = false;
	CHECK_FOR_INTERRUPTS();
	if (end_ordered && !gentle)
		end_as_ordered();

	if (ConfigReloadPending)
	{
		const char *setting;

		ConfigReloadPending = false;
		ProcessConfigFile(PGC_SIGHUP);
		setting = GetConfigOption("mindtickle.service_role", true, false);
		if (service_role_setting[0] != '\0' && (setting == NULL || strcmp(setting, service_role_setting) != 0))
		{
			ereport(LOG, (errmsg("mindtickle.service_role has changed: the worker starts again")));
			proc_exit(1);
		}
	}
}

/*
 * How many transactions this process has run. Each may have waited for a lock, and so taken the setting of the latch for the lock's.
 */
uint64
mt_transaction_count(void)
{
	return transaction_count;
}

/*
 * Judges the failure of a transaction that needs no tenant's data to succeed: where it means that the extension or its rights are gone, the
 * process ends, and the next one waits until they are back.
 */
void
mt_worker_judge(const MtFailure *failure)
{
	switch (failure->sqlstate)
	{
		case ERRCODE_UNDEFINED_FUNCTION:
		case ERRCODE_UNDEFINED_OBJECT:
		case ERRCODE_UNDEFINED_TABLE:
		case ERRCODE_UNDEFINED_SCHEMA:
		case ERRCODE_INSUFFICIENT_PRIVILEGE:
		case ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE:
			mt_worker_end_without_extension();
			ereport(LOG, (errmsg("a worker of mindtickle starts again: %s", failure->text)));
			proc_exit(1);
		default:
			break;
	}
}

/*
 * Shows in pg_stat_activity that the worker waits. The text holds no tenant's data.
 */
void
mt_worker_idle(const char *text)
{
	pgstat_report_stat(true);
	pgstat_report_activity(STATE_IDLE, text);
}

/*
 * Shows in pg_stat_activity that the worker works. The text holds no tenant's data.
 */
void
mt_worker_busy(const char *text)
{
	pgstat_report_activity(STATE_RUNNING, text);
}

/*
 * A pause of between a half and one and a half times the given one, so that what failed together does not come back together.
 */
int64
mt_jitter(int64 pause)
{
	return (int64) ((double) pause * (0.5 + pg_prng_double(&pg_global_prng_state)));
}
