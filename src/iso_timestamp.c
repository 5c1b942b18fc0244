/*
 * iso_timestamp.c
 *		Reads a moment in the profile of ISO 8601 that RFC 3339 section 5.6 defines.
 *
 * timestamptz_in would not do: its reading depends on the caller's DateStyle and TimeZone, it takes words such as "tomorrow", and it raises
 * where a pull must go on. Two liberties are taken: a date alone is its midnight, and a missing offset is UTC.
 */
#include "field.h"

#include "datatype/timestamp.h"
#include "utils/datetime.h"

/* Reads exactly count digits at *at and moves on; false where there are fewer. */
static bool
read_digits(const char **at, const char *end, int count, int *number)
{
	*number = 0;
	for (int i = 0; i < count; i++)
	{
		if (*at >= end || **at < '0' || **at > '9')
			return false;
		*number = *number * 10 + (*(*at)++ - '0');
	}
	return true;
}

static bool
read_character(const char **at, const char *end, const char *choices)
{
	if (*at >= end || **at == '\0' || strchr(choices, **at) == NULL)
		return false;
	(*at)++;
	return true;
}

/* Reads the fraction of a second, rounded to microseconds; there must be a digit. */
static bool
read_fraction(const char **at, const char *end, int64 *microseconds)
{
	int64		unit = USECS_PER_SEC / 10;
	bool		round_up = false;
	int			digits = 0;

	for (; *at < end && **at >= '0' && **at <= '9'; (*at)++, digits++)
	{
		if (digits < 6)
		{
			*microseconds += (**at - '0') * unit;
			unit /= 10;
		}
		else if (digits == 6)
			round_up = **at >= '5';
	}
	if (round_up)
		(*microseconds)++;
	return digits > 0;
}

/* Reads "Z" or an offset from UTC, in seconds. */
static bool
read_offset(const char **at, const char *end, int *offset)
{
	int			hours;
	int			minutes;
	bool		west;

	*offset = 0;
	if (*at == end || read_character(at, end, "Zz"))
		return true;
	west = (**at == '-');
	if (!read_character(at, end, "+-") || !read_digits(at, end, 2, &hours))
		return false;
	(void) read_character(at, end, ":");
	if (!read_digits(at, end, 2, &minutes) || hours > 23 || minutes > 59)
		return false;
	*offset = (hours * 60 + minutes) * SECS_PER_MINUTE * (west ? -1 : 1);
	return true;
}

static int
days_in_month(int year, int month)
{
	return day_tab[isleap(year)][month - 1];
}

/*
 * Reads the whole string. False where it is no moment; years are 0001 to 9999.
 */
bool
mt_parse_iso_timestamp(const char *string, int length, TimestampTz *timestamp)
{
	const char *at = string;
	const char *end = string + length;
	int			year,
				month,
				day;
	int			hour = 0,
				minute = 0,
				second = 0,
				offset = 0;
	int64		microseconds = 0;

	if (!read_digits(&at, end, 4, &year) || !read_character(&at, end, "-") ||
		!read_digits(&at, end, 2, &month) || !read_character(&at, end, "-") ||
		!read_digits(&at, end, 2, &day))
		return false;
	if (year < 1 || month < 1 || month > MONTHS_PER_YEAR || day < 1 || day > days_in_month(year, month))
		return false;

	if (at < end)
	{
		if (!read_character(&at, end, "Tt ") || !read_digits(&at, end, 2, &hour) ||
			!read_character(&at, end, ":") || !read_digits(&at, end, 2, &minute))
			return false;
		if (read_character(&at, end, ":") && !read_digits(&at, end, 2, &second))
			return false;
		if (read_character(&at, end, ".,") && !read_fraction(&at, end, &microseconds))
			return false;
		/* 60 is a leap second, which timestamptz counts as the next minute's first. */
		if (hour > 23 || minute > 59 || second > 60 || !read_offset(&at, end, &offset))
			return false;
	}
	if (at != end)
		return false;

	*timestamp = (int64) (date2j(year, month, day) - POSTGRES_EPOCH_JDATE) * USECS_PER_DAY +
		(int64) (hour * SECS_PER_HOUR + minute * SECS_PER_MINUTE + second - offset) * USECS_PER_SEC + microseconds;
	return true;
}
