/*
 * contract_reference.c
 *		MindTickle's API as the reference contract has it, under /v2.
 *
 * Called by the HTTP front through mt_contract_reference. It knows the paths,
 * the credentials and the shape of every answer; it never counts requests and
 * never draws faults, which are the same for all contracts.
 */
#include "bad_records.h"
#include "contract.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define MAX_LIMIT		100
#define AHEAD_TOTAL		100000
#define DEFAULT_LIMIT	50

typedef enum Route
{
	ROUTE_USERS,
	ROUTE_ME,
	ROUTE_USER,
	ROUTE_USER_COURSES,
	ROUTE_USER_QUIZ_RESULTS,
	ROUTE_COURSES,
	ROUTE_COURSE,
	ROUTE_QUIZ_RESULTS,
	ROUTE_HEALTH,
	ROUTE_UNKNOWN
} Route;

static const char *const route_names[] = {
	"users", "me", "user", "user_courses", "user_quiz_results", "courses", "course", "quiz_results", "health",
	"unknown", NULL
};

/* The part of the path between two slashes, copied; empty when it is too long to be an id. */
static void
id_in_path(const char *path, const char *before, char *id, size_t size)
{
	const char *start = path + strlen(before);
	size_t		length = strcspn(start, "/");

	if (length >= size)
		length = 0;
	memcpy(id, start, length);
	id[length] = '\0';
}

static int
find_route(const Call *call)
{
	const char *path = call->path + strlen(mt_contract_reference.prefix);
	const char *rest;

	if (strcmp(path, "/users") == 0)
		return ROUTE_USERS;
	if (strcmp(path, "/users/me") == 0)
		return ROUTE_ME;
	if (strcmp(path, "/courses") == 0)
		return ROUTE_COURSES;
	if (strcmp(path, "/quiz-results") == 0)
		return ROUTE_QUIZ_RESULTS;
	if (strcmp(path, "/health") == 0)
		return ROUTE_HEALTH;
	if (strncmp(path, "/courses/", 9) == 0 && path[9] != '\0' && strchr(path + 9, '/') == NULL)
		return ROUTE_COURSE;
	if (strncmp(path, "/users/", 7) != 0 || path[7] == '\0')
		return ROUTE_UNKNOWN;
	rest = strchr(path + 7, '/');
	if (rest == NULL)
		return ROUTE_USER;
	if (strcmp(rest, "/courses") == 0)
		return ROUTE_USER_COURSES;
	if (strcmp(rest, "/quiz-results") == 0)
		return ROUTE_USER_QUIZ_RESULTS;
	return ROUTE_UNKNOWN;
}

static Tenant *
identify(Call *call, int route)
{
	const char *header = mt_call_header(call, "Authorization");
	Tenant	   *tenant;

	if (header == NULL && route == ROUTE_HEALTH)
	{
		mt_buffer_text(&call->reply.body, "{\"status\":\"ok\"}");
		return NULL;
	}
	if (header == NULL || strncasecmp(header, "Bearer ", 7) != 0)
	{
		mt_global_stats.missing_keys++;
		mt_reply_error(&call->reply, MHD_HTTP_UNAUTHORIZED, "UNAUTHORIZED", "no bearer key");
		return NULL;
	}
	tenant = mt_tenant_by_key(header + 7);
	if (tenant == NULL || tenant->live)
	{
		tenant = NULL;
		mt_global_stats.wrong_keys++;
		mt_reply_error(&call->reply, MHD_HTTP_UNAUTHORIZED, "UNAUTHORIZED", "unknown key");
	}
	return tenant;
}

static void
put_id(Buffer *buffer, const char *id, bool is_number)
{
	if (is_number)
		mt_buffer_text(buffer, id);
	else
		mt_buffer_json(buffer, id);
}

