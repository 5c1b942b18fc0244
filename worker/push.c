/*
 * push.c
 *		Users whose provisioning goes on to MindTickle's SCIM endpoint (push_users): looked up, created or changed there.
 *
 * Called by the pull of a tenant, beside whatever else it does; the queue is in the database (src/push.c, sql/push_api.sql). Each user has a slot of
 * its own, a few at a time, and no user two: his changes go upstream in their order, and only the latest of those that have gathered.
 *
 *	look by id -----> change ---> done
 *	   | 404            ^  | 404
 *	look by name -------+  |
 *	   | none           ^  |
 *	look by external id +  |
 *	   | none              |
 *	create --409--> look by name, as after 404
 *
 * A name may have changed hands: who has it upstream, and is another user of ours, keeps his id, and whoever comes into his name waits until his new
 * one is there.
 *
 * No write is sent before a look has shown that it is missing, and what is upstream already is not written again: so a worker that is killed anywhere
 * in between, and begins the user anew, makes no second one. A step that is refused for good becomes a dead letter; one that fails in a way that may
 * pass is repeated, a creation from the look by name on, as it may have had its effect; and then the user is put off. The endpoint has a host and a
 * secret of its own, so its trouble stops no pull; only 429 does, for the budget is the account's, and pushes then rest longer than pulls do.
 */
#include "push.h"

#include "canonical.h"
#include "errand_statements.h"
#include "statements.h"
#include "utils/json.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

/* Users under way at once, for each tenant. */
#define PUSHES_MAX		4
/* So many requests of a user may fail before he is put off; the first pause between, and each next one is twice as long. */
#define FAILURES_MAX	5
#define RETRY_PAUSE		MT_SECOND
/* How often a user may be looked for anew because somebody else created or removed him meanwhile. */
#define ROUNDS_MAX		3
/* A longer id cannot be linked. */
#define SCIM_ID_MAX		1024
/* After a user was put off the others wait so long, each time twice as long until somebody gets there; and where the endpoint is not configured. */
#define TROUBLE_PAUSE	(10 * MT_SECOND)
#define LAST_PAUSE		(5 * MT_MINUTE)
#define MISSING_PAUSE	(10 * MT_MINUTE)
/* Where a 429 says nothing everything pauses so long, each time twice as long. Pushes rest for up to so many pauses, so that pulls have the others. */
#define THROTTLE_PAUSE	MT_SECOND
#define LAST_THROTTLE	(2 * MT_MINUTE)
#define PAUSES_MAX		4

typedef enum PushStep
{
	PUSH_LOOK_BY_ID,
	PUSH_LOOK_BY_NAME,
	PUSH_LOOK_BY_EXTERNAL_ID,
	PUSH_CREATE,
	PUSH_CHANGE
} PushStep;

/* A user on his way. He lives in a context of his own. */
struct MtPush
{
	MemoryContext context;
	PushStep	step;
	int			rounds;
	int64		version;
	char	   *user_id;
	char	   *user_name;		/* upstream */
	char	   *external_id;
	char	   *name;			/* NULL: not known */
	bool		active;
	char	   *scim_id;		/* theirs; NULL: not known */
	char	   *freed_name;		/* that the change gives up there; NULL: none */
	char	   *body;			/* of the write */
};

/* What an answer says of a user upstream. */
typedef struct Resource
{
	MtSpan		id;
	MtSpan		user_name;
	MtSpan		external_id;
	MtSpan		formatted;
	MtSpan		active;
} Resource;

/* What happens in a transaction of this file. */
typedef struct PushWork
{
	MtTenant   *tenant;
	MtPush	   *push;
	const char *error;
	bool		dead;			/* as a dead letter */
	MtPushRow  *rows;
	int			count;
	TimestampTz due;
	const char *scim_id;		/* whose owner is asked for */
	const char *external_id;	/* there; NULL: it says nothing */
	char	   *owner;			/* NULL: nobody else of ours */
} PushWork;

/* Where a push goes; its requests are written here. */
static const MtStage push_stage = {.name = "push",.phase = MT_PHASE_ROSTER,.over = MT_OVER_USERS,.host = MT_HOST_SCIM,.right = "to provision users"};

