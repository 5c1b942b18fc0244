/*
 * scim_bulk.c
 *		POST /Bulk: many requests in one (RFC 7644 section 3.7), in the order in which what they refer to is known.
 *
 * Each operation is answered by itself, as the request that it stands for, and so its body kept where it is refused for that; one that is refused
 * leaves the others alone, until there are failOnErrors of them. "bulkId:x" in a path or anywhere in data stands for the id that the operation of this
 * bulkId has made; an operation waits for those that it names. All of it is one transaction.
 *
 * Called by scim_request.c.
 */
#include "scim_request.h"

#include "service_call.h"
#include "storage/lockdefs.h"

#define REFERENCE_PREFIX	"bulkId:"
/* Most bytes of an operation's path: more than any id needs, escaped. */
#define PATH_MAX_BYTES		2048

/* One operation. */
typedef struct BulkOperation
{
	const MtJson *request;
	const char *method;
	const char *bulk_id;		/* NULL: none */
	const char *path;
	MtJson	   *data;			/* NULL: none */
	char	   *made_id;		/* of a POST that was granted */
	const struct BulkOperation *awaited;	/* one that it was seen to wait for */
	bool		done;
} BulkOperation;

typedef struct Bulk
{
	MtScimCall *call;
	BulkOperation *operations;
	int			count;
	const BulkOperation **named;	/* those with a bulkId, in its order */
	int			named_count;
	int64		errors_allowed; /* 0: any number */
	int			errors;
	bool		letters_full;	/* no more are tried to be kept: to find that out is to count them */
	MtJson	   *results;
} Bulk;

static bool
read_operation(Bulk *bulk, const MtJson *request, BulkOperation *operation)
{
	static const char *const methods[] = {"POST", "PUT", "PATCH", "DELETE"};
	const char *method = mt_json_get_text(request, "method");
	MtJson	   *data = mt_json_get(request, "data");

	memset(operation, 0, sizeof(BulkOperation));
	operation->request = request;
	operation->path = mt_json_get_text(request, "path");
	operation->bulk_id = mt_json_get_text(request, "bulkId");
	operation->data = data == NULL || data->type == MT_JSON_NULL ? NULL : data;
	for (int i = 0; i < (int) lengthof(methods); i++)
		if (method != NULL && pg_strcasecmp(methods[i], method) == 0)
			operation->method = methods[i];
	if (operation->method == NULL || operation->path == NULL)
		return mt_scim_refuse(bulk->call->answer, 400, "invalidSyntax", "An operation must have a method of POST, PUT, PATCH and DELETE, and a path.");
	if (strlen(operation->path) > PATH_MAX_BYTES)
		return mt_scim_refuse(bulk->call->answer, 400, "invalidSyntax", "The path of an operation must not be longer than %d bytes.", PATH_MAX_BYTES);
	if (strcmp(operation->method, "POST") == 0 && operation->bulk_id == NULL)
		return mt_scim_refuse(bulk->call->answer, 400, "invalidSyntax", "An operation that is a POST must have a bulkId.");
	return true;
}

static int
compare_names(const void *left, const void *right)
{
	return strcmp((*(const BulkOperation *const *) left)->bulk_id, (*(const BulkOperation *const *) right)->bulk_id);
}

/* Puts those that can be referred to in order. False, with a refusal, where two have one name. */
static bool
order_names(Bulk *bulk)
{
	bulk->named = palloc(sizeof(BulkOperation *) * bulk->count);
	bulk->named_count = 0;
	for (int i = 0; i < bulk->count; i++)
		if (bulk->operations[i].bulk_id != NULL)
			bulk->named[bulk->named_count++] = &bulk->operations[i];
	qsort(bulk->named, bulk->named_count, sizeof(BulkOperation *), compare_names);
	for (int i = 1; i < bulk->named_count; i++)
		if (compare_names(&bulk->named[i - 1], &bulk->named[i]) == 0)
			return mt_scim_refuse(bulk->call->answer, 400, "invalidSyntax", "A bulkId must not be given twice.");
	return true;
}

