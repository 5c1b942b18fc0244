/*
 * blot.c
 *		Secrets made unreadable in a text that came from outside, however they are written there.
 *
 * Called by source.c. A server that tells what it was sent puts it into JSON, perhaps as JSON within JSON, or encodes it as in a URL, HTML or a log.
 * So the text is read as it is and with such encodings undone, up to three one upon the other, and whatever is a secret in any of these readings is
 * blotted out. The text is changed at the end only: a secret that is a part of another one must not hide it.
 */
#include "blot.h"

#include "mb/pg_wchar.h"

/* The JSON that we send, within two others. */
#define LEVELS_MAX	3
/* Bytes of a character reference of HTML, with its leading zeros. */
#define REFERENCE_MAX	12

/* A text with encodings undone. */
typedef struct Reading
{
	char	   *bytes;
	int			length;
	int		   *places;			/* where each byte begins in the text, and the text's end */
} Reading;

/* What is written at the start of a text, up to four bytes, and how much of the text it takes; 0: the text ends within it. */
typedef int (*Decoder) (const char *text, int length, unsigned char *bytes, int *count);

/* A number of so many hexadecimal digits, or -1. */
static int
read_hex(const char *text, int digits)
{
	int			number = 0;

	for (int i = 0; i < digits; i++)
	{
		char		c = (char) pg_ascii_tolower((unsigned char) text[i]);

		if (c >= '0' && c <= '9')
			number = number * 16 + c - '0';
		else if (c >= 'a' && c <= 'f')
			number = number * 16 + c - 'a' + 10;
		else
			return -1;
	}
	return number;
}

/* An escape of JSON, a byte as \xHH, or any other byte. */
static int
decode_json(const char *text, int length, unsigned char *bytes, int *count)
{
	static const char letters[] = "bfnrt";
	static const char controls[] = "\b\f\n\r\t";
	const char *letter;
	int			code;
	int			used = 6;

	if (text[0] != '\\')
		return 1;
	if (length < 2 || (text[1] == 'u' && length < used) || (text[1] == 'x' && length < 4))
		return 0;
	code = text[1] == 'x' ? read_hex(text + 2, 2) : -1;
	if (code >= 0)
	{
		bytes[0] = (unsigned char) code;
		return 4;
	}
	code = text[1] == 'u' ? read_hex(text + 2, 4) : -1;
	if (code < 0)
	{
		letter = memchr(letters, text[1], sizeof(letters) - 1);
		bytes[0] = (unsigned char) (letter == NULL ? text[1] : controls[letter - letters]);
		return 2;
	}
	if (is_utf16_surrogate_first((pg_wchar) code))
	{
		int			second;

		if (length < 12)
			return 0;
		second = text[6] == '\\' && text[7] == 'u' ? read_hex(text + 8, 4) : -1;
		if (second >= 0 && is_utf16_surrogate_second((pg_wchar) second))
		{
			code = (int) surrogate_pair_to_codepoint((pg_wchar) code, (pg_wchar) second);
			used = 12;
		}
	}
	unicode_to_utf8((pg_wchar) code, bytes);
	*count = pg_utf_mblen(bytes);
	return used;
}

/* A byte in the encoding of URLs, or any other one. */
static int
decode_percent(const char *text, int length, unsigned char *bytes, int *count)
{
	int			code;

	if (text[0] != '%')
		return 1;
	if (length < 3)
		return 0;
	code = read_hex(text + 1, 2);
	if (code < 0)
		return 1;
	bytes[0] = (unsigned char) code;
	return 3;
}

