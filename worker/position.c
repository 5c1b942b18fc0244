/*
 * position.c
 *		The saved position of a pull: a small JSON object that says where a worker that starts anew goes on.
 *
 * Called by the pull of a tenant. It is read once, when a job is opened, and written with every answer that is stored, in the same transaction.
 * Everything is allocated in the current memory context, which is the job's.
 */
#include "position.h"

#include <json-c/json.h>

#include "utils/json.h"

/*
 * The position at the start of a phase. What belongs to the whole pull stays.
 */
void
mt_position_start(MtPosition *position)
{
	MtPosition	kept = *position;

	memset(position, 0, sizeof(*position));
	position->total = position->most = -1;
	position->stage = pstrdup("");
	position->after = pstrdup("");
	position->again = kept.again;
	position->error = kept.error;
	position->scores = kept.scores;
}

static int64
read_count(json_object *object, const char *name, int64 absent)
{
	json_object *member;

	if (!json_object_object_get_ex(object, name, &member) || !json_object_is_type(member, json_type_int))
		return absent;
	return json_object_get_int64(member);
}

/* NULL when absent. The object must be freed also when palloc fails, hence PG_TRY in the caller. */
static char *
read_text(json_object *object, const char *name)
{
	json_object *member;

	if (!json_object_object_get_ex(object, name, &member) || !json_object_is_type(member, json_type_string))
		return NULL;
	return pstrdup(json_object_get_string(member));
}

static void
read_again(MtPosition *position, json_object *object)
{
	json_object *list;

	if (!json_object_object_get_ex(object, "again", &list) || !json_object_is_type(list, json_type_array))
		return;
	for (size_t i = 0; i < json_object_array_length(list); i++)
	{
		json_object *entry = json_object_array_get_idx(list, i);
		MtItem		item = {0};

		if (!json_object_is_type(entry, json_type_object))
			continue;
		item.key = read_text(entry, "key");
		item.upstream_id = read_text(entry, "id");
		if (item.key != NULL && item.upstream_id != NULL)
			(void) mt_position_again(position, &item);
	}
}

/*
 * Reads what mt_position_write wrote. What is absent is as at the start of a phase.
 */
void
mt_position_read(MtPosition *position, const char *json)
{
	json_object *object = json_tokener_parse(json);
	json_object *member;

	memset(position, 0, sizeof(*position));
	mt_position_start(position);
	if (object == NULL)
		return;
	PG_TRY();
	{
		char	   *after = read_text(object, "after");
		char	   *stage = read_text(object, "stage");

		position->cursor.next = read_text(object, "next");
		position->cursor.since = read_text(object, "since");
		position->latest = read_count(object, "latest", 0);
		position->cursor.offset = read_count(object, "offset", 0);
		position->cursor.limit = read_count(object, "limit", 0);
		position->pages = read_count(object, "pages", 0);
		position->total = read_count(object, "total", -1);
		position->most = read_count(object, "most", position->total);
		position->seen = read_count(object, "seen", 0);
		position->barren = (int) read_count(object, "barren", 0);
		position->unsteady = json_object_object_get_ex(object, "unsteady", &member) && json_object_get_boolean(member);
		if (after != NULL)
			position->after = after;
		if (stage != NULL)
			position->stage = stage;
		read_again(position, object);
		position->origin = (uint64) read_count(object, "origin", 0);
		position->round = (int) read_count(object, "round", 0);
		position->lost = read_count(object, "lost", 0);
		position->error = read_text(object, "error");
		position->scores = read_text(object, "scores");
	}
	PG_FINALLY();
	{
		json_object_put(object);
	}
	PG_END_TRY();
}

/*
 * The position as a JSON object, palloc'd.
 */
char *
mt_position_write(const MtPosition *position)
{
	StringInfoData json;

	initStringInfo(&json);
	appendStringInfo(&json,
					 "{\"offset\":" INT64_FORMAT ",\"limit\":" INT64_FORMAT ",\"pages\":" INT64_FORMAT ",\"total\":" INT64_FORMAT ",\"most\":" INT64_FORMAT
					 ",\"seen\":" INT64_FORMAT ",\"barren\":%d,\"unsteady\":%s,\"round\":%d,\"lost\":" INT64_FORMAT ",\"after\":",
					 position->cursor.offset, position->cursor.limit, position->pages, position->total, position->most, position->seen,
					 position->barren, position->unsteady ? "true" : "false", position->round, position->lost);
	escape_json(&json, position->after);
	appendStringInfoString(&json, ",\"stage\":");
	escape_json(&json, position->stage);
	appendStringInfo(&json, ",\"origin\":" INT64_FORMAT, (int64) position->origin);
	if (position->cursor.since != NULL)
	{
		appendStringInfoString(&json, ",\"since\":");
		escape_json(&json, position->cursor.since);
	}
	if (position->latest != 0)
		appendStringInfo(&json, ",\"latest\":" INT64_FORMAT, position->latest);
	if (position->cursor.next != NULL)
	{
		appendStringInfoString(&json, ",\"next\":");
		escape_json(&json, position->cursor.next);
	}
	appendStringInfoString(&json, ",\"again\":[");
	for (int i = 0; i < position->again_count; i++)
	{
		appendStringInfoString(&json, i == 0 ? "{\"key\":" : ",{\"key\":");
		escape_json(&json, position->again[i].key);
		appendStringInfoString(&json, ",\"id\":");
		escape_json(&json, position->again[i].upstream_id);
		appendStringInfoChar(&json, '}');
	}
	appendStringInfoChar(&json, ']');
	if (position->error != NULL)
	{
		appendStringInfoString(&json, ",\"error\":");
		escape_json(&json, position->error);
	}
	if (position->scores != NULL)
	{
		appendStringInfoString(&json, ",\"scores\":");
		escape_json(&json, position->scores);
	}
	appendStringInfoChar(&json, '}');
	return json.data;
}

/*
 * Remembers an item to be asked for again. False when there are too many already.
 */
bool
mt_position_again(MtPosition *position, const MtItem *item)
{
	MtItem	   *entry;

	for (int i = 0; i < position->again_count; i++)
		if (strcmp(position->again[i].key, item->key) == 0)
			return true;
	if (position->again_count == MT_AGAIN_MAX)
		return false;
	if (position->again == NULL)
		position->again = palloc(sizeof(MtItem) * MT_AGAIN_MAX);
	entry = &position->again[position->again_count++];
	entry->key = pstrdup(item->key);
	entry->upstream_id = pstrdup(item->upstream_id);
	return true;
}

/*
 * Forgets an item that was to be asked for again.
 */
void
mt_position_not_again(MtPosition *position, const char *key)
{
	for (int i = 0; i < position->again_count; i++)
	{
		MtItem		entry = position->again[i];

		if (strcmp(entry.key, key) != 0)
			continue;
		memmove(&position->again[i], &position->again[i + 1], sizeof(MtItem) * (Size) (position->again_count - i - 1));
		position->again_count--;
		pfree(entry.key);
		pfree(entry.upstream_id);
		return;
	}
}
