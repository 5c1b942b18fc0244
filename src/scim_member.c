/*
 * scim_member.c
 *		Members of groups: what a request does to them is collected, checked as a whole, and written by three statements at most.
 *
 * Adding or removing members costs what is added or removed, whatever the size of the group: its members are read only where a filter asks for more
 * than their ids. Users are looked up one by one, as subqueries that are no joins: before the tables have been analyzed a join would be planned as if
 * there were one of each, and take the square of what there is.
 *
 * Called by scim_group.c, under mt_lock_members and the lock of the group's row.
 */
#include "scim_group.h"

#include "catalog/pg_type.h"
#include "plan.h"
#include "scim_user.h"
#include "utils/array.h"
#include "utils/builtins.h"

/* Members are read in groups of so many. */
#define MEMBERS_FETCHED		1000

/* One user whom a request names. */
typedef struct NamedMember
{
	char		id[MT_ID_MAX + 1];	/* the key */
	bool		present;		/* is a member afterwards */
} NamedMember;

/* A list of ids as an argument. */
typedef struct IdList
{
	Datum	   *ids;
	int			count;
} IdList;

/* Nobody is named yet, or any more. */
static void
name_nobody(MtScimMemberChange *change)
{
	HASHCTL		control = {.keysize = MT_ID_MAX + 1,.entrysize = sizeof(NamedMember),.hcxt = change->context};

	if (change->named != NULL)
		hash_destroy(change->named);
	change->named = hash_create("members of a group", 256, &control, HASH_ELEM | HASH_STRINGS | HASH_CONTEXT);
}

/*
 * Begins to collect what a request does to a group's members.
 */
void
mt_scim_begin_members(MtScimMemberChange *change, const MtScimCall *call, const char *group_id)
{
	memset(change, 0, sizeof(MtScimMemberChange));
	change->call = call;
	change->group_id = group_id;
	change->context = CurrentMemoryContext;
	name_nobody(change);
}

static void
name_member(MtScimMemberChange *change, const char *id, bool present)
{
	NamedMember *member = hash_search(change->named, id, HASH_ENTER, NULL);

	member->present = present;
}

/* Everybody leaves, and who had left needs no name for it. */
static void
clear_members(MtScimMemberChange *change)
{
	change->cleared = true;
	if (hash_get_num_entries(change->named) > 0)
		name_nobody(change);
}

/* The id of a user in a list of members: {"value": id, ...}, or the id alone. NULL, with a refusal, where it is none. */
static const char *
id_of_member(MtScimMemberChange *change, const MtJson *element)
{
	const char *id = element->type == MT_JSON_STRING ? element->text : mt_json_get_text(element, "value");
	const char *type = mt_json_get_text(element, "type");

	if (id == NULL || id[0] == '\0')
		mt_scim_refuse(change->call->answer, 400, "invalidValue", "A member must have a value, the id of a user.");
	else if (type != NULL && pg_strcasecmp(type, "User") != 0)
		mt_scim_refuse(change->call->answer, 400, "invalidValue", "Members can only be users.");
	else if (strlen(id) > MT_ID_MAX)
		mt_scim_refuse(change->call->answer, 400, "invalidValue", "A member is no user of this tenant.");
	else
		return id;
	return NULL;
}

/* Notes the users whom a value names, one or a list of them. */
static bool
name_members(MtScimMemberChange *change, const MtJson *value, bool present)
{
	bool		list = value != NULL && value->type == MT_JSON_ARRAY;
	int			count = list ? value->count : 1;

	if (mt_json_is_empty(value))
		return true;
	change->named_count += count;
	if (change->named_count > MT_SCIM_MEMBERS_MAX)
		return mt_scim_refuse(change->call->answer, 413, NULL, "A request must not name more than %d members.", MT_SCIM_MEMBERS_MAX);
	for (int i = 0; i < count; i++)
	{
		const MtJson *element = list ? value->items[i] : value;
		const char *id;

		if (mt_json_is_empty(element))
			continue;
		id = id_of_member(change, element);
		if (id == NULL)
			return false;
		name_member(change, id, present);
	}
	return true;
}

/*
 * The members of a body that gives all of them; a list that is not there is an empty one.
 */
bool
mt_scim_set_members(MtScimMemberChange *change, const MtJson *list)
{
	change->cleared = true;
	if (!mt_json_is_empty(list) && list->type != MT_JSON_ARRAY)
		return mt_scim_refuse(change->call->answer, 400, "invalidValue", "members must be a list.");
	return name_members(change, list, true);
}

