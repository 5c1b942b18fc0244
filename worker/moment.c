/*
 * moment.c
 *		Moments in answers that must be understood before they are passed on: reading them by PostgreSQL's own parser, and writing them.
 *
 * Called by the adapters. Most moments are passed on as they come, and read where they are stored; here are those that an adapter has to calculate
 * with, or that are written for people ("12 Jan 2024, 09:30"). What depends on settings or on the present day is not taken for a moment.
 */
#include "moment.h"

#include <ctype.h>

#include "miscadmin.h"
#include "utils/datetime.h"
#include "utils/timestamp.h"

/* Longest text that is looked at. */
#define MOMENT_MAX	64

/* Year first, or with the name of a month: then the order of the numbers is no question of taste. Words such as "tomorrow" have no digits first. */
static bool
unambiguous(const char *text)
{
	bool		has_year_first = strspn(text, "0123456789") == 4 && text[4] == '-';

	if (!isdigit((unsigned char) *text))
		return false;
	for (const char *c = text; *c != '\0'; c++)
		if (!isalnum((unsigned char) *c) && strchr(" ,:.+-", *c) == NULL)
			return false;
	for (const char *c = text; !has_year_first && *c != '\0'; c++)
		if (isalpha((unsigned char) c[0]) && isalpha((unsigned char) c[1]) && isalpha((unsigned char) c[2]))
			return true;
	return has_year_first;
}

/* Does it say from which clock it is? */
static bool
has_offset(const char *text)
{
	const char *time = strchr(text, ':');

	return time != NULL && strpbrk(time, "Zz+-") != NULL;
}

/*
 * Reads a moment that is a JSON string; without an offset it is UTC. False where it is none.
 */
bool
mt_read_moment(MtSpan string, TimestampTz *moment)
{
	char	   *given = string.length <= MOMENT_MAX ? mt_json_text(string) : NULL;
	char	   *text;
	char		buffer[MOMENT_MAX + MAXDATELEN];
	char	   *fields[MAXDATEFIELDS];
	int			types[MAXDATEFIELDS];
	int			count;
	int			kind;
	int			zone = 0;
	fsec_t		fraction;
	struct pg_tm parts;
#if PG_VERSION_NUM >= 160000
	DateTimeErrorExtra extra;
#endif

	if (given == NULL || !unambiguous(given))
		return false;
	text = has_offset(given) ? given : psprintf("%s UTC", given);
	if (ParseDateTime(text, buffer, sizeof(buffer), fields, types, MAXDATEFIELDS, &count) != 0)
		return false;
#if PG_VERSION_NUM >= 160000
	if (DecodeDateTime(fields, types, count, &kind, &parts, &fraction, &zone, &extra) != 0)
		return false;
#else
	if (DecodeDateTime(fields, types, count, &kind, &parts, &fraction, &zone) != 0)
		return false;
#endif
	return kind == DTK_DATE && tm2timestamp(&parts, fraction, &zone, moment) == 0;
}

/*
 * Appends a moment as a JSON string.
 */
void
mt_append_moment(StringInfo object, TimestampTz moment)
{
	struct pg_tm parts;
	fsec_t		fraction;

	if (timestamp2tm(moment, NULL, &parts, &fraction, NULL, NULL) != 0 || parts.tm_year < 1 || parts.tm_year > 9999)
		appendStringInfoString(object, "null");
	else
		appendStringInfo(object, "\"%04d-%02d-%02dT%02d:%02d:%02d.%06dZ\"", parts.tm_year, parts.tm_mon, parts.tm_mday,
						 parts.tm_hour, parts.tm_min, parts.tm_sec, fraction);
}
