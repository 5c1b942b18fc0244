/*
 * contract_live_users.c
 *		Users and groups of the live contract.
 *
 * Called by contract_live.c for callers whose token is good. A listing is begun
 * by POST with a selector and continued by GET at the address each page names;
 * what was selected is kept in the tenant, a few selections long.
 */
#include "bad_records.h"
#include "contract_live.h"
#include "live_data.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define MAX_LIMIT		50
#define DEFAULT_LIMIT	20
#define SKIPPED			2
#define USERS_PATH		"/services/data/v4.0/mtobjects/Users?cursor="

/* What a listing goes through: everyone, or chosen users. */
typedef struct Selection
{
	uint64_t	number;			/* 0: everyone */
	int		   *users;
	int			count;
} Selection;

static void
put_profile(Buffer *buffer, const DataSet *data, int user, int revision, const LiveUser *live)
{
	const char *separator = "";
	int			manager;
	int			second;
	Person		person;

	mt_buffer_text(buffer, ",\"profile\":{");
	if (live->title != NULL)
	{
		mt_buffer_text(buffer, "\"dg\":");
		mt_buffer_json(buffer, live->title);
		separator = ",";
	}
	if (live->department != NULL)
	{
		mt_buffer_format(buffer, "%s\"dp\":", separator);
		mt_buffer_json(buffer, live->department);
		separator = ",";
	}
	if (live->location != NULL)
	{
		mt_buffer_format(buffer, "%s\"rg\":", separator);
		mt_buffer_json(buffer, live->location);
		separator = ",";
	}
	if (live->has_hired_at)
	{
		time_t		moment = live->hired_at;
		struct tm	parts;
		char		text[40];

		gmtime_r(&moment, &parts);
		strftime(text, sizeof(text), "%d %b %Y, %H:%M", &parts);
		mt_buffer_format(buffer, "%s\"a_21\":\"%s\"", separator, text);
		separator = ",";
	}
	mt_live_managers(data, user, &manager, &second);
	if (manager != NOBODY)
	{
		mt_data_person(data, manager, revision, &person);
		mt_buffer_format(buffer, "%s\"a_0\":", separator);
		mt_buffer_json(buffer, person.name_presence == FIELD_PRESENT ? person.name : "");
		separator = ",";
	}
	mt_buffer_format(buffer, "%s\"a_7\":%s}", separator, user % 3 == 0 ? "null" : user % 3 == 1 ? "true" : "\"7\"");
}

static void
put_managers(Buffer *buffer, const LiveUser *live)
{
	mt_buffer_text(buffer, ",\"managers\":[");
	/* Whose key it is matters, not whose turn. */
	if (live->second_email[0] != '\0')
	{
		mt_buffer_text(buffer, "{\"key\":\"a_0\",\"email\":");
		mt_buffer_json(buffer, live->second_email);
		mt_buffer_text(buffer, "},");
	}
	if (live->manager_email[0] != '\0')
	{
		mt_buffer_text(buffer, "{\"key\":\"User_Manager\",\"email\":");
		mt_buffer_json(buffer, live->manager_email);
		mt_buffer_bytes(buffer, "}", 1);
	}
	mt_buffer_bytes(buffer, "]", 1);
}

static void
put_user(Buffer *buffer, const DataSet *data, int user, int revision)
{
	LiveUser	live;

	mt_live_user(data, user, revision, &live);
	mt_buffer_format(buffer, live.person.id_is_number ? "{\"id\":%s" : "{\"id\":\"%s\"", live.person.id);
	mt_data_text(buffer, ",\"email\":", live.person.email_presence, live.person.email);
	mt_data_text(buffer, ",\"name\":", live.person.name_presence, live.person.name);
	mt_data_text(buffer, ",\"userState\":", live.state == NULL ? FIELD_MISSING : FIELD_PRESENT, live.state);
	mt_data_text(buffer, ",\"externalId\":", live.person.scim_presence, live.person.scim_id);
	/* A tenant named in a body must never be believed. */
	if (user % 11 == 2)
		mt_buffer_text(buffer, ",\"companyId\":\"somebody-else\",\"tenantId\":\"somebody-else\"");
	if (live.profile_presence == FIELD_PRESENT)
		put_profile(buffer, data, user, revision, &live);
	else if (live.profile_presence == FIELD_NULL)
		mt_buffer_text(buffer, ",\"profile\":null");
	if (live.manager_email[0] != '\0' || user % 5 != 0)
		put_managers(buffer, &live);
	mt_buffer_bytes(buffer, "}", 1);
}