/* A member as he stands in the group's resource, from a row of read_members. */
static MtJson *
member_from_row(const MtScimCall *call, HeapTuple row, TupleDesc descriptor)
{
	MtJson	   *member = mt_json_object();
	bool		isnull;
	char	   *id = TextDatumGetCString(SPI_getbinval(row, descriptor, 1, &isnull));
	Datum		display = SPI_getbinval(row, descriptor, 2, &isnull);

	mt_json_set_text(member, "value", id);
	mt_json_set_text(member, "$ref", mt_scim_location(call, mt_scim_resource_types[MT_SCIM_USER].endpoint, id));
	if (!isnull)
		mt_json_set_text(member, "display", TextDatumGetCString(display));
	mt_json_set_text(member, "type", "User");
	return member;
}

/*
 * The members of a group as they stand in its resource, in the order of their ids. NULL where they are more than so many bytes as JSON.
 */
MtJson *
mt_scim_read_members(const MtScimCall *call, const char *group_id, int64 size_max)
{
	static MtPlan read = {
		"SELECT b.user_id, p.display FROM mindtickle.team_member AS b CROSS JOIN LATERAL "
		"(SELECT CASE WHEN u.attributes ? 'scim' THEN u.attributes #>> '{scim,displayName}' ELSE u.name END AS display "
		"FROM mindtickle.users AS u WHERE u.tenant_id = $1 AND u.user_id = b.user_id AND " MT_SCIM_USER_VISIBLE_BY_ID " LIMIT 1) AS p "
		"WHERE b.tenant_id = $1 AND b.team_id = $2 AND b.active ORDER BY b.user_id",
		2, {TEXTOID, TEXTOID}
	};
	Datum		values[2] = {CStringGetTextDatum(call->tenant), CStringGetTextDatum(group_id)};
	MemoryContext context = CurrentMemoryContext;
	Portal		cursor = mt_plan_open(&read, values, NULL);
	MtJson	   *members;

	/* Opening has left it. */
	MemoryContextSwitchTo(context);
	members = mt_json_array();
	do
	{
		SPI_cursor_fetch(cursor, true, MEMBERS_FETCHED);
		for (uint64 i = 0; i < SPI_processed && size_max >= 0; i++)
		{
			mt_json_append(members, member_from_row(call, SPI_tuptable->vals[i], SPI_tuptable->tupdesc));
			size_max -= mt_json_length(members->items[members->count - 1]);
		}
		SPI_freetuptable(SPI_tuptable);
	} while (SPI_processed == MEMBERS_FETCHED && size_max >= 0);
	SPI_cursor_close(cursor);
	return size_max < 0 ? NULL : members;
}

/*
 * Refuses what would need more members than can be read for one request.
 */
bool
mt_scim_refuse_members(const MtScimCall *call)
{
	return mt_scim_refuse(call->answer, 400, "tooMany", "There are too many members for one answer; ask with excludedAttributes=members.");
}

/* True where a user is a member as the table has it. */
static bool
is_stored_member(const MtScimMemberChange *change, const char *id)
{
	static MtPlan look_up = {
		"SELECT FROM mindtickle.team_member WHERE tenant_id = $1 AND team_id = $2 AND user_id = $3 AND active",
		3, {TEXTOID, TEXTOID, TEXTOID}
	};
	Datum		values[3] = {CStringGetTextDatum(change->call->tenant), CStringGetTextDatum(change->group_id), CStringGetTextDatum(id)};

	return mt_plan_run(&look_up, values, NULL, SPI_OK_SELECT) > 0;
}

/* True where a user is a member after what the request has done so far; stored: he was one before. */
static bool
is_member(const MtScimMemberChange *change, const char *id, bool stored)
{
	const NamedMember *member = strlen(id) > MT_ID_MAX ? NULL : hash_search(change->named, id, HASH_FIND, NULL);

	return member != NULL ? member->present : stored && !change->cleared;
}

/* The id that a filter asks for, where it asks for one and nothing else: value eq "id". NULL otherwise. */
static const char *
id_of_filter(const MtScimFilter *filter)
{
	if (filter->kind == MT_SCIM_COMPARE && filter->operator == MT_SCIM_EQ && strcmp(filter->attribute->name, "value") == 0)
		return TextDatumGetCString(filter->value);
	return NULL;
}

