/*
 * moment.c
 *		Points in time, as MindTickle writes them and as our tables hold them.
 *
 * Called by the contract for answers and for the filters "since" and
 * "updated_since", and by the truth. It never looks at a clock.
 */
#include "moment.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

Moment
mt_moment_make(int64_t seconds, uint64_t random)
{
	Moment		moment;
	uint64_t	fraction = (random >> 16) % 1000000;

	moment.micros = seconds * MICROSECONDS;
	switch (random % 16)
	{
		case 0:
		case 1:
			moment.form = MOMENT_MILLISECONDS;
			moment.micros += (int64_t) (fraction / 1000 * 1000);
			break;
		case 2:
			moment.form = MOMENT_MICROSECONDS;
			moment.micros += (int64_t) fraction;
			break;
		case 3:
			moment.form = MOMENT_EAST;
			break;
		case 4:
			moment.form = MOMENT_WEST;
			break;
		default:
			moment.form = MOMENT_SECONDS;
			break;
	}
	return moment;
}

/* Writes number with that many digits, leading zeros included. */
static char *
put_digits(char *at, int64_t number, int digits)
{
	int			i;

	for (i = digits - 1; i >= 0; i--)
	{
		at[i] = (char) ('0' + number % 10);
		number /= 10;
	}
	return at + digits;
}

/*
 * Writes date and time of day with that separator between them. Spelled out
 * because strftime would be most of the cost of a page of progress.
 */
static char *
put_date_time(char *at, int64_t seconds, char separator)
{
	int64_t		days = seconds / 86400;
	int64_t		rest = seconds % 86400;
	int64_t		era_day = days + 719468;
	int64_t		era = era_day / 146097;
	int64_t		day_of_era = era_day - era * 146097;
	int64_t		year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
	int64_t		day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
	int64_t		shifted = (5 * day_of_year + 2) / 153;
	int64_t		month = shifted < 10 ? shifted + 3 : shifted - 9;

	at = put_digits(at, year_of_era + era * 400 + (month <= 2), 4);
	*at++ = '-';
	at = put_digits(at, month, 2);
	*at++ = '-';
	at = put_digits(at, day_of_year - (153 * shifted + 2) / 5 + 1, 2);
	*at++ = separator;
	at = put_digits(at, rest / 3600, 2);
	*at++ = ':';
	at = put_digits(at, rest / 60 % 60, 2);
	*at++ = ':';
	return put_digits(at, rest % 60, 2);
}

void
mt_moment_upstream(Buffer *buffer, Moment moment)
{
	char		text[48];
	char	   *at = text;
	int64_t		seconds = moment.micros / MICROSECONDS;
	int64_t		fraction = moment.micros % MICROSECONDS;
	const char *zone = "Z\"";

	if (moment.form == MOMENT_EAST)
	{
		seconds += 19800;
		zone = "+05:30\"";
	}
	else if (moment.form == MOMENT_WEST)
	{
		seconds -= 28800;
		zone = "-08:00\"";
	}
	*at++ = '"';
	at = put_date_time(at, seconds, 'T');
	if (moment.form == MOMENT_MILLISECONDS)
	{
		*at++ = '.';
		at = put_digits(at, fraction / 1000, 3);
	}
	else if (moment.form == MOMENT_MICROSECONDS)
	{
		*at++ = '.';
		at = put_digits(at, fraction, 6);
	}
	mt_buffer_bytes(buffer, text, (size_t) (at - text));
	mt_buffer_text(buffer, zone);
}

void
mt_moment_canonical(Buffer *buffer, int64_t micros)
{
	char		text[48];
	char	   *at = put_date_time(text, micros / MICROSECONDS, ' ');

	*at++ = '.';
	at = put_digits(at, micros % MICROSECONDS, 6);
	memcpy(at, "+00", 3);
	mt_buffer_bytes(buffer, text, (size_t) (at + 3 - text));
}

/* Reads the zone after the time; a plain "+" arrives as a blank in a query. */
static bool
parse_zone(const char *text, int64_t *offset)
{
	int			hours;
	int			minutes;
	int			used = 0;

	*offset = 0;
	if (*text == '\0' || strcmp(text, "Z") == 0 || strcmp(text, "z") == 0)
		return true;
	if (*text != '+' && *text != '-' && *text != ' ')
		return false;
	if (sscanf(text + 1, "%2d:%2d%n", &hours, &minutes, &used) != 2 || text[1 + used] != '\0')
		return false;
	if (hours < 0 || hours > 15 || minutes < 0 || minutes > 59)
		return false;
	*offset = (hours * 3600 + minutes * 60) * (*text == '-' ? -1 : 1);
	return true;
}

bool
mt_moment_parse(const char *text, int64_t *micros)
{
	struct tm	parts = {0};
	struct tm	wanted;
	int			used = 0;
	int64_t		fraction = 0;
	int64_t		offset;
	int64_t		unit = MICROSECONDS;
	time_t		seconds;

	if (sscanf(text, "%4d-%2d-%2d%n", &parts.tm_year, &parts.tm_mon, &parts.tm_mday, &used) != 3)
		return false;
	text += used;
	if (*text == 'T' || *text == 't')
	{
		used = 0;
		if (sscanf(text + 1, "%2d:%2d:%2d%n", &parts.tm_hour, &parts.tm_min, &parts.tm_sec, &used) != 3)
			return false;
		text += 1 + used;
	}
	if (*text == '.')
	{
		for (text++; *text >= '0' && *text <= '9'; text++)
		{
			unit /= 10;
			fraction += unit * (*text - '0');
		}
	}
	if (!parse_zone(text, &offset))
		return false;
	parts.tm_year -= 1900;
	parts.tm_mon -= 1;
	wanted = parts;
	seconds = timegm(&parts);
	/* timegm turns 30 February into March: such a date is none. */
	if (wanted.tm_year < 0 || wanted.tm_mon != parts.tm_mon || wanted.tm_mday != parts.tm_mday ||
		wanted.tm_hour != parts.tm_hour || wanted.tm_min != parts.tm_min)
		return false;
	*micros = ((int64_t) seconds - offset) * MICROSECONDS + fraction;
	return true;
}
