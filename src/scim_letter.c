/*
 * scim_letter.c
 *		Keeps the bodies that SCIM requests were refused for, as dead letters, without the secrets in them.
 *
 * Identity providers may send passwords, and nobody here wants them. What is JSON is kept as it came where its tree holds none, else as the tree with
 * asterisks in the place of what is or may be one: the value under such a name, what stands beside such a name as in an operation of PATCH, and text
 * that has the name in it as a filter. Of bytes that are no JSON and may hold one nothing but their number is kept. A letter that has lost what
 * its request would have done cannot be replayed: its reason ends with that (replay.c).
 *
 * Called by scim_request.c and scim_bulk.c, and by dead_letter.c for documents of the webhook.
 */
#include "scim_request.h"

#include "dead_letter.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "scim_attribute.h"

#define HIDDEN				"********"
/* What the reason of a letter that is not whole ends with; replay.c knows it. */
#define NOT_WHOLE			" (only what is no secret is kept)"
/* Most bytes of a path that a letter names. */
#define PATH_SHOWN_MAX		300

/* What has been hidden of a letter. */
typedef struct Hiding
{
	bool		hidden;			/* anything */
	bool		lost;			/* something that the request might have written */
} Hiding;

static bool
names_secret(const char *text)
{
	return mt_scim_names_secret(text, (int) strlen(text));
}

/* True for the name of a secret attribute, with or without its URN, and nothing else. */
static bool
is_secret_name(const char *text)
{
	MtScimReference reference;

	return mt_scim_resolve(MT_SCIM_USER, text, (int) strlen(text), &reference) && reference.attribute != NULL &&
		reference.attribute->mutability == MT_SCIM_WRITE_ONLY;
}

/* True for members whose values tell what an operation is, and nothing of what it writes. */
static bool
is_outline(const char *key)
{
	static const char *const outlines[] = {"op", "path", "method", "bulkId", "schemas"};

	for (int i = 0; i < (int) lengthof(outlines); i++)
		if (pg_strcasecmp(outlines[i], key) == 0)
			return true;
	return false;
}

/* True where what stands beside an item belongs to a secret that it names: it is the name, or the path or filter that has the name in it. */
static bool
points_to_secret(const MtJson *container, int place)
{
	const MtJson *item = container->items[place];
	const char *key = container->type == MT_JSON_OBJECT ? container->keys[place] : "";

	return item->type == MT_JSON_STRING &&
		(is_secret_name(item->text) || ((pg_strcasecmp(key, "path") == 0 || pg_strcasecmp(key, "filter") == 0) && names_secret(item->text)));
}

static void hide_secrets(MtJson *value, Hiding *hiding);

static void
hide_items(MtJson *container, Hiding *hiding)
{
	bool		object = container->type == MT_JSON_OBJECT;
	bool		beside = false;
	bool		only_operation = object && mt_json_get(container, "op") != NULL;

	for (int i = 0; i < container->count; i++)
		if (points_to_secret(container, i))
		{
			beside = true;
			/* An operation on a secret writes nothing. */
			only_operation &= object && pg_strcasecmp(container->keys[i], "path") == 0 && is_secret_name(container->items[i]->text);
		}
	for (int i = 0; i < container->count; i++)
	{
		const char *key = object ? container->keys[i] : "";
		bool		named = object && names_secret(key);
		bool		exactly = named && is_secret_name(key);

		if (!named && (!beside || is_outline(key) || points_to_secret(container, i)))
		{
			hide_secrets(container->items[i], hiding);
			continue;
		}
		if (named && !exactly)
			container->keys[i] = pstrdup(HIDDEN);
		container->items[i] = mt_json_string(HIDDEN);
		hiding->hidden = true;
		hiding->lost |= named ? !exactly : !only_operation || pg_strcasecmp(key, "value") != 0;
	}
}