/* Reads the members as the table has them, once for all operations. False, with a refusal, where the group is too large to look. */
static bool
read_stored(MtScimMemberChange *change)
{
	int64		size_max = Min(MT_SCIM_ANSWER_MAX, (MT_SCIM_WORK_MAX - *change->call->work) / MT_SCIM_READING_WORK);
	MtJson	   *members;

	if (change->stored != NULL)
		return true;
	members = size_max <= 0 ? NULL : mt_scim_read_members(change->call, change->group_id, size_max);
	/* Other operations of the request are not to read as much again. */
	if (members == NULL)
		return mt_scim_count_work(change->call, MT_SCIM_WORK_MAX + 1);
	change->stored = MemoryContextAlloc(change->context, sizeof(MtScimStoredMember) * Max(members->count, 1));
	for (int i = 0; i < members->count; i++)
	{
		MtScimStoredMember *member = &change->stored[change->stored_count++];
		Jsonb	   *element = mt_json_to_jsonb(members->items[i]);

		member->id = MemoryContextStrdup(change->context, mt_json_get_text(members->items[i], "value"));
		member->element = memcpy(MemoryContextAlloc(change->context, VARSIZE(element)), element, VARSIZE(element));
		change->stored_size += VARSIZE(element);
	}
	return mt_scim_count_work(change->call, MT_SCIM_READING_WORK * change->stored_size);
}

/* Those whom the request itself has added are known by id and type only. */
static List *
matching_added(const MtScimMemberChange *change, const MtScimFilter *filter, List *ids)
{
	HASH_SEQ_STATUS sequence;
	NamedMember *named;

	hash_seq_init(&sequence, change->named);
	while ((named = hash_seq_search(&sequence)) != NULL)
	{
		MtJson	   *element;

		if (!named->present)
			continue;
		element = mt_json_object();
		mt_json_set_text(element, "value", named->id);
		mt_json_set_text(element, "type", "User");
		if (mt_scim_element_matches(filter, &mt_json_to_jsonb(element)->root))
			ids = lappend(ids, named->id);
	}
	return ids;
}

/* The members that match a filter, as ids. False, with a refusal, where there are too many to look. */
static bool
matching_members(MtScimMemberChange *change, const MtScimFilter *filter, List **found)
{
	const char *id = id_of_filter(filter);
	int64		named = hash_get_num_entries(change->named);
	List	   *ids = NIL;

	if (id != NULL)
	{
		*found = is_member(change, id, is_stored_member(change, id)) ? list_make1(unconstify(char *, id)) : NIL;
		return true;
	}
	if (!read_stored(change) ||
		!mt_scim_count_work(change->call, mt_scim_filter_work(filter, change->stored_count + named, change->stored_size + named * MT_SCIM_MAKING_WORK)))
		return false;
	for (int i = 0; i < change->stored_count; i++)
		if (is_member(change, change->stored[i].id, true) && mt_scim_element_matches(filter, &change->stored[i].element->root))
			ids = lappend(ids, unconstify(char *, change->stored[i].id));
	*found = matching_added(change, filter, ids);
	return true;
}

/* A path with a filter. */
static bool
patch_matching(MtScimMemberChange *change, MtScimPatchKind kind, const MtScimFilter *filter, const MtJson *value)
{
	List	   *ids;
	ListCell   *cell;

	if (!matching_members(change, filter, &ids))
		return false;
	if (kind == MT_SCIM_REPLACE && ids == NIL)
		return mt_scim_refuse(change->call->answer, 400, "noTarget", "No member matches the filter of the path.");
	if (kind == MT_SCIM_ADD)
	{
		/* Who matches is there already; who does not is named by the filter. */
		const char *id = id_of_filter(filter);

		if (ids == NIL && id != NULL && strlen(id) <= MT_ID_MAX)
			name_member(change, id, true);
		return name_members(change, value, true);
	}
	foreach(cell, ids)
		name_member(change, lfirst(cell), false);
	return kind == MT_SCIM_REMOVE || name_members(change, value, true);
}

/*
 * One operation of a PATCH on members. A remove with a list of members removes those only: so does Entra ask for it.
 */
bool
mt_scim_patch_members(void *state, MtScimPatchKind kind, const MtScimFilter *filter, const MtScimAttribute *sub, const MtJson *value)
{
	MtScimMemberChange *change = state;

	if (sub != NULL)
		return mt_scim_refuse(change->call->answer, 400, "mutability", "members.%s cannot be changed.", sub->name);
	if (filter != NULL)
		return patch_matching(change, kind, filter, value);
	if (kind == MT_SCIM_REPLACE || (kind == MT_SCIM_REMOVE && mt_json_is_empty(value)))
		clear_members(change);
	return name_members(change, value, kind != MT_SCIM_REMOVE);
}

static int
compare_ids(const void *left, const void *right)
{
	return strcmp(*(const char *const *) left, *(const char *const *) right);
}

