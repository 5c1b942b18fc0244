/*
 * aggregator.c
 *		The aggregator: folds what transactions have added to the tenants' readiness, closes days, and renews reports that were provisional.
 *
 * Started by the launcher, one in each database. A commit that changes readiness marks its tenant, and sets this worker's latch if it sleeps. Then
 * rounds follow each other, with a pause between them that bounds how often a tenant is folded: each folds the totals of every marked tenant and,
 * where they are due, the summaries of users and courses, which cost more. What a tenant needs is a transaction of its own, so that a tenant
 * whose work fails rests and holds up no other. What takes long for a large tenant is left to another process (helper.c). Once a minute all
 * tenants are looked through, in case a mark was lost with a process.
 *
 * What folding means is in the extension's functions; this file only decides when which of them is called. It never reads a tenant's rows, and runs no
 * query while nothing is marked and nothing is due.
 */
#include "process.h"

#include "access/xact.h"
#include "clock.h"
#include "fmgr.h"
#include "helper.h"
#include "lib/ilist.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "statements.h"
#include "storage/latch.h"
#include "tenant.h"
#include "utils/guc.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

PGDLLEXPORT void mt_aggregator_main(Datum argument);

/* Marks that are no tenant's, as mindtickle.take_readiness_marks gives them. */
#define MARK_DAYS		"#days"
#define MARK_RERUNS		"#reruns"
#define MARK_READS		"#reads"

/* Between two rounds: a tenant that is written to all the time is folded so often; and so often while there are readers whom that spares work. */
#define ROUND_PAUSE		(100 * MT_MILLISECOND)
#define BRISK_PAUSE		(5 * MT_MILLISECOND)
/* A reader is taken to come again for so long. */
#define BRISK_TIME		(10 * MT_SECOND)
/* Summaries are folded so long after a tenant's last change, and while it changes so often. */
#define QUIET_PAUSE		(2 * MT_SECOND)
#define DETAILS_PAUSE	(10 * MT_SECOND)
/* What is no fold of totals takes up to so much of a round, or one transaction that takes longer. */
#define ROUND_BUDGET	(50 * MT_MILLISECOND)
/* Steps of upkeep in a round, and how long after the last fold it is looked for once more. */
#define UPKEEP_STEPS	4
#define UPKEEP_PAUSE	(10 * MT_SECOND)
#define SWEEP_PAUSE		MT_MINUTE
/* The moment when the next day ends is asked for at least so often: the clock may have been set. */
#define DAYS_PAUSE		(15 * MT_MINUTE)
/* Re-runs are looked for at most so often. */
#define RERUNS_PAUSE	MT_SECOND
/* How long a tenant rests that somebody else is folding. */
#define BUSY_PAUSE		(100 * MT_MILLISECOND)
/* How long a tenant or chore rests after a failure, at first and at most. */
#define FIRST_PAUSE		MT_SECOND
#define LAST_PAUSE		MT_MINUTE

/* What there is to do for a tenant; a tenant without anything is not kept. */
typedef struct Account
{
	char		tenant_id[MT_TENANT_ID_SIZE];	/* the key of the hash table */
	dlist_node	node;			/* in the list of all accounts */
	bool		marked;			/* its totals are to be folded */
	int64		details_at;		/* when its summaries are to be folded; MT_NEVER: they are */
	int64		details_by;		/* and when at the latest, however much it changes */
	bool		day_ended;
	bool		rerun;			/* its report is to be renewed */
	int			failures;		/* in a row */
	bool		large;			/* it has more rows to be counted anew than a fold counts */
	int			counts;			/* how often that was begun since it was folded last */
	int			moves;			/* the same of moving the figures of its users and courses, since these were folded last */
	int64		not_before;
} Account;

/* Work for one transaction of a tenant. */
typedef struct AccountWork
{
	Account    *account;
	bool		details;
	MtHelperTask task;
	bool		gone;			/* there is no such tenant any more */
	int64		result;
} AccountWork;

