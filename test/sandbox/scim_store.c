/*
 * scim_store.c
 *		The users that provisioning has written, or looked at, of one tenant.
 *
 * Called by contract_live_scim.c for each request and by the control endpoints
 * for reports. It judges nothing: whether a request is one is decided before.
 */
#include "scim_store.h"

#include "live_data.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

void
mt_scim_init(ScimStore *store)
{
	pthread_mutex_init(&store->lock, NULL);
}

void
mt_scim_free(ScimStore *store)
{
	int			i;

	for (i = 0; i < store->count; i++)
	{
		json_object_put(store->users[i]->attributes);
		free(store->users[i]);
	}
	free(store->users);
	free(store->looked_up);
	mt_buffer_free(&store->journal);
}

static const char *
text_of(const ScimUser *user, const char *attribute)
{
	json_object *value;

	if (!json_object_object_get_ex(user->attributes, attribute, &value) || value == NULL)
		return "";
	return json_object_get_string(value);
}

static ScimUser *
put_in(ScimStore *store, const char *id, json_object *attributes)
{
	ScimUser   *user = mt_allocate(1, sizeof(ScimUser));

	if (store->count == store->capacity)
	{
		ScimUser  **larger = mt_allocate((size_t) store->capacity * 2 + 16, sizeof(ScimUser *));

		if (store->count > 0)
			memcpy(larger, store->users, (size_t) store->count * sizeof(ScimUser *));
		free(store->users);
		store->users = larger;
		store->capacity = store->capacity * 2 + 16;
	}
	snprintf(user->id, sizeof(user->id), "%s", id);
	user->attributes = attributes;
	store->users[store->count++] = user;
	return user;
}

static ScimUser *
find_id(const ScimStore *store, const char *id)
{
	int			i;

	for (i = 0; i < store->count; i++)
		if (strcmp(store->users[i]->id, id) == 0)
			return store->users[i];
	return NULL;
}

/* Puts in one of data.h's people, as provisioning knows him, unless he is there already. */
static ScimUser *
put_in_person(ScimStore *store, const DataSet *data, int number, int revision)
{
	Person		person;
	json_object *attributes;
	ScimUser   *known;

	mt_data_person(data, number, revision, &person);
	known = find_id(store, person.id);
	if (known != NULL || person.email_presence != FIELD_PRESENT)
		return known;
	attributes = json_object_new_object();
	json_object_object_add(attributes, "userName", json_object_new_string(person.email));
	if (person.scim_presence == FIELD_PRESENT)
		json_object_object_add(attributes, "externalId", json_object_new_string(person.scim_id));
	json_object_object_add(attributes, "active", json_object_new_boolean(person.active));
	return put_in(store, person.id, attributes);
}

ScimUser *
mt_scim_by_name(ScimStore *store, const DataSet *data, int revision, const char *name)
{
	int			i;
	int			number;
	ScimUser   *user = NULL;

	for (i = 0; i < store->count; i++)
		if (strcasecmp(text_of(store->users[i], "userName"), name) == 0)
			return store->users[i];
	if (mt_live_find_email(data, name, revision, &number))
		user = put_in_person(store, data, number, revision);
	/* He may be there under another name by now. */
	return user != NULL && strcasecmp(text_of(user, "userName"), name) == 0 ? user : NULL;
}

ScimUser *
mt_scim_by_external_id(ScimStore *store, const char *external_id)
{
	int			i;

	for (i = 0; i < store->count; i++)
		if (strcmp(text_of(store->users[i], "externalId"), external_id) == 0)
			return store->users[i];
	return NULL;
}

ScimUser *
mt_scim_by_id(ScimStore *store, const DataSet *data, int revision, const char *id)
{
	ScimUser   *user = find_id(store, id);
	int			number;

	if (user != NULL || !mt_data_find(data, ID_USER, id, mt_data_user_count(data, revision), &number) ||
		!mt_data_user_listed(data, number, revision))
		return user;
	return put_in_person(store, data, number, revision);
}