static void
put_person(Buffer *buffer, const DataSet *data, int user, int revision)
{
	Person		person;

	mt_data_person(data, user, revision, &person);
	mt_buffer_text(buffer, "{\"id\":");
	put_id(buffer, person.id, person.id_is_number);
	mt_data_text(buffer, ",\"email\":", person.email_presence, person.email);
	mt_data_text(buffer, ",\"name\":", person.name_presence, person.name);
	mt_data_text(buffer, ",\"role\":", person.role_presence, person.role);
	mt_data_text(buffer, ",\"scimExternalId\":", person.scim_presence, person.scim_id);
	/* A tenant named in a body must never be believed. */
	if (user % 11 == 2)
		mt_buffer_text(buffer, ",\"tenantId\":\"somebody-else\"");
	if (person.active_presence == FIELD_PRESENT)
		mt_buffer_text(buffer, person.active ? ",\"active\":true" : ",\"active\":false");
	mt_buffer_bytes(buffer, "}", 1);
}

static void
put_course(Buffer *buffer, const DataSet *data, int number)
{
	Course		course;

	mt_data_course(data, number, &course);
	mt_buffer_text(buffer, "{\"id\":");
	put_id(buffer, course.id, course.id_is_number);
	mt_buffer_text(buffer, ",\"title\":");
	mt_buffer_json(buffer, course.title);
	mt_buffer_bytes(buffer, "}", 1);
}

static void
put_progress(Buffer *buffer, const DataSet *data, int number, const Progress *progress)
{
	Course		course;

	mt_data_course(data, number, &course);
	mt_buffer_text(buffer, "{\"id\":");
	put_id(buffer, course.id, course.id_is_number);
	mt_buffer_text(buffer, ",\"title\":");
	mt_buffer_json(buffer, course.title);
	mt_buffer_text(buffer, ",\"status\":");
	mt_buffer_json(buffer, progress->status);
	if (progress->score.form != SCORE_MISSING)
	{
		mt_buffer_text(buffer, ",\"quizScore\":");
		mt_score_upstream(buffer, &progress->score);
	}
	if (progress->has_completed_at)
	{
		mt_buffer_text(buffer, ",\"completedAt\":");
		mt_moment_upstream(buffer, progress->completed_at);
	}
	if (progress->has_updated_at)
	{
		mt_buffer_text(buffer, ",\"updatedAt\":");
		mt_moment_upstream(buffer, progress->updated_at);
	}
	mt_buffer_bytes(buffer, "}", 1);
}

/* Writes a number that is kept in halves. */
static void
put_halves(Buffer *buffer, int halves)
{
	mt_buffer_number(buffer, (uint64_t) halves / 2);
	if (halves % 2 != 0)
		mt_buffer_text(buffer, ".5");
}

static void
put_answers(Buffer *buffer, const Quiz *quiz, const QuizResult *result)
{
	static const char *const choices[] = {"\"a\"", "\"b\"", "\"O'Neil said \\\"no\\\"\"", "\"d\"", "\"🚀\""};
	int			i;

	mt_buffer_text(buffer, ",\"answers\":[");
	for (i = 0; i < result->answers; i++)
	{
		bool		correct = (result->correct >> i & 1) != 0;

		mt_buffer_text(buffer, i == 0 ? "{\"questionId\":\"q" : ",{\"questionId\":\"q");
		mt_buffer_number(buffer, (uint64_t) i + 1);
		mt_buffer_text(buffer, "\",\"selected\":");
		mt_buffer_text(buffer, choices[(i + result->attempt + correct) % 5]);
		mt_buffer_text(buffer, correct ? ",\"correct\":true" : ",\"correct\":false");
		if (quiz->points[i] != 2)
		{
			mt_buffer_text(buffer, ",\"points\":");
			put_halves(buffer, quiz->points[i]);
		}
		mt_buffer_bytes(buffer, "}", 1);
	}
	mt_buffer_bytes(buffer, "]", 1);
}