/* Something that concerns no tenant in particular, and when it is due. */
typedef struct Chore
{
	const char *what;
	int64		at;
	int			failures;		/* in a row */
} Chore;

static Chore taking = {"take marks"};
static Chore sweeping = {"look for tenants to fold"};
static Chore days = {"find out when days end"};
static Chore reruns = {"look for reports to renew"};
static Chore upkeep = {"tend the summaries"};

static int64 upkeep_again_at = MT_NEVER;
static int64 reruns_not_before = 0;
static int64 brisk_until = 0;

static HTAB *accounts;
static dlist_head account_list = DLIST_STATIC_INIT(account_list);
static MemoryContext turn_context;

/* The tenant's account, made where there is none. NULL for a name that is none. */
static Account *
find_account(const char *tenant_id)
{
	Account    *account;
	bool		found;

	if (strlen(tenant_id) >= MT_TENANT_ID_SIZE)
		return NULL;
	account = hash_search(accounts, tenant_id, HASH_ENTER, &found);
	if (!found)
	{
		memset((char *) account + MT_TENANT_ID_SIZE, 0, sizeof(Account) - MT_TENANT_ID_SIZE);
		account->details_at = MT_NEVER;
		dlist_push_tail(&account_list, &account->node);
	}
	return account;
}

/* Makes a chore due at once, unless it rests after a failure. */
static void
bring_forward(Chore *chore)
{
	if (chore->failures == 0)
		chore->at = 0;
}

/* The summaries of the tenant are to be folded, once it is quiet or has waited long enough. */
static void
schedule_details(Account *account)
{
	int64		now = mt_now();

	if (account->details_at == MT_NEVER)
		account->details_by = now + DETAILS_PAUSE;
	account->details_at = Min(now + QUIET_PAUSE, account->details_by);
}

static int64
rest_after(int failures)
{
	return mt_jitter(Min(FIRST_PAUSE << Min(failures, 10), LAST_PAUSE));
}

/* Runs a chore's transaction. False when it failed: then it is due again after a rest, and the first time is logged. */
static bool
do_chore(Chore *chore, MtWork work, void *argument)
{
	MtFailure	failure;

	mt_worker_service();
	if (mt_in_transaction(work, argument, &failure))
	{
		chore->failures = 0;
		return true;
	}
	if (failure.sqlstate == ERRCODE_UNDEFINED_FUNCTION)
		mt_worker_end_without_extension();
	else
		mt_worker_judge(&failure);
	chore->at = mt_now() + rest_after(chore->failures);
	if (chore->failures++ == 0)
		ereport(LOG,
				(errcode(failure.sqlstate),
				 errmsg("mindtickle aggregator could not %s: %s", chore->what, failure.text),
				 errdetail("It tries again. Repetitions are not logged.")));
	return false;
}

static void
take_work(void *argument)
{
	int		   *count = argument;
	char	  **names;

	*count = mt_sql_take_readiness_marks(turn_context, &names);
	for (int i = 0; i < *count; i++)
	{
		Account    *account;

		if (names[i] == NULL)
			bring_forward(&sweeping);
		if (names[i] == NULL || strcmp(names[i], MARK_DAYS) == 0)
			bring_forward(&days);
		if (names[i] == NULL || strcmp(names[i], MARK_RERUNS) == 0)
			reruns.at = Min(reruns.at, Max(reruns_not_before, mt_now()));
		if (names[i] != NULL && strcmp(names[i], MARK_READS) == 0)
			brisk_until = mt_now() + BRISK_TIME;
		if (names[i] == NULL || names[i][0] == '#')
			continue;
		account = find_account(names[i]);
		if (account != NULL)
			account->marked = true;
	}
}

/* Takes the marks. True when there were some: then the latch is not set by the next one, and they must be taken again before a sleep. */
static bool
take_marks(void)
{
	int			count = 0;

	if (taking.at > mt_now())
		return false;
	if (do_chore(&taking, take_work, &count))
		return count > 0;
	/* What was taken may be lost. */
	bring_forward(&sweeping);
	return true;
}