static int
under_way_count(MtJob *job)
{
	int			count = 0;
	dlist_iter	iter;

	dlist_foreach(iter, &job->pushes)
		count++;
	return count;
}

/*
 * When the next user of the tenant is due; MT_NEVER when there is none.
 */
int64
mt_push_due(const MtTenant *tenant)
{
	if (!tenant->push_users || !tenant->wanted || tenant->push_at == MT_NEVER)
		return MT_NEVER;
	/* Whoever is done makes room, and wakes the tenant. */
	if (tenant->job != NULL && under_way_count(tenant->job) >= PUSHES_MAX)
		return MT_NEVER;
	return Max(tenant->push_at, Max(tenant->push_rests_until, tenant->push_stops_until));
}

/*
 * Frees a user on his way; the queue still has him.
 */
void
mt_push_free(MtPush *push)
{
	MemoryContextDelete(push->context);
}

static MtPush *
create_push(MtJob *job, const MtPushRow *row)
{
	MemoryContext context = AllocSetContextCreate(job->context, "mindtickle push", ALLOCSET_SMALL_SIZES);
	MtPush	   *push = MemoryContextAllocZero(context, sizeof(MtPush));
	MemoryContext previous = MemoryContextSwitchTo(context);

	push->context = context;
	push->version = row->version;
	push->user_id = pstrdup(row->user_id);
	push->user_name = pstrdup(row->user_name);
	push->external_id = pstrdup(row->external_id);
	push->name = row->name == NULL ? NULL : pstrdup(row->name);
	push->active = row->active;
	push->scim_id = row->scim_id == NULL ? NULL : pstrdup(row->scim_id);
	push->step = push->scim_id != NULL ? PUSH_LOOK_BY_ID : PUSH_LOOK_BY_NAME;
	MemoryContextSwitchTo(previous);
	return push;
}

static void
next_work(void *argument)
{
	PushWork   *work = argument;
	MtTenant   *tenant = work->tenant;
	const char *under_way[PUSHES_MAX];
	int			count = 0;
	dlist_iter	iter;

	dlist_foreach(iter, &tenant->job->pushes)
		under_way[count++] = dlist_container(MtSlot, node, iter.cur)->push->user_id;
	mt_sql_enter_tenant(tenant->tenant_id);
	work->count = mt_sql_push_next(tenant->tenant_id, under_way, count, PUSHES_MAX - count, &work->rows);
	for (int i = 0; i < work->count; i++)
	{
		MtSlot	   *slot;

		if (work->rows[i].user_name == NULL)
		{
			mt_sql_push_reject(tenant->tenant_id, work->rows[i].user_id, work->rows[i].version, "the user has neither an e-mail nor a user name", "");
			continue;
		}
		slot = MemoryContextAllocZero(tenant->job->context, sizeof(MtSlot));

		slot->state = MT_SLOT_WAITING;
		slot->stage = &push_stage;
		slot->push = create_push(tenant->job, &work->rows[i]);
		dlist_push_tail(&tenant->job->pushes, &slot->node);
	}
	if (work->count == 0)
		work->due = mt_sql_push_due(tenant->tenant_id);
}

static void
refused_work(void *argument)
{
	PushWork   *work = argument;

	mt_sql_enter_tenant(work->tenant->tenant_id);
	mt_sql_push_refused(work->tenant->tenant_id, work->error);
	mt_job_flush_counters(work->tenant, true);
}

/* Nobody is pushed for a while, and that is made known. */
static void
rest(MtTenant *tenant, int64 pause, const char *error)
{
	PushWork	work = {.tenant = tenant,.error = error};
	MtFailure	failure;

	tenant->push_rests_until = mt_now() + pause;
	tenant->push_unfit = true;
	ereport(LOG, (errmsg("users of tenant \"%s\" are not pushed: %s", tenant->tenant_id, error)));
	if (!mt_in_transaction(refused_work, &work, &failure))
		ereport(LOG, (errcode(failure.sqlstate), errmsg("that could not be stored: %s", failure.text)));
}