static void
hide_secrets(MtJson *value, Hiding *hiding)
{
	check_stack_depth();
	if (value->type == MT_JSON_ARRAY || value->type == MT_JSON_OBJECT)
		hide_items(value, hiding);
	else if (value->type == MT_JSON_STRING && names_secret(value->text) && !is_secret_name(value->text))
	{
		value->text = pstrdup(HIDDEN);
		hiding->hidden = true;
		hiding->lost = true;
	}
}

/*
 * True where bytes that need not be JSON may hold a secret: its name stands in them, in any of the encodings that JSON has, an escape in which it could
 * be written, or what no text holds, as something compressed does.
 */
bool
mt_scim_may_hold_secret(const char *bytes, int length)
{
	char	   *text = palloc(length + 1);
	int			text_length = 0;

	for (int i = 0; i < length; i++)
	{
		unsigned char c = (unsigned char) bytes[i];

		/* Between the letters of UTF-16 and UTF-32 stand zeros. */
		if (c == '\0')
			continue;
		if (c < ' ' && c != '\t' && c != '\r' && c != '\n')
			return true;
		text[text_length++] = (char) c;
	}
	text[text_length] = '\0';
	return mt_scim_names_secret(text, text_length) || strstr(text, "\\u") != NULL;
}

/* The path as a letter names it. One that cannot be decoded could hold anything; of a long one the begin is another path. */
static const char *
shown_path(const char *path, Hiding *hiding)
{
	int			length = (int) strlen(path);
	int			shown = pg_mbcliplen(path, length, PATH_SHOWN_MAX);
	const char *decoded = mt_scim_unescape(path, length, false);
	bool		open = decoded != NULL && !names_secret(decoded);

	hiding->lost |= !open || shown < length;
	return open ? pnstrdup(path, shown) : HIDDEN;
}

/* Makes of a body and of the reason why it was refused what may be kept of them. tree: what the body was parsed to, NULL where it was not. */
static void
conceal(const MtJson *tree, Hiding *hiding, const char **bytes, int *length, const char **reason)
{
	StringInfoData text;

	if (tree != NULL)
	{
		MtJson	   *copy = mt_json_copy(tree);

		hide_secrets(copy, hiding);
		if (hiding->hidden)
		{
			initStringInfo(&text);
			mt_json_write(&text, copy);
			*bytes = text.data;
			*length = text.len;
		}
	}
	else if (mt_scim_may_hold_secret(*bytes, *length))
	{
		bool		sentence = **reason != '\0' && (*reason)[strlen(*reason) - 1] == '.';

		*reason = psprintf("%s%s %d bytes came.", *reason, sentence ? "" : ".", *length);
		*length = 0;
		hiding->lost = true;
	}
	if (hiding->lost)
		*reason = psprintf("%s" NOT_WHOLE, *reason);
}

/*
 * The same for a document of the webhook that was refused: its bytes become those that may be kept, and the reason, which must not repeat any of
 * them, is returned.
 */
const char *
mt_scim_conceal_event(const char **bytes, int *length, const char *reason)
{
	Hiding		hiding = {false};
	MtFault		fault = {0};

	conceal(mt_json_parse(*bytes, *length, MT_JSON_DEPTH_MAX, &fault), &hiding, bytes, length, &reason);
	return reason;
}

/*
 * Keeps the body of a request that was refused, under the request's method and path, with the refusal as the reason. bytes: the body as it came; what
 * it was parsed to is the call's body, NULL where it was not. False: there is no room for it.
 */
bool
mt_scim_keep_letter(const MtScimCall *call, const char *method, const char *path, const char *bytes, int length)
{
	const MtScimAnswer *answer = call->answer;
	Hiding		hiding = {false};
	const char *resource = psprintf("%s %s", method, shown_path(path, &hiding));
	const char *reason = answer->fault_detail;
	MtFault		fault = {0};

	conceal(call->body, &hiding, &bytes, &length, &reason);
	fault.field = psprintf("%s:", answer->fault_type == NULL ? "refused" : answer->fault_type);
	fault.message = unconstify(char *, reason);
	return mt_keep_dead_letter(call->tenant, "scim", resource, &fault, bytes, length);
}