static void
sweep_work(void *argument)
{
	char	  **tenants;
	int			count;

	mt_sql_worker_report("looking for tenants to fold", -1);
	count = mt_sql_tenants_to_fold(turn_context, &tenants);
	for (int i = 0; i < count; i++)
	{
		Account    *account = tenants[i] == NULL ? NULL : find_account(tenants[i]);

		if (account == NULL)
			continue;
		account->marked = true;
		if (account->details_at == MT_NEVER)
			schedule_details(account);
	}
	mt_sql_worker_report(NULL, 0);
}

static void
see_day(const char *tenant_id, TimestampTz next_at, void *argument)
{
	TimestampTz wall = GetCurrentTransactionStartTimestamp();

	if (next_at <= wall)
	{
		Account    *account = find_account(tenant_id);

		if (account != NULL)
			account->day_ended = true;
	}
	else
		days.at = Min(days.at, mt_now() + (next_at - wall));
}

static void
days_work(void *argument)
{
	mt_sql_worker_report("looking for days that have ended", -1);
	mt_sql_readiness_days(GetCurrentTransactionStartTimestamp(), see_day, NULL);
	mt_sql_worker_report(NULL, 0);
}

static void
reruns_work(void *argument)
{
	char	  **tenants;
	int			count;

	mt_sql_worker_report("looking for reports to renew", -1);
	count = mt_sql_readiness_reruns(turn_context, &tenants);
	for (int i = 0; i < count; i++)
	{
		Account    *account = tenants[i] == NULL ? NULL : find_account(tenants[i]);

		if (account != NULL)
			account->rerun = true;
	}
	mt_sql_worker_report(NULL, 0);
}

/* Does what is due for no tenant in particular. True when there was something. */
static bool
do_chores(void)
{
	bool		worked = false;

	if (sweeping.at <= mt_now())
	{
		worked = true;
		if (do_chore(&sweeping, sweep_work, NULL))
		{
			sweeping.at = mt_now() + SWEEP_PAUSE;
			reruns.at = Min(reruns.at, mt_now());
		}
	}
	if (days.at <= mt_now())
	{
		worked = true;
		days.at = mt_now() + DAYS_PAUSE;
		(void) do_chore(&days, days_work, NULL);
	}
	if (reruns.at <= mt_now())
	{
		worked = true;
		reruns.at = MT_NEVER;
		reruns_not_before = mt_now() + RERUNS_PAUSE;
		(void) do_chore(&reruns, reruns_work, NULL);
	}
	return worked;
}

/* Runs a transaction of a tenant. False when it failed: then the tenant rests for a while, and the first time is logged. */
static bool
account_work(AccountWork *argument, MtWork work, bool snapshot)
{
	Account    *account = argument->account;
	MtFailure	failure;

	mt_worker_service();
	if (snapshot ? mt_in_snapshot(work, argument, &failure) : mt_in_transaction(work, argument, &failure))
	{
		if (account->failures > 0)
			ereport(LOG, (errmsg("readiness of tenant \"%s\" is worked on again", account->tenant_id)));
		account->failures = 0;
		return true;
	}
	if (failure.sqlstate == ERRCODE_UNDEFINED_SCHEMA || failure.sqlstate == ERRCODE_UNDEFINED_FUNCTION)
		mt_worker_end_without_extension();
	account->not_before = mt_now() + rest_after(account->failures);
	if (account->failures++ == 0)
		ereport(LOG,
				(errcode(failure.sqlstate),
				 errmsg("work on the readiness of tenant \"%s\" failed: %s", account->tenant_id, failure.text),
				 errdetail("It is tried again. Repetitions are not logged.")));
	return false;
}

/* Puts the tenant in force and shows what is done for it. False where there is no such tenant any more. */
static bool
enter(AccountWork *work, const char *what)
{
	char		step[100];

	if (!mt_sql_tenant_exists(work->account->tenant_id))
	{
		work->gone = true;
		return false;
	}
	snprintf(step, sizeof(step), "%s %s", what, work->account->tenant_id);
	mt_sql_worker_report(step, -1);
	mt_sql_enter_tenant(work->account->tenant_id);
	return true;
}

