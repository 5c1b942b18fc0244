/*
 * gateway_document.c
 *		Roster and catalog from this process's memory: the database says which version is right, and the body comes from here.
 *
 * The version is asked for in every request, in its own transaction, so no committed change is hidden. It stands for the content, and is the
 * ETag. A body lives in malloc's memory as long as it is listed or an answer with it is under way. All bodies together are bounded; the one that
 * was not asked for the longest goes first. Larger ones are sent and not kept.
 *
 * Called by the routes and, when an answer ends, by gateway_request.c.
 */
#include "gateway.h"

#include "utils/hsearch.h"
#include "utils/memutils.h"

#define BYTES_MAX		(16 * 1024 * 1024)
#define DOCUMENT_MAX	(8 * 1024 * 1024)
#define KEY_SIZE		(MT_TENANT_ID_SIZE + 16)
#define TAG_SIZE		24
/* No version: there is none below 0. */
#define NO_VERSION		(-1)

typedef struct Document
{
	char		key[KEY_SIZE];
	int64		version;
	int			holders;		/* the list, and answers */
	bool		listed;
	dlist_node	node;			/* in the list, the one asked for last at its end */
	size_t		length;
	char		body[FLEXIBLE_ARRAY_MEMBER];
} Document;

typedef struct Entry
{
	char		key[KEY_SIZE];
	Document   *document;
} Entry;

static HTAB *entries = NULL;
static dlist_head list = DLIST_STATIC_INIT(list);
static size_t bytes = 0;

/*
 * Gives back a document that an answer held; NULL: there was none.
 */
void
mt_document_release(void *document)
{
	Document   *held = document;

	if (held != NULL && --held->holders == 0)
		free(held);
}

static void
unlist(Document *document)
{
	hash_search(entries, document->key, HASH_REMOVE, NULL);
	dlist_delete(&document->node);
	document->listed = false;
	bytes -= document->length;
	mt_document_release(document);
}

static Document *
find(const char *key)
{
	HASHCTL		control = {.keysize = KEY_SIZE, .entrysize = sizeof(Entry)};
	Entry	   *entry;

	if (entries == NULL)
		entries = hash_create("mindtickle documents", 64, &control, HASH_ELEM | HASH_STRINGS);
	entry = hash_search(entries, key, HASH_FIND, NULL);
	return entry == NULL ? NULL : entry->document;
}

/* A document of this content, held once for the caller, and listed unless it is too large. */
static Document *
keep(const char *key, int64 version, const char *body)
{
	size_t		length = strlen(body);
	Document   *document = malloc(offsetof(Document, body) + length);
	Document   *former = find(key);
	Entry	   *entry;

	if (document == NULL)
		ereport(ERROR, (errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory")));
	strlcpy(document->key, key, KEY_SIZE);
	document->version = version;
	document->holders = 1;
	document->listed = false;
	document->length = length;
	memcpy(document->body, body, length);
	if (former != NULL)
		unlist(former);
	if (length > DOCUMENT_MAX)
		return document;
	while (bytes + length > BYTES_MAX)
		unlist(dlist_container(Document, node, dlist_head_node(&list)));
	entry = hash_search(entries, key, HASH_ENTER, NULL);
	entry->document = document;
	document->listed = true;
	document->holders++;
	dlist_push_tail(&list, &document->node);
	bytes += length;
	return document;
}

/* Does the request say, by If-None-Match, that it has this version? Weak comparison, as RFC 9110, 13.1.2 wants it. */
static bool
has_version(const MtHttpRequest *request, const char *tag)
{
	const char *match = request->matches;

	while (match != NULL && *match != '\0')
	{
		size_t		length;

		match += strspn(match, " \t,");
		if (*match == '*')
			return true;
		if (strncmp(match, "W/", 2) == 0)
			match += 2;
		length = strcspn(match, ", \t");
		if (length == strlen(tag) && strncmp(match, tag, length) == 0)
			return true;
		match += length;
	}
	return false;
}

/* Fills in the answer of the version, which is held by document where it is sent; false where the caller must bring it. */
static bool
answer_version(MtHttpRequest *request, int64 version, Document *document)
{
	char	   *tag = MemoryContextAlloc(request->context, TAG_SIZE);

	snprintf(tag, TAG_SIZE, "\"%016llx\"", (unsigned long long) version);
	if (has_version(request, tag))
		request->answer.status = 304;
	else if (document != NULL && document->version == version)
	{
		request->answer.status = 200;
		request->answer.type = "application/json";
		request->answer.body = document->body;
		request->answer.length = document->length;
		request->answer.document = document;
		document->holders++;
		if (document->listed)
		{
			dlist_delete(&document->node);
			dlist_push_tail(&list, &document->node);
		}
	}
	else
		return false;
	mt_answer_header(request, "ETag", tag);
	mt_answer_header(request, "Cache-Control", "private, no-cache");
	return true;
}

/*
 * Answers with a tenant's document, 'roster' or 'catalog'. In the request's transaction.
 */
void
mt_document_answer(MtHttpRequest *request, const char *resource)
{
	char		key[KEY_SIZE];
	int64		version = mt_sql_cache_version(request->tenant, resource);
	Document   *document;
	char	   *body;

	snprintf(key, sizeof(key), "%s/%s", request->tenant, resource);
	if (version != NO_VERSION && answer_version(request, version, find(key)))
		return;
	body = mt_sql_cache_document(request->tenant, resource, &version, request->context);
	document = keep(key, version, body);
	(void) answer_version(request, version, document);
	mt_document_release(document);
	pfree(body);
}