static void
put_result(Buffer *buffer, const DataSet *data, int user, int course, const Quiz *quiz, const QuizResult *result)
{
	bool		numbers = (user + course * 3 + result->attempt) % 5 == 0;
	char		id[ID_SIZE];

	if (numbers)
		mt_buffer_format(buffer, "{\"id\":%lld,\"quizId\":", (user * 1000LL + course) * 10 + result->attempt);
	else
		mt_buffer_format(buffer, "{\"id\":\"qr-%d-%d-%d\",\"quizId\":", user, course, result->attempt);
	put_id(buffer, quiz->id, numbers);
	mt_buffer_text(buffer, ",\"userId\":");
	mt_data_id(data, ID_USER, (uint32_t) user, id);
	put_id(buffer, id, numbers);
	mt_buffer_text(buffer, ",\"courseId\":");
	mt_data_id(data, ID_COURSE, (uint32_t) course, id);
	put_id(buffer, id, numbers);
	mt_buffer_format(buffer, ",\"attemptNumber\":%d", result->attempt);
	if (result->score.form != SCORE_MISSING)
	{
		mt_buffer_text(buffer, ",\"score\":");
		mt_score_upstream(buffer, &result->score);
	}
	if (quiz->gives_max_score)
	{
		mt_buffer_text(buffer, ",\"maxScore\":");
		put_halves(buffer, quiz->total);
	}
	if (result->has_raw_score)
	{
		mt_buffer_text(buffer, ",\"rawScore\":");
		put_halves(buffer, result->raw_score);
	}
	if (result->has_passed)
		mt_buffer_text(buffer, result->passed ? ",\"passed\":true" : ",\"passed\":false");
	if (result->has_answers)
		put_answers(buffer, quiz, result);
	mt_buffer_text(buffer, ",\"submittedAt\":");
	mt_moment_upstream(buffer, result->submitted_at);
	mt_buffer_bytes(buffer, "}", 1);
}

/* Reads limit and offset; false when the reply is an error already. */
static bool
read_page(Call *call, long *limit, long *offset)
{
	if (!mt_call_number(call, "limit", 1, LONG_MAX, DEFAULT_LIMIT, limit) ||
		!mt_call_number(call, "offset", 0, INT_MAX, 0, offset))
	{
		mt_reply_error(&call->reply, MHD_HTTP_BAD_REQUEST, "BAD_REQUEST", "limit and offset are whole numbers");
		return false;
	}
	if (*limit > MAX_LIMIT)
		*limit = MAX_LIMIT;
	return true;
}

static void
put_page_end(Buffer *buffer, uint64_t total, long limit, long offset)
{
	mt_buffer_format(buffer, "],\"total\":%llu,\"limit\":%ld,\"offset\":%ld,\"nextCursor\":null}",
					 (unsigned long long) total, limit, offset);
}

/*
 * Writes users or courses from offset on, bad records between the good ones;
 * returns the total. The caller holds the lock of the listing.
 */
static uint64_t
put_listing(Buffer *buffer, const Tenant *tenant, BadResource resource, uint64_t good, long limit, long offset)
{
	const DataSet *data = &tenant->data;
	uint64_t	bad = mt_bad_count(data, good);
	uint64_t	at;

	for (at = (uint64_t) offset; at < (uint64_t) (offset + limit) && at < good + bad; at++)
	{
		uint64_t	bad_before = mt_bad_before(good, bad, at);

		if (at > (uint64_t) offset)
			mt_buffer_bytes(buffer, ",", 1);
		if (mt_bad_before(good, bad, at + 1) > bad_before)
			mt_bad_write(buffer, data, resource, bad_before);
		else if (resource == BAD_USERS)
			put_person(buffer, data, tenant->listing.user_at[at - bad_before], tenant->listing.revision);
		else
			put_course(buffer, data, (int) (at - bad_before));
	}
	return good + bad;
}