static void
fold_work(void *argument)
{
	AccountWork *work = argument;

	if (!enter(work, work->details ? "folding totals and summaries of" : "folding totals of"))
		return;
	work->result = mt_sql_fold_readiness(work->account->tenant_id, work->details);
	mt_sql_worker_report(NULL, Max(work->result, 0));
}

static void
day_work(void *argument)
{
	AccountWork *work = argument;

	if (!enter(work, "closing a day of"))
		return;
	work->result = mt_sql_close_readiness_day(work->account->tenant_id, GetCurrentTransactionStartTimestamp());
	mt_sql_worker_report(NULL, work->result);
}

static void
rerun_work(void *argument)
{
	AccountWork *work = argument;

	if (!enter(work, "renewing the report of"))
		return;
	work->result = mt_sql_rerun_readiness(work->account->tenant_id);
	mt_sql_worker_report(NULL, work->result);
}

/* Forgets the account. */
static void
close_account(Account *account)
{
	dlist_delete(&account->node);
	hash_search(accounts, account->tenant_id, HASH_REMOVE, NULL);
}

/* Nothing more is to be done for a tenant that does not exist. */
static void
clear_account(Account *account)
{
	account->marked = account->day_ended = account->rerun = false;
	account->details_at = MT_NEVER;
}

/* What the helper would do. */
static void
large_work(void *argument)
{
	AccountWork *work = argument;
	bool		move = work->task == MT_MOVE_DETAILS;

	if (!enter(work, move ? "moving figures of" : "counting anew"))
		return;
	if (move)
		mt_sql_move_readiness(work->account->tenant_id);
	else
		mt_sql_rebuild_readiness(work->account->tenant_id);
	mt_sql_worker_report(NULL, 1);
}

static void
report_count(void *argument)
{
	mt_sql_worker_failed(argument);
}

/* Tells that a tenant was counted anew and is not folded. The helper itself can only say so in the log. */
static void
count_was_in_vain(const Account *account)
{
	char		text[200];
	MtFailure	failure;

	snprintf(text, sizeof(text), "the rows of tenant \"%s\" must be counted anew once more: that failed, or very much has changed meanwhile",
			 account->tenant_id);
	(void) mt_try_transaction(report_count, text, &failure);
	if (account->counts == 1)
		ereport(LOG, (errmsg("%s", text), errdetail("It is tried again. Repetitions are not logged.")));
}

/*
 * Has a large tenant counted anew, one at a time; here where no other process is to be had. It is folded when that is done, and rests until it may
 * be, the longer the more often that was in vain.
 */
static void
count_anew(Account *account)
{
	AccountWork work = {.account = account, .task = MT_COUNT_ANEW};

	account->large = true;
	account->not_before = mt_now() + rest_after(account->counts);
	if (mt_helper_running())
		return;
	if (account->counts > 0)
		count_was_in_vain(account);
	else
		ereport(LOG, (errmsg("the rows of tenant \"%s\" are counted anew for its readiness", account->tenant_id)));
	if (!mt_helper_start(MT_COUNT_ANEW, account->tenant_id, account->counts > 0))
		(void) account_work(&work, large_work, false);
	account->counts++;
}

/* Has the many figures of a tenant's users and courses moved, as count_anew, and looks again later whether they are. Totals are folded meanwhile. */
static void
move_details(Account *account)
{
	AccountWork work = {.account = account, .task = MT_MOVE_DETAILS};

	account->details_at = account->details_by = mt_now() + rest_after(account->moves);
	if (mt_helper_running())
		return;
	if (!mt_helper_start(MT_MOVE_DETAILS, account->tenant_id, account->moves > 0))
		(void) account_work(&work, large_work, false);
	account->moves++;
}

