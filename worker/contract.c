/*
 * contract.c
 *		The list of contracts, the choice between their stages, and what their adapters share.
 *
 * Called by the pull of a tenant and by the adapters. Knows no API.
 */
#include "contract.h"

#include <curl/curl.h>

#include "source.h"

/* Longest URL of a continuation, in bytes. */
#define CONTINUATION_MAX	4096
/* Of these a scheme consists. */
#define SCHEME_CHARACTERS	"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+-."

/*
 * The adapter of a contract; NULL when there is none of that name.
 */
const MtContract *
mt_contract_find(const char *name)
{
	static const MtContract *const contracts[] = {&mt_contract_reference, &mt_contract_live};

	for (int i = 0; i < (int) lengthof(contracts); i++)
		if (strcmp(contracts[i]->name, name) == 0)
			return contracts[i];
	return NULL;
}

/* Can the stage be used with what the tenant has configured, and with what was not refused? */
static bool
usable(const MtSource *source, const MtStage *stage, MtPhase phase)
{
	if (stage->phase != phase)
		return false;
	if (stage->host == MT_HOST_REPORTING && (source->reporting_url == NULL || source->reporting_refused))
		return false;
	return stage->usable == NULL || stage->usable(source);
}

/*
 * The stage of this name, if it can still be used; NULL when not.
 */
const MtStage *
mt_contract_stage(const MtSource *source, MtPhase phase, const char *name)
{
	for (int i = 0; i < source->contract->stage_count; i++)
	{
		const MtStage *stage = &source->contract->stages[i];

		if (strcmp(stage->name, name) == 0)
			return usable(source, stage, phase) ? stage : NULL;
	}
	return NULL;
}

/*
 * How the phase is to be done: of the stages that can be used those count that bring the same records as the first, and of these the cheapest is
 * taken. NULL when there is nothing to ask for.
 */
const MtStage *
mt_contract_choose(const MtSource *source, MtPhase phase, const MtCounts *counts)
{
	const MtStage *chosen = NULL;

	for (int i = 0; i < source->contract->stage_count; i++)
	{
		const MtStage *stage = &source->contract->stages[i];

		if (!usable(source, stage, phase))
			continue;
		if (chosen == NULL ||
			(stage->records == chosen->records && stage->cost != NULL && stage->cost(counts) < chosen->cost(counts)))
			chosen = stage;
	}
	return chosen;
}

/*
 * What is wrong with an object whose walk ended with this step; NULL: nothing.
 */
const char *
mt_walk_problem(MtStep step)
{
	if (step == MT_STEP_TOO_MANY)
		return "it has more records than can be believed";
	return step == MT_STEP_END ? NULL : "it is not a JSON object";
}

/*
 * Fills in the records of a page from the array that holds them, at most so many. NULL, or what the array is not.
 */
const char *
mt_read_records(MtSpan array, int most, MtPage *page)
{
	MtWalk walk;
	MtSpan		element;
	MtStep		step;
	int			room = 128;

	if (!mt_json_walk(array, '[', &walk))
		return "its list of records is no array";
	page->records = palloc(sizeof(MtSpan) * (Size) room);
	while ((step = mt_json_element(&walk, &element)) == MT_STEP_ITEM)
	{
		if (page->count == most)
			return "it has more records than can be believed";
		if (page->count == room)
		{
			room *= 2;
			page->records = repalloc_huge(page->records, sizeof(MtSpan) * (Size) room);
		}
		page->records[page->count++] = element;
	}
	return step == MT_STEP_END ? NULL : "its list of records is malformed";
}

/* Path and query of a reference that has neither scheme nor host, as seen from a URL; palloc'd. NULL when it is none. */
static char *
resolve(const char *reference, const char *base)
{
	CURLU	   *url = curl_url();
	char	   *path = NULL;
	char	   *query = NULL;
	char	   *target = NULL;

	if (url != NULL && curl_url_set(url, CURLUPART_URL, base, 0) == CURLUE_OK && curl_url_set(url, CURLUPART_URL, reference, 0) == CURLUE_OK &&
		curl_url_get(url, CURLUPART_PATH, &path, 0) == CURLUE_OK)
	{
		(void) curl_url_get(url, CURLUPART_QUERY, &query, 0);
		/* Without an error of ours, so that libcurl's memory is freed in any case. */
		target = MemoryContextAllocExtended(CurrentMemoryContext, strlen(path) + 1 + (query == NULL ? 0 : strlen(query)) + 1, MCXT_ALLOC_NO_OOM);
	}
	if (target != NULL)
		sprintf(target, "%s%s%s", path, query == NULL ? "" : "?", query == NULL ? "" : query);
	curl_free(path);
	curl_free(query);
	curl_url_cleanup(url);
	return target;
}

/*
 * Where a listing goes on: path and query of a URL, which is a JSON string, as they are but for what must not stand in a request line, which is
 * percent-encoded; palloc'd. The host that it names is left out, for the request will go to ours; a relative one starts from the request's URL, and
 * names none. NULL when it cannot be used.
 */
char *
mt_continuation(MtSpan url, const char *request_url)
{
	char	   *text = mt_json_text(url);
	const char *path = text;
	size_t		scheme;
	StringInfoData target;

	if (text == NULL || strlen(text) > CONTINUATION_MAX)
		return NULL;
	scheme = strspn(text, SCHEME_CHARACTERS);
	if (strncmp(text + scheme, "://", 3) == 0 && strspn(text, "HTPShtps") == scheme)
		path = text + scheme + 3 + strcspn(text + scheme + 3, "/?#");
	else if (*text != '/' && text[scheme] != ':' && strpbrk(text, "\\#") == NULL)
		path = resolve(text, request_url);
	if (path == NULL || *path != '/' || path[1] == '/')
		return NULL;
	initStringInfo(&target);
	for (; *path != '\0'; path++)
	{
		if ((unsigned char) *path < ' ' || strchr("\\#\x7f", *path) != NULL)
			return NULL;
		if ((unsigned char) *path == ' ' || (unsigned char) *path > 0x7f)
			appendStringInfo(&target, "%%%02X", (unsigned char) *path);
		else
			appendStringInfoChar(&target, *path);
	}
	return target.data;
}