static void
answer_listing(Call *call, Tenant *tenant, BadResource resource)
{
	long		limit;
	long		offset;
	uint64_t	total;

	if (!read_page(call, &limit, &offset))
		return;
	/* Which page it is decides what becomes of it. */
	if (call->fault == FAULT_AHEAD)
		call->flavour = (uint64_t) (offset / limit);
	mt_buffer_format(&call->reply.body, "{\"%s\":[", mt_bad_resource(resource));
	pthread_rwlock_rdlock(&tenant->listing.lock);
	total = put_listing(&call->reply.body, tenant, resource,
						(uint64_t) (resource == BAD_USERS ? tenant->listing.users : tenant->data.courses), limit, offset);
	pthread_rwlock_unlock(&tenant->listing.lock);
	put_page_end(&call->reply.body, call->fault == FAULT_AHEAD ? AHEAD_TOTAL : total, limit, offset);
}

/* Makes the reply a 404, and counts the use of another tenant's id. */
static void
answer_not_found(Call *call, Tenant *tenant, IdKind kind, const char *id)
{
	int			i;

	mt_reply_error(&call->reply, MHD_HTTP_NOT_FOUND, "NOT_FOUND", "no such object");
	for (i = 0; i < mt_tenant_count(); i++)
	{
		Tenant	   *other = mt_tenant_at(i);
		int			index;

		if (other == tenant || !mt_data_find(&other->data, kind, id, INT_MAX, &index))
			continue;
		pthread_mutex_lock(&tenant->lock);
		tenant->stats.foreign_ids++;
		pthread_mutex_unlock(&tenant->lock);
		break;
	}
}

/* Is this the user whom the key may not see? */
static bool
is_denied(Tenant *tenant, const char *id)
{
	bool		denied;

	pthread_mutex_lock(&tenant->lock);
	denied = strcmp(tenant->denied, id) == 0;
	pthread_mutex_unlock(&tenant->lock);
	return denied;
}

/* Finds a listed user; false when the reply is a 403 or 404 already. The caller holds the lock of the listing. */
static bool
find_user(Call *call, Tenant *tenant, const char *id, int *user)
{
	int			revision = tenant->listing.revision;

	if (is_denied(tenant, id))
	{
		mt_reply_error(&call->reply, MHD_HTTP_FORBIDDEN, "FORBIDDEN", "the key may not see this user");
		return false;
	}
	if (mt_data_find(&tenant->data, ID_USER, id, mt_data_user_count(&tenant->data, revision), user) &&
		mt_data_user_listed(&tenant->data, *user, revision))
		return true;
	answer_not_found(call, tenant, ID_USER, id);
	return false;
}

static void
answer_user(Call *call, Tenant *tenant)
{
	char		id[ID_SIZE];
	int			user;

	id_in_path(call->path, "/v2/users/", id, sizeof(id));
	pthread_rwlock_rdlock(&tenant->listing.lock);
	if (find_user(call, tenant, id, &user))
		put_person(&call->reply.body, &tenant->data, user, tenant->listing.revision);
	pthread_rwlock_unlock(&tenant->listing.lock);
}

static void
answer_me(Call *call, Tenant *tenant)
{
	Buffer	   *body = &call->reply.body;

	mt_buffer_text(body, "{\"id\":\"api\",\"name\":\"API key\",\"role\":\"admin\",\"active\":true,\"companyId\":");
	if (tenant->company == NULL)
		mt_buffer_text(body, "null");
	else
		mt_buffer_json(body, tenant->company);
	mt_buffer_text(body, ",\"scopes\":[\"users:read\",\"courses:read\",\"analytics:read\"]}");
}

static void
answer_course(Call *call, Tenant *tenant)
{
	char		id[ID_SIZE];
	int			course;

	id_in_path(call->path, "/v2/courses/", id, sizeof(id));
	if (mt_data_find(&tenant->data, ID_COURSE, id, tenant->data.courses, &course))
		put_course(&call->reply.body, &tenant->data, course);
	else
		answer_not_found(call, tenant, ID_COURSE, id);
}

/* Reads a filter by time; false when the reply is an error already. */
static bool
read_moment(Call *call, Tenant *tenant, const char *name, bool *given, int64_t *micros)
{
	const char *text = mt_call_query(call, name);

	*given = text != NULL;
	if (text == NULL)
		return true;
	if (tenant->knows_since && mt_moment_parse(text, micros))
	{
		pthread_mutex_lock(&tenant->lock);
		tenant->stats.filtered++;
		pthread_mutex_unlock(&tenant->lock);
		return true;
	}
	mt_reply_error(&call->reply, MHD_HTTP_BAD_REQUEST, "BAD_REQUEST", "not a date and time");
	return false;
}