/* Folds a tenant, its totals or all. True when it is folded. */
static bool
fold(Account *account, bool details)
{
	AccountWork work = {.account = account, .details = details};
	int64		began = mt_now();

	if (account->large && mt_helper_running())
	{
		account->not_before = began + mt_jitter(FIRST_PAUSE);
		return false;
	}
	if (!account_work(&work, fold_work, false))
		return false;
	/* It rests for as long as that took: where each of many large statements has all rows counted anew, several of them have it done once. */
	account->not_before = mt_now() + (mt_now() - began);
	if (work.gone)
	{
		clear_account(account);
		return false;
	}
	if (work.result == MT_FOLD_TOO_LARGE)
	{
		count_anew(account);
		return false;
	}
	if (work.result == MT_FOLD_BUSY)
	{
		if (details)
			account->details_at = account->details_by = mt_now() + BUSY_PAUSE;
		else
			account->not_before = mt_now() + BUSY_PAUSE;
		return false;
	}
	account->counts = 0;
	account->marked = false;
	if (work.result == MT_FOLD_TO_MOVE)
		move_details(account);
	else if (details)
	{
		account->details_at = MT_NEVER;
		account->moves = 0;
	}
	else if (work.result > 0)
		schedule_details(account);
	/* Tables have grown, be it by what the helper has written. */
	if (details || work.result > 0 || account->large)
	{
		bring_forward(&upkeep);
		upkeep_again_at = mt_now() + UPKEEP_PAUSE;
	}
	account->large = false;
	return true;
}

/* Folds the totals of every marked tenant that does not rest. True when there was one. */
static bool
fold_totals(void)
{
	bool		worked = false;
	dlist_iter	iter;

	dlist_foreach(iter, &account_list)
	{
		Account    *account = dlist_container(Account, node, iter.cur);

		if (!account->marked || account->not_before > mt_now())
			continue;
		worked = true;
		(void) fold(account, false);
	}
	return worked;
}

/* The summaries are folded when they are due, and before a day is closed. */
static bool
details_due(const Account *account, int64 now)
{
	return account->details_at <= now || account->day_ended;
}

/* Does for the tenant whatever is due but the totals. */
static void
serve(Account *account)
{
	AccountWork work = {.account = account};

	if (details_due(account, mt_now()) && !fold(account, true))
		return;
	if (account->day_ended)
	{
		if (!account_work(&work, day_work, true))
			return;
		account->day_ended = false;
		/* Another day of this tenant begins, and ends. */
		if (work.result > 0)
			days.at = Min(days.at, mt_now() + FIRST_PAUSE);
	}
	if (account->rerun)
	{
		if (!account_work(&work, rerun_work, false))
			return;
		account->rerun = false;
	}
	if (work.gone)
		clear_account(account);
}

/* Serves tenants in turn, as long as the budget of the round lasts. True when there was one. */
static bool
serve_accounts(void)
{
	bool		worked = false;
	int64		end = mt_now() + ROUND_BUDGET;
	dlist_mutable_iter iter;

	dlist_foreach_modify(iter, &account_list)
	{
		Account    *account = dlist_container(Account, node, iter.cur);
		int64		now = mt_now();

		if (worked && now >= end)
			break;
		if (account->not_before > now || !(details_due(account, now) || account->rerun))
			continue;
		/* A report would count its rows here; it waits for the count. */
		if (account->large && !details_due(account, now))
			continue;
		worked = true;
		serve(account);
		/* The next round begins with those that had no turn. */
		dlist_delete(&account->node);
		dlist_push_tail(&account_list, &account->node);
	}
	return worked;
}

static void
upkeep_work(void *argument)
{
	char	  **done = argument;

	mt_sql_worker_report("tending the summaries", -1);
	*done = mt_sql_tend_readiness(turn_context);
	mt_sql_worker_report(NULL, 0);
}