/* Frees all who wait for a request; the queue still has them. */
static void
let_go_of_waiting(MtTenant *tenant)
{
	dlist_mutable_iter iter;

	dlist_foreach_modify(iter, &tenant->job->pushes)
	{
		MtSlot	   *slot = dlist_container(MtSlot, node, iter.cur);

		if (slot->state != MT_SLOT_WAITING)
			continue;
		dlist_delete(&slot->node);
		mt_pull_free_slot(tenant, slot);
		tenant->push_at = mt_now();
	}
}

/*
 * Makes slots of the users that are due. False when the job is gone.
 */
bool
mt_push_fill(MtTenant *tenant)
{
	MtJob	   *job = tenant->job;
	PushWork	work = {.tenant = tenant};
	MtFailure	failure;

	if (tenant->push_stops_until > mt_now() || !tenant->push_users)
		let_go_of_waiting(tenant);
	if (mt_push_due(tenant) > mt_now())
		return true;
	if (job->source.scim_url == NULL)
	{
		/* A secret that cannot be read is named there. */
		bool		unreadable = job->source.scim_token == NULL && job->unreadable != NULL && strstr(job->unreadable, "scim_token: ") != NULL;

		rest(tenant, MISSING_PAUSE, unreadable ? job->unreadable :
			 "push_users is on, but there is no scim_url or no scim_token: set them with mt_configure_tenant and mt_set_credential");
		return true;
	}
	if (!mt_in_transaction(next_work, &work, &failure))
	{
		mt_job_trouble(tenant, &failure);
		return false;
	}
	if (work.count > 0)
		job->idle_since = 0;
	else if (work.due == 0)
		tenant->push_at = dlist_is_empty(&job->pushes) ? MT_NEVER : mt_now() + TROUBLE_PAUSE;
	else
		tenant->push_at = mt_now() + Max(work.due - GetCurrentTimestamp(), dlist_is_empty(&job->pushes) ? 0 : MT_SECOND);
	return true;
}

/* Appends a look-up: attribute eq "value". */
static void
append_filter(StringInfo target, const char *attribute, const char *value)
{
	StringInfoData filter;

	initStringInfo(&filter);
	appendStringInfo(&filter, "%s eq ", attribute);
	escape_json(&filter, value);
	appendStringInfoString(target, "/Users?filter=");
	mt_append_percent_encoded(target, filter.data);
	pfree(filter.data);
}

/*
 * Writes the user's next request. Returns its method, NULL: GET, or POST where there is a body.
 */
const char *
mt_push_call(const MtSlot *slot, MtCall *call)
{
	const MtPush *push = slot->push;

	switch (push->step)
	{
		case PUSH_LOOK_BY_NAME:
			append_filter(&call->target, "userName", push->user_name);
			break;
		case PUSH_LOOK_BY_EXTERNAL_ID:
			append_filter(&call->target, "externalId", push->external_id);
			break;
		case PUSH_CREATE:
			appendStringInfoString(&call->target, "/Users");
			appendStringInfoString(&call->body, push->body);
			break;
		case PUSH_LOOK_BY_ID:
		case PUSH_CHANGE:
			appendStringInfoString(&call->target, "/Users/");
			mt_append_percent_encoded(&call->target, push->scim_id);
			if (push->step == PUSH_LOOK_BY_ID)
				break;
			appendStringInfoString(&call->body, push->body);
			return "PATCH";
	}
	return NULL;
}

/* The user waits for his next request. */
static void
go_to(MtSlot *slot, PushStep step)
{
	if (slot->request != NULL)
		mt_http_free(slot->request);
	slot->request = NULL;
	slot->state = MT_SLOT_WAITING;
	slot->not_before = 0;
	slot->push->step = step;
}

static void
end_work(void *argument)
{
	PushWork   *work = argument;
	MtPush	   *push = work->push;
	const char *tenant = work->tenant->tenant_id;
	const char *raw = push->body == NULL ? "" : push->body;

	mt_sql_enter_tenant(tenant);
	/* An endpoint may answer a creation with whom it has already: nobody's place is taken. */
	if (work->error == NULL && push->scim_id != NULL)
	{
		work->owner = mt_sql_push_owner(tenant, push->user_id, push->scim_id, NULL, push->context);
		if (work->owner != NULL)
			work->error = psprintf("the SCIM endpoint gives this user the id \"%s\", which is user \"%s\" there: remove one of the two here, or correct who "
								   "has it there, and replay this letter", push->scim_id, work->owner);
		work->dead |= work->owner != NULL;
	}
	if (work->error == NULL)
	{
		mt_sql_push_done(tenant, push->user_id, push->version, push->scim_id);
		if (push->freed_name != NULL && push->step == PUSH_CHANGE)
			mt_sql_push_name_freed(tenant, push->freed_name);
	}
	else if (work->dead)
		mt_sql_push_reject(tenant, push->user_id, push->version, work->error, raw);
	else
		mt_sql_push_put_off(tenant, push->user_id, push->version, work->error, raw);
	mt_job_flush_counters(work->tenant, false);
}