/* The caller holds the lock of the listing. */
static void
put_user_courses(Buffer *buffer, const Tenant *tenant, int user, bool filtered, int64_t since)
{
	const DataSet *data = &tenant->data;
	uint64_t	bad_number;
	uint64_t	bad = filtered ? 0 : mt_bad_progress(data, user, &bad_number);
	bool		first = true;
	int			course;

	for (course = 0; course < data->courses || bad > 0; course++)
	{
		Progress	progress;

		/* One bad record after each good one, while there are some. */
		if (bad > 0)
		{
			mt_buffer_text(buffer, first ? "" : ",");
			mt_bad_write(buffer, data, BAD_PROGRESS, bad_number++);
			bad--;
			first = false;
		}
		if (course >= data->courses ||
			!mt_data_progress(data, user, course, tenant->listing.revision, &progress))
			continue;
		if (filtered && progress.has_updated_at && progress.updated_at.micros < since)
			continue;
		if (!first)
			mt_buffer_bytes(buffer, ",", 1);
		put_progress(buffer, data, course, &progress);
		first = false;
	}
}

static void
answer_user_courses(Call *call, Tenant *tenant)
{
	Buffer	   *body = &call->reply.body;
	char		id[ID_SIZE];
	int			user;
	bool		filtered;
	int64_t		since = 0;

	if (!read_moment(call, tenant, "updated_since", &filtered, &since))
		return;
	id_in_path(call->path, "/v2/users/", id, sizeof(id));
	pthread_rwlock_rdlock(&tenant->listing.lock);
	if (find_user(call, tenant, id, &user))
	{
		mt_buffer_text(body, "{\"userId\":");
		mt_buffer_json(body, id);
		mt_buffer_text(body, ",\"courses\":[");
		put_user_courses(body, tenant, user, filtered, since);
		mt_buffer_text(body, "]}");
	}
	pthread_rwlock_unlock(&tenant->listing.lock);
}

/* Writes a page of the whole listing, bad records between the good ones; returns the total. */
static uint64_t
put_all_results(Buffer *buffer, const Tenant *tenant, long limit, long offset)
{
	const DataSet *data = &tenant->data;
	uint64_t	good = mt_listing_results(&tenant->listing);
	uint64_t	bad = mt_bad_count(data, good);
	uint64_t	at = (uint64_t) offset;
	ResultCursor cursor;

	mt_result_cursor_all(&cursor, data, &tenant->listing, at - mt_bad_before(good, bad, at));
	for (; at < (uint64_t) (offset + limit) && at < good + bad; at++)
	{
		uint64_t	bad_before = mt_bad_before(good, bad, at);
		QuizResult	result;
		int			user;
		int			course;

		if (at > (uint64_t) offset)
			mt_buffer_bytes(buffer, ",", 1);
		if (mt_bad_before(good, bad, at + 1) > bad_before)
			mt_bad_write(buffer, data, BAD_QUIZ_RESULTS, bad_before);
		else if (mt_result_next(&cursor, &user, &course, &result))
			put_result(buffer, data, user, course, &cursor.quiz, &result);
	}
	return good + bad;
}

/* Writes a page of what the filters leave, good records only; returns the total. */
static uint64_t
put_some_results(Buffer *buffer, ResultCursor *cursor, int64_t since, long limit, long offset)
{
	uint64_t	total = 0;
	QuizResult	result;
	int			user;
	int			course;

	while (mt_result_next(cursor, &user, &course, &result))
	{
		if (result.submitted_at.micros < since)
			continue;
		if (total >= (uint64_t) offset && total < (uint64_t) (offset + limit))
		{
			if (total > (uint64_t) offset)
				mt_buffer_bytes(buffer, ",", 1);
			put_result(buffer, cursor->data, user, course, &cursor->quiz, &result);
		}
		total++;
	}
	return total;
}