/* The named users who are to be members, or those who are not, in order. */
static IdList
named_ids(const MtScimMemberChange *change, bool present)
{
	HASH_SEQ_STATUS sequence;
	NamedMember *member;
	int			room = Max((int) hash_get_num_entries(change->named), 1);
	const char **ids = palloc(sizeof(char *) * room);
	IdList		list = {palloc(sizeof(Datum) * room), 0};

	hash_seq_init(&sequence, change->named);
	while ((member = hash_seq_search(&sequence)) != NULL)
		if (member->present == present)
			ids[list.count++] = member->id;
	qsort(ids, list.count, sizeof(char *), compare_ids);
	for (int i = 0; i < list.count; i++)
		list.ids[i] = CStringGetTextDatum(ids[i]);
	return list;
}

static Datum
as_array(const IdList *list)
{
	return PointerGetDatum(construct_array(list->ids, list->count, TEXTOID, -1, false, TYPALIGN_INT));
}

/*
 * Checks that all who are to be members are users of the tenant. False, with a refusal, where one is not.
 */
bool
mt_scim_check_members(MtScimMemberChange *change)
{
	static MtPlan find_stranger = {
		"SELECT n.user_id FROM unnest($2) AS n (user_id) WHERE (SELECT true FROM mindtickle.users AS u "
		"WHERE u.tenant_id = $1 AND u.user_id = n.user_id AND " MT_SCIM_USER_VISIBLE_BY_ID " LIMIT 1) IS NULL LIMIT 1",
		2, {TEXTOID, TEXTARRAYOID}
	};
	IdList		present = named_ids(change, true);
	Datum		values[2] = {CStringGetTextDatum(change->call->tenant), as_array(&present)};
	bool		isnull;

	if (present.count == 0 || mt_plan_run(&find_stranger, values, NULL, SPI_OK_SELECT) == 0)
		return true;
	return mt_scim_refuse(change->call->answer, 400, "invalidValue", "members has \"%s\", who is no user of this tenant.",
						  TextDatumGetCString(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull)));
}

/* Runs a statement on a group's members and notes the ids that it returns. */
static void
run_on_members(MtPlan *plan, int expected, const MtScimMemberChange *change, const char *group_id, const IdList *list, MtJson *changed)
{
	Datum		values[3] = {CStringGetTextDatum(change->call->tenant), CStringGetTextDatum(group_id), as_array(list)};
	uint64		count = mt_plan_run(plan, values, NULL, expected);
	bool		isnull;

	for (uint64 i = 0; i < count; i++)
		mt_json_append(changed, mt_json_string(TextDatumGetCString(SPI_getbinval(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, 1, &isnull))));
	SPI_freetuptable(SPI_tuptable);
}

/*
 * Writes the collected change; who has joined and left goes to added and removed. True where anybody has.
 */
bool
mt_scim_store_members(MtScimMemberChange *change, const char *group_id, MtJson *added, MtJson *removed)
{
	static MtPlan keep = {
		"DELETE FROM mindtickle.team_member WHERE tenant_id = $1 AND team_id = $2 AND user_id <> ALL ($3) RETURNING user_id",
		3, {TEXTOID, TEXTOID, TEXTARRAYOID}
	};
	static MtPlan take_out = {
		"DELETE FROM mindtickle.team_member WHERE tenant_id = $1 AND team_id = $2 AND user_id = ANY ($3) RETURNING user_id",
		3, {TEXTOID, TEXTOID, TEXTARRAYOID}
	};
	static MtPlan put_in = {
		"INSERT INTO mindtickle.team_member AS m (tenant_id, team_id, user_id, source) SELECT $1, $2, n.user_id, 'scim' "
		"FROM unnest($3) AS n (user_id) ON CONFLICT (tenant_id, team_id, user_id) DO UPDATE SET active = true, source = excluded.source "
		"WHERE NOT m.active RETURNING user_id",
		3, {TEXTOID, TEXTOID, TEXTARRAYOID}
	};
	IdList		present = named_ids(change, true);
	IdList		absent = named_ids(change, false);

	if (change->cleared && change->group_id != NULL)
		run_on_members(&keep, SPI_OK_DELETE_RETURNING, change, group_id, &present, removed);
	else if (absent.count > 0)
		run_on_members(&take_out, SPI_OK_DELETE_RETURNING, change, group_id, &absent, removed);
	if (present.count > 0)
		run_on_members(&put_in, SPI_OK_INSERT_RETURNING, change, group_id, &present, added);
	return added->count > 0 || removed->count > 0;
}