/* The user is done with for now: upstream, put off, or a dead letter. */
static void
end_push(MtTenant *tenant, MtSlot *slot, const char *error, bool dead)
{
	PushWork	work = {.tenant = tenant,.push = slot->push,.error = error,.dead = dead};
	MtFailure	failure;

	if (!mt_in_transaction(end_work, &work, &failure))
	{
		/* The queue still has him, and it is looked at again. */
		mt_job_trouble(tenant, &failure);
		return;
	}
	dlist_delete(&slot->node);
	mt_pull_free_slot(tenant, slot);
	if (error == NULL)
		tenant->push_troubles = 0;
	tenant->push_at = mt_now();
	mt_sync_wake(tenant, mt_now());
}

/* After trouble: the first pause, twice as long each time until a user gets there, up to the last. */
static int64
longer_pause(MtTenant *tenant, int64 first, int64 last)
{
	int64		pause = Min(first << Min(tenant->push_troubles, 10), last);

	tenant->push_troubles++;
	return mt_jitter(pause);
}

/* A request has failed in a way that may pass. What was answered well before does not count: looks may work while creations do not. */
static void
failed(MtTenant *tenant, MtSlot *slot, const char *reason)
{
	PushStep	step = slot->push->step;

	if (++slot->tries >= FAILURES_MAX)
	{
		char	   *error = pstrdup(reason);

		if (tenant->push_rests_until <= mt_now())
			tenant->push_rests_until = mt_now() + longer_pause(tenant, TROUBLE_PAUSE, LAST_PAUSE);
		end_push(tenant, slot, error, false);
		return;
	}
	/* A creation may have had its effect, whatever is answered, and another one would make a second user. */
	go_to(slot, step == PUSH_CREATE ? PUSH_LOOK_BY_NAME : step);
	slot->not_before = mt_now() + mt_jitter(RETRY_PAUSE << (slot->tries - 1));
}

/* Looks for the user anew: what a look said of him, or our own link, does not hold any more. */
static void
look_again(MtTenant *tenant, MtSlot *slot, const char *reason)
{
	if (++slot->push->rounds > ROUNDS_MAX)
	{
		end_push(tenant, slot, psprintf("the SCIM endpoint contradicts itself: %s", reason), true);
		return;
	}
	slot->push->scim_id = NULL;
	go_to(slot, PUSH_LOOK_BY_NAME);
	/* Upstream, what was written may take a moment to be found. */
	slot->not_before = mt_now() + mt_jitter(RETRY_PAUSE << (slot->push->rounds - 1));
}

/* Reads a user of an answer. False when it is none. */
static bool
read_resource(MtSpan object, Resource *resource)
{
	MtWalk		walk;
	MtSpan		key;
	MtSpan		value;
	MtStep		step;

	memset(resource, 0, sizeof(*resource));
	if (!mt_json_walk(object, '{', &walk))
		return false;
	while ((step = mt_json_member(&walk, &key, &value)) == MT_STEP_ITEM)
	{
		MtWalk		names;
		MtSpan		name;
		MtSpan		part;

		if (mt_json_text_equals(key, "id"))
			resource->id = value;
		else if (mt_json_text_equals(key, "userName"))
			resource->user_name = value;
		else if (mt_json_text_equals(key, "externalId"))
			resource->external_id = value;
		else if (mt_json_text_equals(key, "active"))
			resource->active = value;
		else if (mt_json_text_equals(key, "name") && mt_json_walk(value, '{', &names))
			while (mt_json_member(&names, &name, &part) == MT_STEP_ITEM)
				if (mt_json_text_equals(name, "formatted"))
					resource->formatted = part;
	}
	return step == MT_STEP_END && resource->id.start != NULL && resource->id.length > 2 && resource->id.length <= SCIM_ID_MAX && mt_json_is_string(resource->id) &&
		mt_json_text(resource->id) != NULL;
}