ScimUser *
mt_scim_add(ScimStore *store, const DataSet *data, json_object *attributes)
{
	char		id[SCIM_ID_SIZE];
	ScimUser   *user;

	snprintf(id, sizeof(id), "%09u-new-%llu", (unsigned) data->id_prefix, (unsigned long long) ++store->next_id);
	user = put_in(store, id, attributes);
	user->version = 1;
	store->counts.created++;
	return user;
}

void
mt_scim_change(ScimStore *store, ScimUser *user, json_object *attributes)
{
	if (json_object_equal(user->attributes, attributes))
		store->counts.unchanged++;
	else
		store->counts.changed++;
	json_object_put(user->attributes);
	user->attributes = attributes;
	user->version++;
}

void
mt_scim_remove(ScimStore *store, ScimUser *user)
{
	int			i;

	for (i = 0; store->users[i] != user; i++)
		;
	store->users[i] = store->users[--store->count];
	store->counts.deleted++;
	json_object_put(user->attributes);
	free(user);
}

/* The same for a name however its letters are written. */
static uint64_t
hash_name(const char *name)
{
	char		lower[256];
	size_t		i;

	for (i = 0; name[i] != '\0' && i + 1 < sizeof(lower); i++)
		lower[i] = (char) tolower((unsigned char) name[i]);
	lower[i] = '\0';
	return mt_hash_text(0, lower);
}

void
mt_scim_note_lookup(ScimStore *store, const char *name)
{
	if (mt_scim_was_looked_up(store, name))
		return;
	store->looked_up = realloc(store->looked_up, ((size_t) store->lookups + 1) * sizeof(uint64_t));
	if (store->looked_up == NULL)
		abort();
	store->looked_up[store->lookups++] = hash_name(name);
}

bool
mt_scim_was_looked_up(const ScimStore *store, const char *name)
{
	uint64_t	hash = hash_name(name);
	int			i;

	for (i = 0; i < store->lookups; i++)
		if (store->looked_up[i] == hash)
			return true;
	return false;
}

void
mt_scim_note_write(ScimStore *store, const char *method, const ScimUser *user, json_object *request)
{
	Buffer	   *journal = &store->journal;

	if (journal->length > 0)
		mt_buffer_text(journal, ",\n");
	mt_buffer_format(journal, "{\"number\":%llu,\"method\":\"%s\",\"id\":", (unsigned long long) ++store->writes, method);
	mt_buffer_json(journal, user->id);
	mt_buffer_text(journal, ",\"userName\":");
	mt_buffer_json(journal, text_of(user, "userName"));
	mt_buffer_text(journal, ",\"request\":");
	mt_buffer_text(journal, request == NULL ? "null" : json_object_to_json_string_ext(request, JSON_C_TO_STRING_PLAIN));
	mt_buffer_bytes(journal, "}", 1);
}

void
mt_scim_write_journal(const ScimStore *store, Buffer *buffer)
{
	mt_buffer_bytes(buffer, "[", 1);
	if (store->journal.length > 0)
		mt_buffer_bytes(buffer, store->journal.data, store->journal.length);
	mt_buffer_text(buffer, "]\n");
}

void
mt_scim_write_users(const ScimStore *store, Buffer *buffer)
{
	const char *separator = "";
	int			i;

	mt_buffer_bytes(buffer, "[", 1);
	for (i = 0; i < store->count; i++)
	{
		const ScimUser *user = store->users[i];

		if (user->version == 0)
			continue;
		mt_buffer_format(buffer, "%s{\"id\":", separator);
		mt_buffer_json(buffer, user->id);
		mt_buffer_text(buffer, ",\"attributes\":");
		mt_buffer_text(buffer, json_object_to_json_string_ext(user->attributes, JSON_C_TO_STRING_PLAIN));
		mt_buffer_bytes(buffer, "}", 1);
		separator = ",\n";
	}
	mt_buffer_text(buffer, "]\n");
}