/* Keeps chosen users for further pages; takes over the array. */
static uint64_t
keep_selection(Tenant *tenant, int *users, int count)
{
	uint64_t	number;
	LiveSelection *slot;

	pthread_mutex_lock(&tenant->lock);
	number = ++tenant->next_selection;
	slot = &tenant->selections[number % SELECTIONS];
	free(slot->users);
	*slot = (LiveSelection) {number, users, count};
	pthread_mutex_unlock(&tenant->lock);
	return number;
}

/* Copies what was kept; false when it was pushed out by later ones. */
static bool
find_selection(Tenant *tenant, uint64_t number, Selection *selection)
{
	const LiveSelection *slot = &tenant->selections[number % SELECTIONS];
	bool		found;

	pthread_mutex_lock(&tenant->lock);
	found = slot->number == number;
	if (found)
	{
		*selection = (Selection) {number, mt_allocate((size_t) slot->count + 1, sizeof(int)), slot->count};
		memcpy(selection->users, slot->users, (size_t) slot->count * sizeof(int));
	}
	pthread_mutex_unlock(&tenant->lock);
	return found;
}

/* Adds the users of a group; a user of two chosen groups comes twice. False when there is no such group. */
static bool
choose_group(const Tenant *tenant, const char *id, int *users, int *count)
{
	const Listing *listing = &tenant->listing;
	int			group;
	int			at;

	if (!mt_data_find(&tenant->data, ID_GROUP, id, mt_live_groups(&tenant->data), &group))
		return false;
	for (at = 0; at < listing->users; at++)
		if (mt_live_in_group(&tenant->data, listing->user_at[at], group))
			users[(*count)++] = listing->user_at[at];
	return true;
}

/*
 * Chooses the users that a list of group ids or of addresses names. False when
 * the reply is an error already. The caller holds the lock of the listing.
 */
static bool
choose(Call *call, Tenant *tenant, json_object *list, bool by_group, Selection *selection)
{
	size_t		length = json_object_is_type(list, json_type_array) ? json_object_array_length(list) : 0;
	size_t		room = by_group ? (size_t) tenant->listing.users * (length + 1) : length;
	size_t		i;

	if (length == 0 || length > 100)
	{
		mt_live_refuse(call, tenant, MHD_HTTP_BAD_REQUEST, "groupIds and emails are lists of 1 to 100 texts");
		return false;
	}
	selection->users = mt_allocate(room + 1, sizeof(int));
	for (i = 0; i < length; i++)
	{
		json_object *member = json_object_array_get_idx(list, i);
		const char *text = json_object_is_type(member, json_type_string) ? json_object_get_string(member) : NULL;
		int			user;

		if (text == NULL)
			mt_live_refuse(call, tenant, MHD_HTTP_BAD_REQUEST, "not a text");
		else if (by_group && !choose_group(tenant, text, selection->users, &selection->count))
			mt_live_not_found(call, tenant, ID_GROUP, text);
		else
		{
			if (!by_group && mt_live_find_email(&tenant->data, text, tenant->listing.revision, &user))
				selection->users[selection->count++] = user;
			else if (!by_group)
				mt_live_foreign_email(tenant, text);
			continue;
		}
		return false;
	}
	return true;
}

/* Reads the selector of a first page. False when the reply is an error already. */
static bool
read_selector(Call *call, Tenant *tenant, Selection *selection)
{
	json_object *body = mt_call_json(call);
	json_object *list;
	int			members = body == NULL ? -1 : json_object_object_length(body);

	if (members == 0)
		return true;
	if (members == 1 && json_object_object_get_ex(body, "groupIds", &list))
		return choose(call, tenant, list, true, selection);
	if (members == 1 && json_object_object_get_ex(body, "emails", &list))
		return choose(call, tenant, list, false, selection);
	mt_live_refuse(call, tenant, MHD_HTTP_BAD_REQUEST, "the body is {}, {\"groupIds\":[..]} or {\"emails\":[..]}");
	return false;
}

/* Writes a page of people that nobody knows, in a listing without end. */
static void
put_strangers(Buffer *body, const DataSet *data, uint64_t position, int limit)
{
	int			i;

	for (i = 0; i < limit; i++)
	{
		char		id[ID_SIZE];

		mt_data_id(data, ID_PHANTOM, (uint32_t) ((position + (uint64_t) i) % 90000000 + 10000000), id);
		mt_buffer_format(body, "%s{\"id\":\"%s\",\"email\":\"stranger.%s@nowhere.example\",\"name\":\"Stranger\"}",
						 i == 0 ? "" : ",", id, id);
	}
}