/* The first user of a list that was asked for; false when there is none. *malformed: it is no list. */
static bool
read_list(MtSpan document, Resource *resource, bool *malformed)
{
	MtWalk		walk;
	MtSpan		key;
	MtSpan		value;
	MtStep		step;
	bool		found = false;
	bool		is_list = false;

	*malformed = true;
	if (!mt_json_walk(document, '{', &walk))
		return false;
	while ((step = mt_json_member(&walk, &key, &value)) == MT_STEP_ITEM)
	{
		MtWalk		list;
		MtSpan		element;

		if (mt_json_text_equals(key, "totalResults"))
			is_list = true;
		else if (mt_json_text_equals(key, "Resources") && mt_json_walk(value, '[', &list) && mt_json_element(&list, &element) == MT_STEP_ITEM)
		{
			if (!read_resource(element, resource))
				return false;
			found = true;
		}
	}
	*malformed = step != MT_STEP_END || !(is_list || found);
	return found && !*malformed;
}

/* Is the string other than it should be? A value that should not be known is not other. */
static bool
differs(MtSpan string, const char *wanted, bool folded)
{
	char	   *text;

	if (wanted == NULL)
		return false;
	text = string.start != NULL && mt_json_is_string(string) ? mt_json_text(string) : NULL;
	return text == NULL || (folded ? pg_strcasecmp(text, wanted) : strcmp(text, wanted)) != 0;
}

static bool
says(MtSpan value, const char *word)
{
	return value.length == strlen(word) && strncmp(value.start, word, value.length) == 0;
}

/* Begins another operation of a PATCH. */
static void
begin_operation(StringInfo body, const char *path)
{
	appendStringInfo(body, "%s{\"op\":\"replace\",\"path\":\"%s\",\"value\":", body->data[body->len - 1] == '[' ? "" : ",", path);
}

static void
append_operation(StringInfo body, const char *path, const char *value)
{
	begin_operation(body, path);
	escape_json(body, value);
	appendStringInfoChar(body, '}');
}

/* Is the user the one that was looked for? An endpoint that does not know filters gives anybody. */
static bool
is_meant(const MtPush *push, const Resource *resource)
{
	switch (push->step)
	{
		case PUSH_LOOK_BY_ID:
			return !differs(resource->id, push->scim_id, false);
		case PUSH_LOOK_BY_NAME:
			return !differs(resource->user_name, push->user_name, true);
		case PUSH_LOOK_BY_EXTERNAL_ID:
			return !differs(resource->external_id, push->external_id, false);
		case PUSH_CREATE:
		case PUSH_CHANGE:
			break;
	}
	return true;
}

/* The user is upstream: changed where something differs, else done. */
static void
bring_up_to_date(MtTenant *tenant, MtSlot *slot, const Resource *resource)
{
	MtPush	   *push = slot->push;
	MemoryContext previous = MemoryContextSwitchTo(push->context);
	StringInfoData body;
	bool		same;

	push->scim_id = mt_json_text(resource->id);
	initStringInfo(&body);
	appendStringInfoString(&body, "{\"schemas\":[\"urn:ietf:params:scim:api:messages:2.0:PatchOp\"],\"Operations\":[");
	push->freed_name = NULL;
	if (differs(resource->user_name, push->user_name, true))
	{
		append_operation(&body, "userName", push->user_name);
		if (resource->user_name.start != NULL)
			push->freed_name = mt_json_text(resource->user_name);
	}
	if (differs(resource->formatted, push->name, false))
		append_operation(&body, "name.formatted", push->name);
	/* Somebody else's is left as it is. */
	if (resource->external_id.start == NULL || mt_json_is_null(resource->external_id))
		append_operation(&body, "externalId", push->external_id);
	if (push->active ? !says(resource->active, "true") : !says(resource->active, "false"))
	{
		begin_operation(&body, "active");
		appendStringInfoString(&body, push->active ? "true}" : "false}");
	}
	same = body.data[body.len - 1] == '[';
	appendStringInfoString(&body, "]}");
	push->body = body.data;
	MemoryContextSwitchTo(previous);
	if (same)
		end_push(tenant, slot, NULL, false);
	else
		go_to(slot, PUSH_CHANGE);
}