static void
answer_quiz_results(Call *call, Tenant *tenant, bool of_user)
{
	Buffer	   *body = &call->reply.body;
	const char *wanted = mt_call_query(call, "userId");
	char		id[ID_SIZE];
	long		limit;
	long		offset;
	bool		filtered;
	int64_t		since = INT64_MIN;
	int			user;
	uint64_t	total;
	ResultCursor cursor;

	if (!read_page(call, &limit, &offset) || !read_moment(call, tenant, "since", &filtered, &since))
		return;
	if (of_user)
	{
		id_in_path(call->path, "/v2/users/", id, sizeof(id));
		wanted = id;
	}
	pthread_rwlock_rdlock(&tenant->listing.lock);
	if (wanted != NULL && !find_user(call, tenant, wanted, &user))
	{
		pthread_rwlock_unlock(&tenant->listing.lock);
		return;
	}
	mt_buffer_text(body, "{\"quizResults\":[");
	if (wanted == NULL && !filtered)
		total = put_all_results(body, tenant, limit, offset);
	else
	{
		if (wanted == NULL)
			mt_result_cursor_all(&cursor, &tenant->data, &tenant->listing, 0);
		else
			mt_result_cursor_user(&cursor, &tenant->data, &tenant->listing,
								  mt_listing_position(&tenant->listing, user));
		total = put_some_results(body, &cursor, since, limit, offset);
	}
	pthread_rwlock_unlock(&tenant->listing.lock);
	put_page_end(body, total, limit, offset);
}

static void
answer(Call *call, Tenant *tenant, int route)
{
	const char *company = mt_call_header(call, "X-Company-Id");

	if (tenant->company != NULL && (company == NULL || strcmp(company, tenant->company) != 0))
	{
		pthread_mutex_lock(&tenant->lock);
		tenant->stats.company_mismatches++;
		pthread_mutex_unlock(&tenant->lock);
		mt_reply_error(&call->reply, MHD_HTTP_FORBIDDEN, "FORBIDDEN", "the key is not of this company");
		return;
	}
	if (strcmp(call->method, MHD_HTTP_METHOD_GET) != 0 && route != ROUTE_UNKNOWN)
	{
		mt_reply_error(&call->reply, MHD_HTTP_METHOD_NOT_ALLOWED, "METHOD_NOT_ALLOWED", "GET only");
		call->reply.allow = "GET";
		return;
	}
	switch ((Route) route)
	{
		case ROUTE_USERS:
			answer_listing(call, tenant, BAD_USERS);
			break;
		case ROUTE_ME:
			answer_me(call, tenant);
			break;
		case ROUTE_USER:
			answer_user(call, tenant);
			break;
		case ROUTE_USER_COURSES:
			answer_user_courses(call, tenant);
			break;
		case ROUTE_USER_QUIZ_RESULTS:
			answer_quiz_results(call, tenant, true);
			break;
		case ROUTE_COURSES:
			answer_listing(call, tenant, BAD_COURSES);
			break;
		case ROUTE_COURSE:
			answer_course(call, tenant);
			break;
		case ROUTE_QUIZ_RESULTS:
			answer_quiz_results(call, tenant, false);
			break;
		case ROUTE_HEALTH:
			mt_buffer_text(&call->reply.body, "{\"status\":\"ok\"}");
			break;
		case ROUTE_UNKNOWN:
			mt_reply_error(&call->reply, MHD_HTTP_NOT_FOUND, "NOT_FOUND", "no such path");
			break;
	}
}

static FaultSet
faults(const Call *call, int route)
{
	(void) call;
	return FAULTS_OF_ALL | (route == ROUTE_USERS || route == ROUTE_COURSES ? FAULT_BIT(FAULT_AHEAD) : 0);
}

const Contract mt_contract_reference = {1U << HOST_MAIN, "/v2", route_names, find_route, identify, faults, answer};