static bool
read_bulk(Bulk *bulk, MtScimCall *call)
{
	const MtJson *operations = mt_json_get(call->body, "Operations");
	const MtJson *fail_on_errors = mt_json_get(call->body, "failOnErrors");

	memset(bulk, 0, sizeof(Bulk));
	bulk->call = call;
	bulk->results = mt_json_array();
	if (!mt_scim_require_schema(call->answer, call->body, MT_SCIM_BULK_REQUEST_URN, "invalidSyntax"))
		return false;
	if (operations == NULL || operations->type != MT_JSON_ARRAY || operations->count == 0)
		return mt_scim_refuse(call->answer, 400, "invalidSyntax", "Operations must be a list of one or more operations.");
	if (operations->count > MT_SCIM_OPERATIONS_MAX)
		return mt_scim_refuse(call->answer, 413, NULL, "A request must not have more than %d operations.", MT_SCIM_OPERATIONS_MAX);
	if (!mt_json_is_empty(fail_on_errors))
	{
		if (fail_on_errors->type != MT_JSON_NUMBER || strspn(fail_on_errors->text, "0123456789") != strlen(fail_on_errors->text) ||
			strlen(fail_on_errors->text) > 9)
			return mt_scim_refuse(call->answer, 400, "invalidSyntax", "failOnErrors must be a whole number.");
		bulk->errors_allowed = strtol(fail_on_errors->text, NULL, 10);
	}
	bulk->operations = palloc(sizeof(BulkOperation) * operations->count);
	for (bulk->count = 0; bulk->count < operations->count; bulk->count++)
		if (!read_operation(bulk, operations->items[bulk->count], &bulk->operations[bulk->count]))
			return false;
	return order_names(bulk);
}

/* The operation of a bulkId; NULL where there is none. */
static const BulkOperation *
find_operation(const Bulk *bulk, const char *bulk_id)
{
	const BulkOperation wanted = {.bulk_id = bulk_id};
	const BulkOperation *key = &wanted;
	const BulkOperation **found = bsearch(&key, bulk->named, bulk->named_count, sizeof(BulkOperation *), compare_names);

	return found == NULL ? NULL : *found;
}

/* True where a text refers to an operation; *operation is then that one, NULL where there is none. */
static bool
refers(const Bulk *bulk, const char *text, const BulkOperation **operation)
{
	if (strncmp(text, REFERENCE_PREFIX, strlen(REFERENCE_PREFIX)) != 0)
		return false;
	*operation = find_operation(bulk, text + strlen(REFERENCE_PREFIX));
	return true;
}

/* The operation that a text refers to, where it has not been answered; NULL where there is none. */
static const BulkOperation *
awaited_by_text(const Bulk *bulk, const char *text)
{
	const BulkOperation *operation;

	return refers(bulk, text, &operation) && operation != NULL && !operation->done ? operation : NULL;
}

/* An operation that a value refers to and that has not been answered; NULL where there is none. */
static const BulkOperation *
find_awaited(const Bulk *bulk, const MtJson *value)
{
	const BulkOperation *operation;

	if (value == NULL)
		return NULL;
	if (value->type == MT_JSON_STRING)
		return awaited_by_text(bulk, value->text);
	for (int i = 0; i < value->count; i++)
	{
		operation = find_awaited(bulk, value->items[i]);
		if (operation != NULL)
			return operation;
	}
	return NULL;
}

/* Puts ids in the place of references. False where one was not made. */
static bool
resolve_references(const Bulk *bulk, MtJson *value)
{
	const BulkOperation *operation;

	if (value == NULL)
		return true;
	if (value->type == MT_JSON_STRING && refers(bulk, value->text, &operation))
	{
		if (operation == NULL || operation->made_id == NULL)
			return false;
		value->text = operation->made_id;
	}
	for (int i = 0; i < value->count; i++)
		if (!resolve_references(bulk, value->items[i]))
			return false;
	return true;
}

/* The last segment of a path, within it. */
static const char *
last_segment(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash == NULL ? path : slash + 1;
}

/* Adds what an operation has come to. */
static void
add_result(Bulk *bulk, BulkOperation *operation, const MtScimAnswer *answer)
{
	MtJson	   *result = mt_json_object();

	mt_json_set_text(result, "location", answer->location);
	mt_json_set_text(result, "method", operation->method);
	mt_json_set_text(result, "bulkId", operation->bulk_id);
	mt_json_set_text(result, "version", answer->etag);
	mt_json_set_text(result, "status", psprintf("%d", answer->status));
	if (answer->status >= 400)
	{
		bulk->errors++;
		mt_json_set(result, "response", answer->body);
	}
	mt_json_append(bulk->results, result);
	operation->done = true;
}

