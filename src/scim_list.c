/*
 * scim_list.c
 *		GET /Users and GET /Groups, and the same as POST .../.search: filter, sort, page (RFC 7644 section 3.4.2).
 *
 * The order is that of creation, which no update changes, so that a client who walks the pages misses nobody. The number of all matches is
 * counted only where the page does not show it.
 *
 * Called by scim_request.c.
 */
#include "scim_list.h"

#include "catalog/pg_type.h"
#include "plan.h"
#include "scim_filter.h"
#include "scim_group.h"
#include "scim_user.h"
#include "utils/builtins.h"

/* Most comparisons that a filter may need, and so many for each resource that it may need in any case. */
#define COMPARISONS_MAX		INT64CONST(20000000)
#define FREE_COMPARISONS	50
/* Most values of elements that a filter may have looked up: each reads all that have it, as all members of a group, before anything can be bounded by it. */
#define LOOKUPS_MAX			20

/* What is asked for, checked. */
typedef struct ListRequest
{
	MtScimResource resource;
	MtScimSelection selection;
	const MtScimFilter *filter; /* NULL: none */
	MtScimReference sort_by;
	bool		sorted;
	bool		descending;
	int64		start_index;
	int64		count;
} ListRequest;

/* The parts of the statements, by MtScimResource. */
static const struct
{
	const char *columns;
	const char *source;
	const char *order;
	const char *row;			/* the name of a row */
}			statements[] = {
	[MT_SCIM_USER] = {MT_SCIM_USER_COLUMNS, "mindtickle.users AS u WHERE u.tenant_id = $1 AND " MT_SCIM_USER_VISIBLE,
	"u.created_at, u.user_id", "u"},
	[MT_SCIM_GROUP] = {MT_SCIM_GROUP_COLUMNS, "mindtickle.team AS t WHERE t.tenant_id = $1 AND " MT_SCIM_GROUP_VISIBLE,
	"t.created_at, t.team_id", "t"}
};

/* A whole number; text NULL: not given, number stays. */
static bool
read_number(MtScimAnswer *answer, const char *name, const char *text, int64 *number)
{
	char	   *end;

	if (text == NULL)
		return true;
	errno = 0;
	if ((text[0] >= '0' && text[0] <= '9') || text[0] == '-')
	{
		*number = strtoi64(text, &end, 10);
		if (errno == 0 && *end == '\0' && end[-1] != '-')
			return true;
	}
	return mt_scim_refuse(answer, 400, "invalidValue", "%s must be a whole number.", name);
}

static bool
read_order(MtScimAnswer *answer, const MtScimParameters *parameters, ListRequest *request)
{
	const char *order = parameters->sort_order;

	request->sorted = parameters->sort_by != NULL &&
		mt_scim_resolve(request->resource, parameters->sort_by, (int) strlen(parameters->sort_by), &request->sort_by);
	request->descending = order != NULL && pg_strcasecmp(order, "descending") == 0;
	if (order != NULL && !request->descending && pg_strcasecmp(order, "ascending") != 0)
		return mt_scim_refuse(answer, 400, "invalidValue", "sortOrder must be ascending or descending.");
	return true;
}

static bool
read_request(MtScimCall *call, const MtScimParameters *parameters, MtScimResource resource, ListRequest *request)
{
	MtScimFault fault = {0};

	memset(request, 0, sizeof(ListRequest));
	request->resource = resource;
	request->start_index = 1;
	request->count = MT_SCIM_PAGE_DEFAULT;
	if (!mt_scim_read_selection(parameters, resource, &request->selection, call->answer) ||
		!read_number(call->answer, "startIndex", parameters->start_index, &request->start_index) ||
		!read_number(call->answer, "count", parameters->count, &request->count) ||
		!read_order(call->answer, parameters, request))
		return false;
	request->start_index = Max(request->start_index, 1);
	request->count = Min(Max(request->count, 0), MT_SCIM_PAGE_MAX);
	if (parameters->filter != NULL)
	{
		request->filter = mt_scim_parse_filter(parameters->filter, (int) strlen(parameters->filter), resource, &fault);
		/* What .search asks for is in its body: no secret gets into an address by it. */
		if (request->filter == NULL)
			return mt_scim_refuse(call->answer, 400, parameters == call->parameters ? fault.type : "invalidFilter", "%s", fault.detail);
	}
	return true;
}

/*
 * CURSOR_OPT_GENERIC_PLAN where the filter asks for the value of a key with an index: whatever the value, the index is the way, and planning anew
 * each time would cost more than running. Other filters are planned for their values.
 */
