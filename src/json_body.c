/*
 * json_body.c
 *		JSON that came in the body of a request: stricter than a pull, which must live with what it is given.
 *
 * Besides what mt_json_from_bytes refuses, a key may not stand twice in one object: two readers could disagree on which of them counts.
 *
 * Called by the gateway through SQL. Never touches a table.
 */
#include "field.h"

#include "common/jsonapi.h"
#include "mb/pg_wchar.h"
#include "nodes/pg_list.h"
#include "scim_request.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"

#if PG_VERSION_NUM >= 160000
typedef JsonParseErrorType ActionResult;
#define ACTION_DONE	JSON_SUCCESS
#else
typedef void ActionResult;
#define ACTION_DONE
#endif

/* Longer keys are compared by their beginnings, so that two such are taken for the same one. */
#define KEY_SIZE	256

/* A key of an object of the document. */
typedef struct SeenKey
{
	int			object;
	char		key[KEY_SIZE];
} SeenKey;

typedef struct KeyCheck
{
	HTAB	   *seen;
	List	   *open;			/* numbers of the objects that are open */
	int			objects;
	char	   *repeated;		/* the first key that stood twice */
} KeyCheck;

PG_FUNCTION_INFO_V1(mt_json_from_body);

static ActionResult
object_begins(void *argument)
{
	KeyCheck   *check = argument;

	check->open = lappend_int(check->open, check->objects++);
	return ACTION_DONE;
}

static ActionResult
object_ends(void *argument)
{
	KeyCheck   *check = argument;

	check->open = list_delete_last(check->open);
	return ACTION_DONE;
}

static ActionResult
key_begins(void *argument, char *name, bool isnull)
{
	KeyCheck   *check = argument;
	SeenKey		key;
	bool		found;

	memset(&key, 0, sizeof(key));
	key.object = llast_int(check->open);
	strlcpy(key.key, name, sizeof(key.key));
	hash_search(check->seen, &key, HASH_ENTER, &found);
	if (found && check->repeated == NULL)
		check->repeated = pstrdup(name);
	return ACTION_DONE;
}

/* The first key that stands twice in one object of a valid document; NULL where there is none. */
static char *
repeated_key(char *bytes, int length)
{
	HASHCTL		control = {.keysize = sizeof(SeenKey), .entrysize = sizeof(SeenKey), .hcxt = CurrentMemoryContext};
	KeyCheck	check = {0};
	JsonSemAction actions = {
		.semstate = &check,
		.object_start = object_begins,
		.object_end = object_ends,
		.object_field_start = key_begins
	};

	check.seen = hash_create("keys of a document", 64, &control, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
#if PG_VERSION_NUM >= 170000
	(void) pg_parse_json(makeJsonLexContextCstringLen(NULL, bytes, length, PG_UTF8, true), &actions);
#else
	(void) pg_parse_json(makeJsonLexContextCstringLen(bytes, length, PG_UTF8, true), &actions);
#endif
	hash_destroy(check.seen);
	return check.repeated;
}

/*
 * mindtickle.json_from_body(body bytea, secrets bool) -> jsonb. ERROR 22023, with the field where one can be named, for what is not valid. secrets:
 * it can have passwords in it; where it may, the error repeats nothing that it has met.
 */
Datum
mt_json_from_body(PG_FUNCTION_ARGS)
{
	bytea	   *body = PG_GETARG_BYTEA_PP(0);
	MtFault		fault = {0};
	MtFields	document = {.index = -1,.fault = &fault};
	Jsonb	   *json = mt_json_from_bytes(VARDATA_ANY(body), (int) VARSIZE_ANY_EXHDR(body), &fault);
	char	   *repeated;

	if (json != NULL)
	{
		repeated = repeated_key(VARDATA_ANY(body), (int) VARSIZE_ANY_EXHDR(body));
		if (repeated != NULL)
		{
			int			length = pg_mbcliplen(repeated, (int) strlen(repeated), KEY_SIZE);

			mt_fault(&document, psprintf("%.*s", length, repeated), "stands twice in one object");
		}
	}
	if (mt_faulty(&fault) && PG_GETARG_BOOL(1) && mt_scim_may_hold_secret(VARDATA_ANY(body), (int) VARSIZE_ANY_EXHDR(body)))
	{
		memset(&fault, 0, sizeof(MtFault));
		mt_fault(&document, NULL, "must be JSON that can be taken in");
	}
	if (mt_faulty(&fault))
		mt_raise_fault(&fault);
	PG_RETURN_JSONB_P(json);
}