/* A character reference of HTML, or any other byte. */
static int
decode_reference(const char *text, int length, unsigned char *bytes, int *count)
{
	static const struct
	{
		const char *written;
		char		character;
	}			names[] = {{"&amp;", '&'}, {"&quot;", '"'}, {"&apos;", '\''}, {"&lt;", '<'}, {"&gt;", '>'}};
	const char *end;
	char	   *digits_end;
	bool		hex;
	unsigned long code;

	if (text[0] != '&')
		return 1;
	end = memchr(text, ';', Min(length, REFERENCE_MAX));
	if (end == NULL)
		return length < REFERENCE_MAX ? 0 : 1;
	for (int i = 0; i < (int) lengthof(names); i++)
		if (strncmp(text, names[i].written, strlen(names[i].written)) == 0)
		{
			bytes[0] = (unsigned char) names[i].character;
			return (int) strlen(names[i].written);
		}
	if (text[1] != '#')
		return 1;
	hex = text[2] == 'x' || text[2] == 'X';
	code = strtoul(text + (hex ? 3 : 2), &digits_end, hex ? 16 : 10);
	if (digits_end != end || code == 0 || code > 0x10ffff)
		return 1;
	unicode_to_utf8((pg_wchar) code, bytes);
	*count = pg_utf_mblen(bytes);
	return (int) (end - text) + 1;
}

/* Undoes an encoding in a reading, palloc'd; false when there was nothing to undo. */
static bool
decode(const Reading *from, Decoder decoder, Reading *to)
{
	int			at = 0;

	to->bytes = palloc(from->length + 1);
	to->places = palloc(sizeof(int) * (from->length + 1));
	to->length = 0;
	while (at < from->length)
	{
		unsigned char bytes[MAX_MULTIBYTE_CHAR_LEN] = {(unsigned char) from->bytes[at]};
		int			count = 1;
		int			used = decoder(from->bytes + at, from->length - at, bytes, &count);

		if (used == 0)
			break;
		for (int i = 0; i < count; i++)
		{
			to->places[to->length] = from->places[at];
			to->bytes[to->length++] = (char) bytes[i];
		}
		at += used;
	}
	to->places[to->length] = from->places[from->length];
	return to->length < from->length;
}

static void
forget(Reading *reading)
{
	explicit_bzero(reading->bytes, reading->length);
	pfree(reading->bytes);
	pfree(reading->places);
}

/* Marks where a secret is, or begins that the end cuts off. In a URL a blank may be a plus. */
static void
mark_secret(const Reading *reading, const char *secret, int shown, bool *marked)
{
	for (int start = 0; start < reading->length && reading->places[start] < shown; start++)
	{
		int			at = start;
		const char *c = secret;

		while (*c != '\0' && at < reading->length && (reading->bytes[at] == *c || (reading->bytes[at] == '+' && *c == ' ')))
			at++, c++;
		if (*c == '\0' || at == reading->length)
			memset(marked + reading->places[start], true, reading->places[at] - reading->places[start]);
	}
}

/* Marks the secrets in a reading, and in those that are made of it. */
static void
mark_secrets(const Reading *reading, int levels, const char *const *secrets, int count, int shown, bool *marked)
{
	static const Decoder decoders[] = {decode_json, decode_percent, decode_reference};

	for (int i = 0; i < count; i++)
		if (secrets[i] != NULL)
			mark_secret(reading, secrets[i], shown, marked);
	for (int i = 0; levels > 0 && i < (int) lengthof(decoders); i++)
	{
		Reading		decoded;

		if (decode(reading, decoders[i], &decoded))
			mark_secrets(&decoded, levels - 1, secrets, count, shown, marked);
		forget(&decoded);
	}
}

/*
 * Blots out the secrets, those that are not NULL, that begin in the first bytes of a text: so many of it will be shown. One that the text's end cuts
 * off is blotted out too.
 */
void
mt_blot(const char *const *secrets, int count, char *text, int shown)
{
	int			length = (int) strlen(text);
	Reading		reading = {text, length, palloc(sizeof(int) * (length + 1))};
	bool	   *marked = palloc0(sizeof(bool) * (length + 1));

	for (int i = 0; i <= length; i++)
		reading.places[i] = i;
	mark_secrets(&reading, LEVELS_MAX, secrets, count, shown, marked);
	for (int i = 0; i < length; i++)
		if (marked[i])
			text[i] = '*';
	pfree(reading.places);
	pfree(marked);
}