static int
planning_of(const ListRequest *request)
{
	ListCell   *cell;

	if (request->filter != NULL)
		foreach(cell, mt_scim_equal_terms(request->filter))
		{
			const MtScimFilter *term = lfirst(cell);

			if (mt_scim_has_index(term->attribute) || term->attribute->lookup != NULL)
				return CURSOR_OPT_GENERIC_PLAN;
		}
	return 0;
}

/* Begins a statement over all resources. $1 is the tenant, $2 whether a user's groups are wanted. */
static void
begin_statement(const MtScimCall *call, const ListRequest *request, const char *columns, MtScimQuery *query)
{
	mt_scim_query_begin(query, call->base_url);
	(void) mt_scim_query_bind(query, TEXTOID, CStringGetTextDatum(call->tenant));
	(void) mt_scim_query_bind(query, BOOLOID, BoolGetDatum(request->resource == MT_SCIM_USER &&
														   mt_scim_selects(&request->selection, MT_SCIM_USER, "groups")));
	appendStringInfo(&query->text, "SELECT %s FROM %s", columns, statements[request->resource].source);
}

static void
append_filter(const ListRequest *request, MtScimQuery *query)
{
	if (request->filter == NULL)
		return;
	appendStringInfoString(&query->text, " AND ");
	mt_scim_append_condition(query, request->filter);
}

/*
 * True where the tenant has more than so many resources that an index finds for the filter, or with a list more elements of it in them. Where it finds
 * none, all are meant.
 */
static bool
has_more(const MtScimCall *call, const ListRequest *request, const MtScimAttribute *list, int64 most)
{
	const char *row = statements[request->resource].row;
	MtScimQuery query;
	int			offset;

	begin_statement(call, request, psprintf("FROM (SELECT %s.*", row), &query);
	mt_scim_append_index_part(&query, request->filter);
	appendStringInfo(&query.text, ") AS %s", row);
	if (list != NULL)
		appendStringInfo(&query.text, " CROSS JOIN LATERAL (SELECT FROM %s) AS elements", list->source);
	offset = mt_scim_query_bind(&query, INT8OID, Int64GetDatum(most));
	appendStringInfo(&query.text, " LIMIT 1 OFFSET $%d", offset);
	return mt_plan_run_text(query.text.data, query.count, query.types, query.values, planning_of(request), SPI_OK_SELECT) > 0;
}

/*
 * False, with a refusal, where a filter is so many comparisons for so many resources, and elements of their lists, that it would be stopped, after it
 * has kept others waiting. What identity providers ask for is far below that.
 */
static bool
check_cost(const MtScimCall *call, const ListRequest *request)
{
	MtScimFilterCost cost;
	ListCell   *cell;
	bool		too_much;

	if (request->filter == NULL)
		return true;
	mt_scim_filter_cost(request->filter, &cost);
	if (cost.lookups > LOOKUPS_MAX)
		return mt_scim_refuse(call->answer, 400, "tooMany", "A filter must not ask for more than %d values of groups, members and emails.", LOOKUPS_MAX);
	too_much = cost.comparisons > FREE_COMPARISONS && has_more(call, request, NULL, COMPARISONS_MAX / cost.comparisons);
	foreach(cell, cost.lists)
	{
		const MtScimListCost *list_cost = lfirst(cell);

		too_much = too_much || has_more(call, request, list_cost->list, COMPARISONS_MAX / list_cost->comparisons);
	}
	return !too_much || mt_scim_refuse(call->answer, 400, "tooMany", "The filter is too much for so many %s: ask with fewer comparisons.",
									   mt_scim_resource_types[request->resource].endpoint);
}

static int64
count_matches(const MtScimCall *call, const ListRequest *request)
{
	MtScimQuery query;
	bool		isnull;

	begin_statement(call, request, "count(*)", &query);
	append_filter(request, &query);
	(void) mt_plan_run_text(query.text.data, query.count, query.types, query.values, planning_of(request), SPI_OK_SELECT);
	return DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull));
}

static void
append_order(const ListRequest *request, MtScimQuery *query)
{
	appendStringInfoString(&query->text, " ORDER BY ");
	if (request->sorted && mt_scim_append_sort_key(query, &request->sort_by))
		appendStringInfo(&query->text, " %s, ", request->descending ? "DESC" : "ASC");
	appendStringInfoString(&query->text, statements[request->resource].order);
}

/*
 * Runs the statement of the page; its rows are in SPI_tuptable. The page is cut out of the bare rows, so that what belongs to a row, as a user's
 * groups, is not put together for all the rows before it.
 */