/*
 * Writes the users of a page, and returns where the next one begins. Pages are
 * of any length up to the limit, and one may begin with the last user of the
 * page before.
 */
static uint64_t
put_users(Buffer *body, const Tenant *tenant, const Selection *selection, uint64_t good, uint64_t position, int limit)
{
	const DataSet *data = &tenant->data;
	uint64_t	bad = selection->number == 0 ? mt_bad_count(data, good) : 0;
	uint64_t	trap = mt_draw(data, TOPIC_LIVE_SPELLING, position, selection->number);
	uint64_t	end = position + (uint64_t) limit;
	uint64_t	at = position;

	if (trap % 8 == 0 && limit > 2)
		end--;
	if (end > good + bad)
		end = good + bad;
	if (trap / 8 % 8 == 0 && position > 0 && position < good + bad && limit > 2)
	{
		at--;
		if (end == position + (uint64_t) limit)
			end--;
	}
	for (; at < end; at++)
	{
		uint64_t	bad_before = mt_bad_before(good, bad, at);

		if (body->data[body->length - 1] != '[')
			mt_buffer_bytes(body, ",", 1);
		if (mt_bad_before(good, bad, at + 1) > bad_before)
			mt_bad_write(body, data, BAD_LIVE_USERS, bad_before);
		else
			put_user(body, data, selection->number == 0 ? tenant->listing.user_at[at - bad_before] :
					 selection->users[at - bad_before], tenant->listing.revision);
	}
	return end;
}

/* Writes what stands behind the users of a page: how many there are, and where it goes on. */
static void
put_page_end(Call *call, Tenant *tenant, const Selection *selection, uint64_t total, uint64_t next, int limit)
{
	Buffer	   *body = &call->reply.body;
	Buffer		path = {0};
	uint64_t	trap = mt_draw(&tenant->data, TOPIC_LIVE_SPELLING, next, selection->number + 1);
	bool		is_end = next >= total;

	/* How many there are is not always known, or not for sure. */
	if (trap % 8 == 0)
		mt_buffer_format(body, "],\"totalSize\":\"%llu\"", (unsigned long long) total);
	else if (trap % 8 == 1)
		mt_buffer_text(body, "]");
	else
		mt_buffer_format(body, "],\"totalSize\":%llu", (unsigned long long) total - (trap % 8 == 2 && total > 0));
	trap /= 8;
	if (is_end && trap % 4 == 0)
	{
		mt_buffer_text(body, trap / 4 % 2 == 0 ? "}" : ",\"nextRecordsUrl\":null}");
		return;
	}
	mt_buffer_text(body, is_end ? ",\"done\":true" : ",\"done\":false");
	if (!is_end || trap % 4 == 1)
	{
		/* After the end it may go on as well, to a page that is empty. */
		if (call->fault == FAULT_LOOP && strcmp(call->method, MHD_HTTP_METHOD_GET) == 0)
			mt_buffer_text(&path, call->raw_url);
		else
		{
			mt_buffer_text(&path, USERS_PATH);
			mt_session_cursor(tenant, 'u', selection->number * 64 + (uint64_t) limit, next, &path);
		}
		mt_buffer_bytes(&path, "", 1);
		mt_buffer_text(body, ",\"nextRecordsUrl\":");
		mt_live_put_next(body, call, tenant, trap / 4, path.data);
		mt_buffer_free(&path);
	}
	mt_buffer_bytes(body, "}", 1);
}

static void
put_page(Call *call, Tenant *tenant, Selection *selection, uint64_t position, int limit)
{
	Buffer	   *body = &call->reply.body;
	uint64_t	good;
	uint64_t	total;
	uint64_t	next;

	pthread_rwlock_rdlock(&tenant->listing.lock);
	good = (uint64_t) (selection->number == 0 ? tenant->listing.users : selection->count);
	total = good + (selection->number == 0 ? mt_bad_count(&tenant->data, good) : 0);
	mt_buffer_text(body, "{\"users\":[");
	if (call->fault == FAULT_STRANGERS)
	{
		put_strangers(body, &tenant->data, position, limit);
		next = position + (uint64_t) limit;
		total = next + (uint64_t) limit;
	}
	else
		next = put_users(body, tenant, selection, good, position, limit);
	/* One more than that the second page may begin with the last user of the first. */
	if (call->fault == FAULT_SKIP && position == 0 && selection->number == 0 && next + SKIPPED < total)
		next += SKIPPED;
	pthread_rwlock_unlock(&tenant->listing.lock);
	if (call->fault == FAULT_ENDLESS || call->fault == FAULT_LOOP)
	{
		next = position;
		total = next + 1;
	}
	put_page_end(call, tenant, selection, total, next, limit);
}