/* True where an operation refers to one that is still to come. Its data are not gone through again before the one that it was seen to wait for. */
static bool
must_wait(const Bulk *bulk, BulkOperation *operation)
{
	if (operation->awaited == NULL || operation->awaited->done)
	{
		operation->awaited = awaited_by_text(bulk, last_segment(operation->path));
		if (operation->awaited == NULL)
			operation->awaited = find_awaited(bulk, operation->data);
	}
	return operation->awaited != NULL;
}

/*
 * Keeps the data of an operation that was refused for them, as if it had come alone. Where there is no room for them that is its answer, and what the
 * others have done stays.
 */
static void
keep_letter(Bulk *bulk, const MtScimCall *call, const char *method, const char *path)
{
	StringInfoData data;

	if (call->answer->status != 400 || call->body == NULL || strcmp(method, "DELETE") == 0)
		return;
	if (!bulk->letters_full)
	{
		initStringInfo(&data);
		mt_json_write(&data, call->body);
		bulk->letters_full = !mt_scim_keep_letter(call, method, path, data.data, data.len);
	}
	if (bulk->letters_full)
		mt_scim_refuse(call->answer, 429, NULL, "The operation is at fault (%s), and there is no room to keep it: send it again later.", call->answer->fault_detail);
}

static void
run_operation(Bulk *bulk, BulkOperation *operation)
{
	MtScimAnswer answer = {0};
	MtScimParameters parameters = {0};
	MtScimCall	call = *bulk->call;
	const char *target = last_segment(operation->path);
	const char *path = operation->path;
	const BulkOperation *made;

	call.in_bulk = true;
	call.answer = &answer;
	call.parameters = &parameters;
	call.body = operation->data;
	call.if_match = mt_json_get_text(operation->request, "version");
	call.if_none_match = NULL;
	if (!resolve_references(bulk, operation->data) || (refers(bulk, target, &made) && (made == NULL || made->made_id == NULL)))
		mt_scim_refuse(&answer, 409, "invalidValue", "A bulkId stands for nothing that was made.");
	else
	{
		if (refers(bulk, target, &made))
			path = psprintf("%.*s%s", (int) (strlen(path) - strlen(target)), path, made->made_id);
		mt_scim_dispatch(&call, operation->method, path);
	}
	keep_letter(bulk, &call, operation->method, path);
	if (answer.status == 201)
		operation->made_id = pstrdup(mt_json_get_text(answer.body, "id"));
	add_result(bulk, operation, &answer);
}

static bool
stopped(const Bulk *bulk)
{
	return bulk->errors_allowed > 0 && bulk->errors >= bulk->errors_allowed;
}

/* Runs what refers to nothing that is still to come, until nothing of that kind is left. */
static void
run_operations(Bulk *bulk)
{
	bool		progress = true;

	while (progress)
	{
		progress = false;
		for (int i = 0; i < bulk->count && !stopped(bulk); i++)
		{
			BulkOperation *operation = &bulk->operations[i];

			if (operation->done || must_wait(bulk, operation))
				continue;
			run_operation(bulk, operation);
			progress = true;
		}
	}
	for (int i = 0; i < bulk->count && !stopped(bulk); i++)
		if (!bulk->operations[i].done)
		{
			MtScimAnswer answer = {0};

			mt_scim_refuse(&answer, 409, "invalidValue", "The operations wait for each other.");
			add_result(bulk, &bulk->operations[i], &answer);
		}
}

/* Takes the locks that the operations will need before any row is locked. */
static void
lock_members(const Bulk *bulk)
{
	LOCKMODE	mode = ShareLock;

	for (int i = 0; i < bulk->count; i++)
		if (strcmp(bulk->operations[i].method, "DELETE") == 0)
			mode = ExclusiveLock;
	mt_lock_members(bulk->call->tenant, mode);
}

/*
 * POST /Bulk
 */
void
mt_scim_bulk(MtScimCall *call)
{
	Bulk		bulk;
	MtJson	   *response = mt_json_object();
	MtJson	   *schemas = mt_json_array();

	if (!read_bulk(&bulk, call))
		return;
	lock_members(&bulk);
	run_operations(&bulk);
	mt_json_append(schemas, mt_json_string(MT_SCIM_BULK_RESPONSE_URN));
	mt_json_set(response, "schemas", schemas);
	mt_json_set(response, "Operations", bulk.results);
	call->answer->status = 200;
	call->answer->body = response;
}
