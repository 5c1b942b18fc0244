/*
 * contract_live_training.c
 *		Series and modules of the live contract.
 *
 * Called by contract_live.c for callers whose token is good. A module is in one
 * series or more, under the same id.
 */
#include "bad_records.h"
#include "contract_live.h"
#include "live_data.h"

#include <stdio.h>
#include <string.h>

/* Descriptions come as HTML, empty, null, or not at all. */
static void
put_description(Buffer *buffer, int number)
{
	static const char *const descriptions[] = {
		",\"description\":\"<p>Learn <b>more</b> &amp; sell<\\/p>\"", ",\"description\":null", "", ",\"description\":\"\""
	};

	mt_buffer_text(buffer, descriptions[number % 4]);
}

static void
put_module(Buffer *buffer, const DataSet *data, int number)
{
	Course		course;

	mt_data_course(data, number, &course);
	mt_buffer_format(buffer, course.id_is_number ? "{\"id\":%s,\"name\":" : "{\"id\":\"%s\",\"name\":", course.id);
	mt_buffer_json(buffer, course.title);
	mt_buffer_format(buffer, ",\"moduleType\":\"%s\"", mt_live_module_type(data, number));
	put_description(buffer, number);
	mt_buffer_text(buffer, ",\"thumbnailUrl\":\"https://cdn.example/t.png\"");
}

void
mt_live_answer_series_list(Call *call, Tenant *tenant)
{
	Buffer	   *body = &call->reply.body;
	int			count = mt_live_series(&tenant->data);
	int			series;

	mt_buffer_format(body, "{\"totalHits\":%d,\"hits\":[", count);
	for (series = 0; series < count; series++)
	{
		char		id[ID_SIZE];
		char		name[96];

		mt_data_id(&tenant->data, ID_SERIES, (uint32_t) series, id);
		mt_live_series_name(&tenant->data, series, name, sizeof(name));
		mt_buffer_format(body, "%s{\"id\":\"%s\",\"name\":", series == 0 ? "" : ",", id);
		mt_buffer_json(body, name);
		put_description(body, series);
		mt_buffer_bytes(body, "}", 1);
	}
	mt_buffer_text(body, "]}");
}

/* The series that a part of the path names; -1 when the reply is a 404 already. */
static int
find_series(Call *call, Tenant *tenant, int part)
{
	char		id[ID_SIZE];
	int			series;

	mt_live_path_part(call, part, id, sizeof(id));
	if (mt_data_find(&tenant->data, ID_SERIES, id, mt_live_series(&tenant->data), &series))
		return series;
	mt_live_not_found(call, tenant, ID_SERIES, id);
	return -1;
}

/* Likewise the module. */
static int
find_module(Call *call, Tenant *tenant, int part)
{
	char		id[ID_SIZE];
	int			course;

	mt_live_path_part(call, part, id, sizeof(id));
	if (mt_data_find(&tenant->data, ID_COURSE, id, tenant->data.courses, &course))
		return course;
	mt_live_not_found(call, tenant, ID_COURSE, id);
	return -1;
}

void
mt_live_answer_series_modules(Call *call, Tenant *tenant)
{
	const DataSet *data = &tenant->data;
	Buffer		hits = {0};
	uint64_t	first_bad;
	uint64_t	bad;
	uint64_t	i;
	int			series = find_series(call, tenant, 0);
	int			course;
	int			count = 0;

	if (series < 0)
		return;
	bad = mt_bad_modules(data, series, &first_bad);
	for (i = 0; i < bad; i++)
	{
		mt_buffer_text(&hits, count++ == 0 ? "" : ",");
		mt_bad_write(&hits, data, BAD_LIVE_MODULES, first_bad + i);
	}
	for (course = 0; course < data->courses; course++)
	{
		if (!mt_live_in_series(data, series, course))
			continue;
		mt_buffer_text(&hits, count++ == 0 ? "" : ",");
		put_module(&hits, data, course);
		mt_buffer_bytes(&hits, "}", 1);
	}
	mt_buffer_format(&call->reply.body, "{\"totalHits\":%d,\"hits\":[", count);
	mt_buffer_bytes(&call->reply.body, hits.data, hits.length);
	mt_buffer_text(&call->reply.body, "]}");
	mt_buffer_free(&hits);
}

void
mt_live_answer_entity(Call *call, Tenant *tenant)
{
	Buffer	   *body = &call->reply.body;
	int			series = find_series(call, tenant, 0);
	int			course = series < 0 ? -1 : find_module(call, tenant, 1);

	if (course < 0)
		return;
	if (!mt_live_in_series(&tenant->data, series, course))
	{
		mt_live_refuse(call, tenant, MHD_HTTP_NOT_FOUND, "no such object");
		return;
	}
	put_module(body, &tenant->data, course);
	mt_buffer_format(body, ",\"url\":\"https://%s/m/%d\",\"version\":%d,\"tags\":{\"values\":[{\"tagName\":\"Q%d\"}]}}",
					 tenant->site, course, 1 + course % 3, 1 + course % 4);
}

/* Questions without anybody's answers. Only of what is published, and not of every type. */
void
mt_live_answer_learning_objects(Call *call, Tenant *tenant)
{
	Buffer	   *body = &call->reply.body;
	int			course = find_module(call, tenant, 0);
	const char *type;
	int			i;

	if (course < 0)
		return;
	type = mt_live_module_type(&tenant->data, course);
	if (strcmp(type, "COURSE") != 0 && strcmp(type, "UPDATE") != 0 && strcmp(type, "ASSESSMENT") != 0)
		mt_live_refuse(call, tenant, MHD_HTTP_BAD_REQUEST, "Module type not supported");
	else if (course % 16 == 15)
		mt_live_refuse(call, tenant, MHD_HTTP_BAD_REQUEST, "Module state should be published");
	else
	{
		mt_buffer_text(body, tenant->number % 2 == 0 ? "{\"learningObjects\":[" : "{\"learning_contents\":[");
		for (i = 0; i < 3; i++)
			mt_buffer_format(body, "%s{\"id\":\"lo-%d-%d\",\"type\":\"MCQ\",\"question\":\"Which \\\"%d\\\"?\",\"options\":["
							 "{\"option\":\"a\",\"isCorrect\":true,\"order\":1},{\"option\":\"b\",\"isCorrect\":false,\"order\":2}],"
							 "\"media\":[]}", i == 0 ? "" : ",", course, i, i);
		mt_buffer_text(body, "]}");
	}
}