/* Answers the first page, which a POST asks for. */
static void
begin_listing(Call *call, Tenant *tenant)
{
	Selection	selection = {0};
	long		limit;
	bool		chosen;

	if (mt_call_query(call, "cursor") != NULL || !mt_call_number(call, "limit", 1, MAX_LIMIT, DEFAULT_LIMIT, &limit))
	{
		mt_live_refuse(call, tenant, MHD_HTTP_BAD_REQUEST, "limit is a number from 1 to 50; cursors are for GET");
		return;
	}
	pthread_rwlock_rdlock(&tenant->listing.lock);
	chosen = read_selector(call, tenant, &selection);
	pthread_rwlock_unlock(&tenant->listing.lock);
	if (chosen && selection.users != NULL)
	{
		int		   *kept = mt_allocate((size_t) selection.count + 1, sizeof(int));

		memcpy(kept, selection.users, (size_t) selection.count * sizeof(int));
		selection.number = keep_selection(tenant, kept, selection.count);
	}
	if (chosen)
		put_page(call, tenant, &selection, 0, (int) limit);
	free(selection.users);
}

void
mt_live_answer_users(Call *call, Tenant *tenant)
{
	const char *cursor = mt_call_query(call, "cursor");
	Selection	selection = {0};
	uint64_t	subject;
	uint64_t	position;

	if (strcmp(call->method, MHD_HTTP_METHOD_POST) == 0)
	{
		begin_listing(call, tenant);
		return;
	}
	if (strcmp(call->method, MHD_HTTP_METHOD_GET) != 0 || cursor == NULL || mt_call_query(call, "limit") != NULL ||
		!mt_session_read_cursor(tenant, 'u', cursor, &subject, &position))
	{
		mt_live_refuse(call, tenant, MHD_HTTP_BAD_REQUEST, "the cursor is missing, changed, too old, or not alone");
		return;
	}
	if (subject / 64 != 0 && !find_selection(tenant, subject / 64, &selection))
	{
		mt_live_refuse(call, tenant, MHD_HTTP_BAD_REQUEST, "the cursor is too old");
		return;
	}
	put_page(call, tenant, &selection, position, (int) (subject % 64));
	free(selection.users);
}

void
mt_live_answer_user(Call *call, Tenant *tenant)
{
	char		id[ID_SIZE];
	int			user;
	int			revision;
	bool		found;

	mt_live_path_part(call, 0, id, sizeof(id));
	pthread_rwlock_rdlock(&tenant->listing.lock);
	revision = tenant->listing.revision;
	pthread_rwlock_unlock(&tenant->listing.lock);
	found = mt_data_find(&tenant->data, ID_USER, id, mt_data_user_count(&tenant->data, revision), &user) &&
		mt_data_user_listed(&tenant->data, user, revision);
	if (found)
		put_user(&call->reply.body, &tenant->data, user, revision);
	else
		mt_live_not_found(call, tenant, ID_USER, id);
}

/* Groups are asked for by their names, to the letter. */
void
mt_live_answer_groups(Call *call, Tenant *tenant)
{
	Buffer	   *body = &call->reply.body;
	json_object *request = mt_call_json(call);
	json_object *names = NULL;
	size_t		i;
	bool		first = true;

	if (request == NULL || !json_object_object_get_ex(request, "names", &names) ||
		!json_object_is_type(names, json_type_array) || json_object_array_length(names) == 0)
	{
		mt_live_refuse(call, tenant, MHD_HTTP_BAD_REQUEST, "names is a list of texts");
		return;
	}
	mt_buffer_text(body, "{\"groups\":[");
	for (i = 0; i < json_object_array_length(names); i++)
	{
		const char *wanted = json_object_get_string(json_object_array_get_idx(names, i));
		int			group;

		for (group = 0; wanted != NULL && group < mt_live_groups(&tenant->data); group++)
		{
			char		name[96];
			char		id[ID_SIZE];

			mt_live_group_name(&tenant->data, group, name, sizeof(name));
			if (strcmp(name, wanted) != 0)
				continue;
			mt_data_id(&tenant->data, ID_GROUP, (uint32_t) group, id);
			mt_buffer_format(body, "%s{\"id\":\"%s\",\"name\":", first ? "" : ",", id);
			mt_buffer_json(body, name);
			mt_buffer_bytes(body, "}", 1);
			first = false;
		}
	}
	mt_buffer_text(body, "]}");
}