static uint64
read_page(const MtScimCall *call, const ListRequest *request)
{
	const char *row = statements[request->resource].row;
	MtScimQuery query;
	int			limit;
	int			offset;

	begin_statement(call, request, psprintf("%s FROM (SELECT %s.*", statements[request->resource].columns, row), &query);
	append_filter(request, &query);
	append_order(request, &query);
	limit = mt_scim_query_bind(&query, INT8OID, Int64GetDatum(request->count));
	offset = mt_scim_query_bind(&query, INT8OID, Int64GetDatum(request->start_index - 1));
	appendStringInfo(&query.text, " LIMIT $%d OFFSET $%d) AS %s", limit, offset, row);
	append_order(request, &query);
	return mt_plan_run_text(query.text.data, query.count, query.types, query.values, planning_of(request), SPI_OK_SELECT);
}

/* Adds a resource to a page. False, with a refusal, where the page is then too large; room is how many bytes it may still have. */
static bool
add_resource(const MtScimCall *call, MtJson *resources, MtJson *resource, int64 *room)
{
	*room -= mt_json_length(resource);
	mt_json_append(resources, resource);
	return *room >= 0 || mt_scim_refuse(call->answer, 400, "tooMany", "The page would be larger than %d bytes; ask for fewer resources, or attributes of them.",
										MT_SCIM_ANSWER_MAX);
}

static bool
render_users(const MtScimCall *call, const ListRequest *request, uint64 count, MtJson *resources)
{
	int64		room = MT_SCIM_ANSWER_MAX;

	for (uint64 i = 0; i < count; i++)
	{
		MtScimUser	user;

		mt_scim_user_from_row(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, &user);
		if (!add_resource(call, resources, mt_scim_user_render(call, &user, &request->selection), &room))
			return false;
	}
	return true;
}

static bool
render_groups(const MtScimCall *call, const ListRequest *request, uint64 count, MtJson *resources)
{
	MtScimGroup *groups = palloc(sizeof(MtScimGroup) * Max(count, 1));
	bool		with_members = mt_scim_selects(&request->selection, MT_SCIM_GROUP, "members");
	int64		room = MT_SCIM_ANSWER_MAX;

	/* Reading the members replaces the rows. */
	for (uint64 i = 0; i < count; i++)
		mt_scim_group_from_row(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, &groups[i]);
	for (uint64 i = 0; i < count; i++)
	{
		MtJson	   *members = NULL;

		if (with_members && (members = mt_scim_read_members(call, groups[i].id, room)) == NULL)
			return mt_scim_refuse_members(call);
		if (!add_resource(call, resources, mt_scim_group_render(call, &groups[i], members, &request->selection), &room))
			return false;
	}
	return true;
}

static void
answer_list(MtScimCall *call, const MtScimParameters *parameters, MtScimResource resource)
{
	ListRequest request;
	MtJson	   *resources = mt_json_array();
	MtJson	   *schemas = mt_json_array();
	MtJson	   *list = mt_json_object();
	uint64		shown = 0;
	int64		total = -1;

	if (!read_request(call, parameters, resource, &request) || !check_cost(call, &request))
		return;
	if (request.count > 0)
	{
		shown = read_page(call, &request);
		if (shown < (uint64) request.count && (shown > 0 || request.start_index == 1))
			total = request.start_index - 1 + (int64) shown;
		if (resource == MT_SCIM_USER ? !render_users(call, &request, shown, resources) : !render_groups(call, &request, shown, resources))
			return;
	}
	if (total < 0)
		total = count_matches(call, &request);
	mt_json_append(schemas, mt_json_string(MT_SCIM_LIST_URN));
	mt_json_set(list, "schemas", schemas);
	mt_json_set(list, "totalResults", mt_json_number(total));
	mt_json_set(list, "startIndex", mt_json_number(request.start_index));
	mt_json_set(list, "itemsPerPage", mt_json_number((int64) shown));
	mt_json_set(list, "Resources", resources);
	call->answer->status = 200;
	call->answer->body = list;
}

/*
 * GET /Users, GET /Groups
 */
void
mt_scim_list(MtScimCall *call, MtScimResource resource)
{
	answer_list(call, call->parameters, resource);
}

/*
 * POST /Users/.search, POST /Groups/.search
 */
void
mt_scim_search(MtScimCall *call, MtScimResource resource)
{
	MtScimParameters parameters = {0};

	if (mt_scim_read_search(call->body, &parameters, call->answer))
		answer_list(call, &parameters, resource);
}