/* The user is not upstream: created, unless he is to be inactive, which he is then. */
static void
absent(MtTenant *tenant, MtSlot *slot)
{
	MtPush	   *push = slot->push;
	MemoryContext previous;
	StringInfoData body;

	if (!push->active)
	{
		end_push(tenant, slot, NULL, false);
		return;
	}
	previous = MemoryContextSwitchTo(push->context);
	initStringInfo(&body);
	appendStringInfoString(&body, "{\"schemas\":[\"urn:ietf:params:scim:schemas:core:2.0:User\"],\"userName\":");
	escape_json(&body, push->user_name);
	appendStringInfoString(&body, ",\"externalId\":");
	escape_json(&body, push->external_id);
	if (push->name != NULL)
	{
		appendStringInfoString(&body, ",\"name\":{\"formatted\":");
		escape_json(&body, push->name);
		appendStringInfoChar(&body, '}');
	}
	appendStringInfoString(&body, ",\"active\":true}");
	push->body = body.data;
	MemoryContextSwitchTo(previous);
	go_to(slot, PUSH_CREATE);
}

static void
owner_work(void *argument)
{
	PushWork   *work = argument;
	const char *tenant = work->tenant->tenant_id;

	mt_sql_enter_tenant(tenant);
	work->owner = mt_sql_push_owner(tenant, work->push->user_id, work->scim_id, work->external_id, work->push->context);
}

/* Somebody was found. By name or external id it may be another user of ours, who was renamed and is not yet upstream. */
static void
found(MtTenant *tenant, MtSlot *slot, const Resource *resource)
{
	MtPush	   *push = slot->push;
	PushWork	work = {.tenant = tenant,.push = push,.scim_id = mt_json_text(resource->id)};
	MtFailure	failure;

	if (!is_meant(push, resource))
	{
		failed(tenant, slot, "the SCIM endpoint gives somebody else than was looked for");
		return;
	}
	if (push->step == PUSH_LOOK_BY_ID)
	{
		bring_up_to_date(tenant, slot, resource);
		return;
	}
	/* Who leaves is not kept there by what an external id says. */
	if (push->active && resource->external_id.start != NULL && mt_json_is_string(resource->external_id) &&
		differs(resource->external_id, push->external_id, false))
		work.external_id = mt_json_text(resource->external_id);
	if (!mt_in_transaction(owner_work, &work, &failure))
	{
		mt_job_trouble(tenant, &failure);
		return;
	}
	if (work.owner == NULL)
	{
		bring_up_to_date(tenant, slot, resource);
		return;
	}
	if (push->active)
		end_push(tenant, slot, psprintf("at the SCIM endpoint user \"%s\" (there \"%s\") has this user's name or id: change his address here, so that he is "
										"pushed, or there, and replay this letter", work.owner, work.scim_id), false);
	else if (push->step == PUSH_LOOK_BY_NAME)
		/* He may be there under another name. */
		go_to(slot, PUSH_LOOK_BY_EXTERNAL_ID);
	else
		absent(tenant, slot);
}

/* An answer that says that all is well. */
static void
answered_well(MtTenant *tenant, MtSlot *slot)
{
	const MtHttpRequest *request = slot->request;
	MtSpan		document = {NULL, 0};
	Resource	resource;
	bool		malformed = false;
	bool		is_json = request->body != NULL && mt_json_document(request->body, request->length, &document);

	tenant->push_refusals = 0;

	switch (slot->push->step)
	{
		case PUSH_CHANGE:
			/* It may answer without a body. */
			end_push(tenant, slot, NULL, false);
			return;
		case PUSH_LOOK_BY_ID:
		case PUSH_CREATE:
			if (is_json && read_resource(document, &resource))
			{
				if (slot->push->step == PUSH_LOOK_BY_ID)
					found(tenant, slot, &resource);
				else
				{
					MemoryContext previous = MemoryContextSwitchTo(slot->push->context);

					slot->push->scim_id = mt_json_text(resource.id);
					MemoryContextSwitchTo(previous);
					end_push(tenant, slot, NULL, false);
				}
				return;
			}
			break;
		case PUSH_LOOK_BY_NAME:
		case PUSH_LOOK_BY_EXTERNAL_ID:
			if (is_json && read_list(document, &resource, &malformed))
			{
				found(tenant, slot, &resource);
				return;
			}
			if (is_json && !malformed)
			{
				if (slot->push->step == PUSH_LOOK_BY_NAME)
					go_to(slot, PUSH_LOOK_BY_EXTERNAL_ID);
				else
					absent(tenant, slot);
				return;
			}
			break;
	}
	tenant->tally[MT_TALLY_UNUSABLE]++;
	failed(tenant, slot, "the answer of the SCIM endpoint is not usable");
}