/* Takes steps of upkeep, until there is nothing to do or other work has its turn. True when it took one. */
static bool
do_upkeep(void)
{
	static const char needs_details[] = "details:";
	static const char not_yet[] = "later";
	bool		worked = false;

	for (int i = 0; i < UPKEEP_STEPS && upkeep.at <= mt_now(); i++)
	{
		char	   *done = NULL;

		worked = true;
		if (!do_chore(&upkeep, upkeep_work, &done))
			break;
		if (done == NULL)
		{
			upkeep.at = upkeep_again_at;
			upkeep_again_at = MT_NEVER;
			break;
		}
		upkeep_again_at = mt_now() + UPKEEP_PAUSE;
		if (strcmp(done, not_yet) == 0)
		{
			upkeep.at = mt_now() + MT_SECOND;
			break;
		}
		if (strncmp(done, needs_details, strlen(needs_details)) != 0)
			continue;
		/* It goes on when they are folded. */
		upkeep.at = upkeep_again_at;
		for (char *tenant = strtok(done + strlen(needs_details), ","); tenant != NULL; tenant = strtok(NULL, ","))
		{
			Account    *account = find_account(tenant);

			if (account != NULL)
				account->details_at = account->details_by = 0;
		}
	}
	return worked;
}

/* Forgets accounts with nothing to do. Returns when the next thing is due. */
static int64
settle_accounts(void)
{
	int64		next = Min(Min(sweeping.at, days.at), Min(reruns.at, upkeep.at));
	dlist_mutable_iter iter;

	if (taking.failures > 0)
		next = Min(next, taking.at);
	dlist_foreach_modify(iter, &account_list)
	{
		Account    *account = dlist_container(Account, node, iter.cur);
		int64		due = account->marked || account->day_ended || account->rerun ? 0 : account->details_at;

		if (due == MT_NEVER)
			close_account(account);
		else
			next = Min(next, Max(due, account->not_before));
	}
	return next;
}

/* Waits for the end of a pause, whatever is marked meanwhile. */
static void
pause_until(int64 moment)
{
	int64		left;

	while ((left = moment - mt_now()) > 0)
	{
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, (long) (left / MT_MILLISECOND) + 1, PG_WAIT_EXTENSION);
		ResetLatch(MyLatch);
		mt_worker_service();
	}
}

static void
start(Oid database)
{
	HASHCTL		control = {.keysize = MT_TENANT_ID_SIZE, .entrysize = sizeof(Account)};

	mt_worker_start(database, "aggregator", "mindtickle aggregator");

	/*
	 * After a crash a fold is lost together with the position up to which it has folded, a closed day is open again and a renewed report is due
	 * again. So nothing here needs to wait for the disk.
	 */
	SetConfigOption("synchronous_commit", "off", PGC_USERSET, PGC_S_SESSION);
	/* The summaries of a large tenant. */
	SetConfigOption("statement_timeout", "10min", PGC_USERSET, PGC_S_SESSION);

	MemoryContextSwitchTo(TopMemoryContext);
	accounts = hash_create("mindtickle accounts", 256, &control, HASH_ELEM | HASH_STRINGS);
	turn_context = AllocSetContextCreate(TopMemoryContext, "mindtickle aggregator turn", ALLOCSET_DEFAULT_SIZES);
	MemoryContextSwitchTo(turn_context);
}

/*
 * The aggregator of a database.
 */
void
mt_aggregator_main(Datum argument)
{
	start(DatumGetObjectId(argument));
	for (;;)
	{
		bool		worked;
		int64		next;

		MemoryContextReset(turn_context);
		mt_worker_service();
		/* Reset before looking: what comes later sets it again. */
		ResetLatch(MyLatch);
		mt_worker_busy("folding readiness");
		worked = take_marks();
		worked |= do_chores();
		worked |= fold_totals();
		worked |= serve_accounts();
		worked |= do_upkeep();
		next = settle_accounts();

		/* A lock wait may have taken a wake-up for its own, so the last look before a sleep is followed by nothing. */
		if (worked)
		{
			pause_until(mt_now() + (mt_now() < brisk_until ? BRISK_PAUSE : ROUND_PAUSE));
			continue;
		}
		mt_worker_idle("waiting: nothing to fold");
		next = Min(Max(next - mt_now(), 0), MT_HOUR);
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, (long) (next / MT_MILLISECOND) + 1,
						 PG_WAIT_EXTENSION);
	}
}