/* The far side wants less of the whole account. The user is put off, for it may be his kind of request alone, and others get there. */
static void
throttled(MtTenant *tenant, MtSlot *slot, const char *reason)
{
	int64		now = mt_now();
	int64		own = 0;
	int64		pause;

	/* Those that were under way together are one refusal. */
	if (tenant->push_stops_until <= now)
		own = longer_pause(tenant, THROTTLE_PAUSE, LAST_THROTTLE);
	pause = mt_retry_after(slot->request, own);
	tenant->push_stops_until = Max(tenant->push_stops_until, now + Max(own, pause) * Max(Min(tenant->push_troubles, PAUSES_MAX), 1));
	tenant->paused_until = Max(tenant->paused_until, now + pause);
	tenant->tally[MT_TALLY_THROTTLED]++;
	if (pause == 0 || now + pause <= tenant->backoff_until || mt_job_back_off(tenant, pause, "MindTickle's SCIM endpoint asked for a pause (429)"))
		end_push(tenant, slot, reason, false);
}

/* An answer with a status that says otherwise. */
static void
refused(MtTenant *tenant, MtSlot *slot, int status)
{
	MtPush	   *push = slot->push;
	char	   *reason = psprintf("the SCIM endpoint answers %d", status);

	if (status == 429)
	{
		throttled(tenant, slot, reason);
		return;
	}
	tenant->tally[status == 401 || status == 403 ? MT_TALLY_REFUSED : status / 100 == 4 ? MT_TALLY_CLIENT_ERRORS : MT_TALLY_SERVER_ERRORS]++;
	if (status == 401 || status == 403)
	{
		go_to(slot, push->step);
		/* Another token may be stored any time, so at first it is tried soon. */
		rest(tenant, Min(MT_MINUTE << Min(tenant->push_refusals, 10), MT_REFUSED_PAUSE),
			 psprintf("MindTickle refuses the scim_token (%d): store a valid one with mt_set_credential, or correct the scim_url", status));
		tenant->push_refusals++;
		let_go_of_waiting(tenant);
	}
	else if (status / 100 != 4 || status == 408 || status == 425)
		failed(tenant, slot, reason);
	else if (status == 404 && (push->step == PUSH_LOOK_BY_ID || push->step == PUSH_CHANGE))
		look_again(tenant, slot, reason);
	else if (status == 409 && push->step == PUSH_CREATE)
		look_again(tenant, slot, reason);
	else if (status == 409 && push->step == PUSH_CHANGE)
		/* Whoever has the name may be about to get another one. */
		end_push(tenant, slot, "the SCIM endpoint answers 409: somebody else there has this user's name, which is to be changed there or here; where "
				 "two take each other's, give one of them a third name here, replay the other's letter, and then give the first his own", false);
	else
		end_push(tenant, slot, reason, true);
}

/*
 * The user's request is over.
 */
void
mt_push_answer(MtTenant *tenant, MtSlot *slot)
{
	const MtHttpRequest *request = slot->request;

	if (request->outcome != MT_HTTP_ANSWERED)
	{
		tenant->tally[request->outcome == MT_HTTP_UNREACHABLE || request->outcome == MT_HTTP_ADDRESS_REFUSED ? MT_TALLY_UNREACHABLE : MT_TALLY_BROKEN]++;
		failed(tenant, slot, request->error);
	}
	else if (request->status / 100 == 2)
		answered_well(tenant, slot);
	else
		refused(tenant, slot, request->status);
}
