/*
 * fault_answer.c
 *		What a client gets that meets a fault.
 *
 * Called by the HTTP front for requests that drew one. Faults that concern a
 * contract's own matters, such as continuations, are made by the contract.
 */
#include "fault_answer.h"

#include <ctype.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <zlib.h>

#define DEPTH			100000
#define MANY_BYTES		(8 * 1024 * 1024)
#define BOMB_CHUNK		(1024 * 1024)
#define BOMB_CHUNKS		1024		/* a gibibyte in all */
#define PADDED_SIZE		(600 * 1024)
#define AHEAD_SIZE		(3500 * 1024)

#define GZIP_WINDOW		(MAX_WBITS + 16)	/* zlib's way to say gzip */

static pthread_once_t bomb_made = PTHREAD_ONCE_INIT;
static Buffer bomb;
static pthread_once_t many_made = PTHREAD_ONCE_INIT;
static Buffer many_elements;
static Buffer many_members;

/* A server's fault, in one of the shapes such answers have. */
static void
make_error500(Reply *reply, uint64_t flavour)
{
	switch (flavour % 3)
	{
		case 0:
			mt_reply_error(reply, MHD_HTTP_INTERNAL_SERVER_ERROR, "INTERNAL", "something went wrong");
			break;
		case 1:
			reply->status = MHD_HTTP_BAD_GATEWAY;
			reply->content_type = "text/html";
			mt_buffer_text(&reply->body, "<html><body><h1>502 Bad Gateway</h1></body></html>");
			break;
		default:
			reply->status = MHD_HTTP_SERVICE_UNAVAILABLE;
			reply->content_type = "text/plain";
			mt_buffer_text(&reply->body, "upstream connect error");
			break;
	}
}

/* Writes a moment as HTTP has it. */
static void
put_http_date(char *text, size_t size, time_t moment)
{
	struct tm	parts;

	gmtime_r(&moment, &parts);
	strftime(text, size, "%a, %d %b %Y %H:%M:%S GMT", &parts);
}

/* A 429 that no limit asked for; odd ones come with a Retry-After that is hard to read. */
static void
make_false429(Reply *reply, bool odd, uint64_t flavour)
{
	static const char *const texts[] = {
		"soon", "-5", "864000", "315360000", "99999999999999999999", "1.5", "0", " ", "2; please"
	};
	uint64_t	kind = flavour % 12;

	mt_reply_error(reply, MHD_HTTP_TOO_MANY_REQUESTS, "RATE_LIMITED", "too many");
	if (!odd)
	{
		if (flavour % 2 == 0)
			strcpy(reply->retry_after, "1");
	}
	else if (kind == 11)
	{
		reply->retry_after_is_ms = true;
		strcpy(reply->retry_after, "1500");
	}
	else if (kind < 2)
		/* Soon, or long ago. */
		put_http_date(reply->retry_after, sizeof(reply->retry_after), kind == 0 ? time(NULL) + 2 : 784111777);
	else
		snprintf(reply->retry_after, sizeof(reply->retry_after), "%s", texts[kind - 2]);
}

/* To where nobody may go, or to itself without end. */
static void
make_redirection(Call *call)
{
	static const unsigned statuses[] = {301, 302, 303, 307, 308};
	Reply	   *reply = &call->reply;

	reply->status = statuses[call->flavour % 5];
	mt_host_url(&reply->location, call->flavour / 5 % 2 == 0 ? HOST_ELSEWHERE : call->host);
	mt_buffer_bytes(&reply->location, call->raw_url, strlen(call->raw_url) + 1);
}

static void
make_deep(Buffer *body)
{
	size_t		start;

	mt_buffer_text(body, "{\"users\":");
	start = body->length;
	mt_buffer_reserve(body, 2 * DEPTH);
	memset(body->data + start, '[', DEPTH);
	memset(body->data + start + DEPTH, ']', DEPTH);
	body->length += 2 * DEPTH;
	mt_buffer_bytes(body, "}", 1);
}

/* Millions of elements, in an array that does not end, and nearly a million members whose names are escaped. */
static void
make_many(void)
{
	mt_buffer_text(&many_elements, "{\"users\":[0");
	while (many_elements.length < MANY_BYTES)
		mt_buffer_text(&many_elements, ",0");
	mt_buffer_text(&many_elements, "}");
	mt_buffer_text(&many_members, "{\"users\":[]");
	while (many_members.length < MANY_BYTES)
		mt_buffer_text(&many_members, ",\"\\u0061\":0");
	mt_buffer_text(&many_members, "}");
}

static void
begin_gzip(z_stream *stream, int level)
{
	*stream = (z_stream) {0};
	if (deflateInit2(stream, level, Z_DEFLATED, GZIP_WINDOW, 8, Z_DEFAULT_STRATEGY) == Z_OK)
		return;
	fputs("mindtickle-sandbox: out of memory\n", stderr);
	_Exit(1);
}

/* Appends what compressing the bytes gives. */
static void
put_gzip(z_stream *stream, Buffer *result, const char *bytes, size_t length, int flush)
{
	stream->next_in = (Bytef *) bytes;
	stream->avail_in = (uInt) length;
	do
	{
		mt_buffer_reserve(result, 65536);
		stream->next_out = (Bytef *) result->data + result->length;
		stream->avail_out = 65536;
		deflate(stream, flush);
		result->length += 65536 - stream->avail_out;
	} while (stream->avail_out == 0);
}

/*
 * Makes a gzip stream of about a megabyte that unpacks to a gibibyte of JSON.
 * A chunk between two full flushes refers to nothing before it, so that it is
 * compressed once and repeated.
 */
static void
make_bomb(void)
{
	char	   *blanks = mt_allocate(BOMB_CHUNK, 1);
	z_stream	stream;
	size_t		start;
	size_t		length;
	int			i;

	memset(blanks, ' ', BOMB_CHUNK);
	begin_gzip(&stream, 9);
	put_gzip(&stream, &bomb, "{\"users\":[", 10, Z_FULL_FLUSH);
	start = bomb.length;
	put_gzip(&stream, &bomb, blanks, BOMB_CHUNK, Z_FULL_FLUSH);
	length = bomb.length - start;
	for (i = 1; i < BOMB_CHUNKS; i++)
	{
		mt_buffer_reserve(&bomb, length);
		memcpy(bomb.data + bomb.length, bomb.data + start, length);
		bomb.length += length;
	}
	/* The checksum is that of one chunk: nobody must get so far. */
	put_gzip(&stream, &bomb, "],\"done\":true}", 14, Z_FINISH);
	deflateEnd(&stream);
	free(blanks);
}

/* How a text is put into a JSON string. */
typedef enum Escaping
{
	ESCAPE_QUOTES,				/* only what must be */
	ESCAPE_SLASHES,
	ESCAPE_BY_NUMBER,			/* what is neither a letter nor a digit */
	ESCAPE_ALL_BY_NUMBER,		/* and what is not ASCII */
	ESCAPE_TWICE,				/* the same, as JSON within JSON */
	ESCAPE_AS_URL,
	ESCAPE_AS_HTML,
	ESCAPE_BYTES,				/* what is neither a letter nor a digit, as \xHH */
	ESCAPINGS
} Escaping;

/* The number of a character of more than one byte; the text is left at its last byte. */
static unsigned
take_number(const char **text)
{
	const unsigned char *bytes = (const unsigned char *) *text;

	if (bytes[0] < 0xe0)
	{
		*text += 1;
		return (bytes[0] & 0x1fU) << 6 | (bytes[1] & 0x3fU);
	}
	if (bytes[0] < 0xf0)
	{
		*text += 2;
		return (bytes[0] & 0xfU) << 12 | (bytes[1] & 0x3fU) << 6 | (bytes[2] & 0x3fU);
	}
	*text += 3;
	return (bytes[0] & 7U) << 18 | (bytes[1] & 0x3fU) << 12 | (bytes[2] & 0x3fU) << 6 | (bytes[3] & 0x3fU);
}

/* Appends a character by its number, above 65,535 by two. */
static void
put_number(Buffer *body, unsigned code)
{
	if (code < 0x10000)
		mt_buffer_format(body, "\\u%04x", code);
	else
		mt_buffer_format(body, "\\u%04x\\u%04x", 0xd800U | (code - 0x10000) >> 10, 0xdc00U | (code & 0x3ffU));
}

/* Appends a character that is neither a letter nor a digit as HTML has it; the text is left at its last byte. */
static void
put_reference(Buffer *body, const char **text)
{
	static const char named[] = "\"&<>";
	static const char *const names[] = {"quot", "amp", "lt", "gt"};
	const char *found = strchr(named, **text);

	if (found != NULL)
		mt_buffer_format(body, "&%s;", names[found - named]);
	else if ((unsigned char) **text < 0x80)
		mt_buffer_format(body, "&#%u;", (unsigned) **text);
	else
		mt_buffer_format(body, "&#x%x;", take_number(text));
}

/* Appends UTF-8 as the inside of a JSON string. */
static void
put_escaped(Buffer *body, const char *text, Escaping how)
{
	Buffer		once = {0};

	if (how == ESCAPE_TWICE)
	{
		put_escaped(&once, text, ESCAPE_ALL_BY_NUMBER);
		mt_buffer_bytes(&once, "", 1);
		put_escaped(body, once.data, ESCAPE_QUOTES);
		mt_buffer_free(&once);
		return;
	}
	for (; *text != '\0'; text++)
	{
		bool		ascii = (unsigned char) *text < 0x80;
		bool		plain = ascii && isalnum((unsigned char) *text);

		if (how == ESCAPE_AS_URL && *text == ' ')
			mt_buffer_text(body, "+");
		else if (how == ESCAPE_AS_URL && !plain)
			mt_buffer_format(body, "%%%02X", (unsigned) (unsigned char) *text);
		else if (how == ESCAPE_AS_HTML && !plain)
			put_reference(body, &text);
		else if (how == ESCAPE_BYTES && !plain)
			mt_buffer_format(body, "\\x%02x", (unsigned) (unsigned char) *text);
		else if (how == ESCAPE_ALL_BY_NUMBER && !ascii)
			put_number(body, take_number(&text));
		else if ((how == ESCAPE_BY_NUMBER || how == ESCAPE_ALL_BY_NUMBER) && ascii && !plain)
			mt_buffer_format(body, "\\u%04x", (unsigned) *text);
		else if (*text == '"' || *text == '\\' || (how == ESCAPE_SLASHES && *text == '/'))
			mt_buffer_format(body, "\\%c", *text);
		else
			mt_buffer_bytes(body, text, 1);
	}
}

/* The error of a server in between, which tells what it was sent. */
static void
make_echo(Call *call)
{
	Buffer	   *body = &call->reply.body;
	Escaping	how = (Escaping) (call->flavour % ESCAPINGS);
	const char *authorization = mt_call_header(call, "Authorization");

	call->reply.status = MHD_HTTP_BAD_GATEWAY;
	mt_buffer_text(body, "{\"error\":\"Bad Gateway\",\"authorization\":\"");
	if (authorization != NULL)
		put_escaped(body, authorization, how);
	mt_buffer_text(body, "\",\"body\":\"");
	mt_buffer_bytes(&call->upload, "", 1);
	put_escaped(body, call->upload.data, how);
	mt_buffer_text(body, "\"}");
}

bool
mt_fault_answer(Call *call)
{
	Reply	   *reply = &call->reply;

	switch (call->fault)
	{
		case FAULT_ERROR500:
			make_error500(reply, call->flavour);
			return true;
		case FAULT_ERROR503:
			mt_reply_error(reply, MHD_HTTP_SERVICE_UNAVAILABLE, "UNAVAILABLE", "down for maintenance");
			return true;
		case FAULT_PAUSE503:
			mt_reply_error(reply, MHD_HTTP_SERVICE_UNAVAILABLE, "UNAVAILABLE", "down for maintenance");
			strcpy(reply->retry_after, "600");
			return true;
		case FAULT_HTML200:
			reply->content_type = call->flavour % 2 == 0 ? "text/html" : "application/json";
			mt_buffer_text(&reply->body, "<!DOCTYPE html>\n<html><body>Please sign in to the proxy.</body></html>\n");
			return true;
		case FAULT_EMPTY200:
			return true;
		case FAULT_WRONG429:
		case FAULT_ODD429:
			make_false429(reply, call->fault == FAULT_ODD429, call->flavour);
			return true;
		case FAULT_RESET:
			reply->delivery = call->flavour % 2 == 0 ? DELIVER_RESET : DELIVER_HALF_RESET;
			return reply->delivery == DELIVER_RESET;
		case FAULT_HTML400:
			reply->status = MHD_HTTP_BAD_REQUEST;
			reply->content_type = "text/html";
			mt_buffer_text(&reply->body, "<html><body><h1>Bad Request</h1></body></html>");
			return true;
		case FAULT_ERROR403:
			mt_reply_error(reply, MHD_HTTP_FORBIDDEN, "FORBIDDEN", "no permission");
			return true;
		case FAULT_ERROR404:
			mt_reply_error(reply, MHD_HTTP_NOT_FOUND, "NOT_FOUND", "no such object");
			return true;
		case FAULT_REDIRECT:
			make_redirection(call);
			return true;
		case FAULT_DEEP:
			make_deep(&reply->body);
			return true;
		case FAULT_HUGE:
			mt_buffer_text(&reply->body, "{\"users\":[");
			reply->delivery = DELIVER_HUGE;
			return true;
		case FAULT_BOMB:
			pthread_once(&bomb_made, make_bomb);
			reply->body = bomb;
			reply->body_is_lent = true;
			reply->encoding = "gzip";
			return true;
		case FAULT_MANY:
			pthread_once(&many_made, make_many);
			reply->body = call->flavour % 2 == 0 ? many_elements : many_members;
			reply->body_is_lent = true;
			return true;
		case FAULT_ECHO:
			make_echo(call);
			return true;
		case FAULT_TRUNCATED:
		case FAULT_SLOW:
		case FAULT_GARBAGE:
		case FAULT_ENCODING:
		case FAULT_GZIP:
		case FAULT_DRIP:
		case FAULT_HANG:
		case FAULT_PADDED:
		case FAULT_ERROR504:
		case FAULT_REVOKED:
		case FAULT_LOOP:
		case FAULT_ENDLESS:
		case FAULT_STRANGERS:
		case FAULT_AHEAD:
		case FAULT_WIDE:
		case FAULT_HOLLOW:
		case FAULT_SKIP:
		case FAULT_NO_ID:
		case FAULT_NONE:
			break;
	}
	return false;
}

/* Makes UTF-16 of the body: every byte of an answer in ASCII, and nonsense of the others. */
static void
make_utf16(Buffer *body)
{
	Buffer		wide = {0};
	size_t		i;

	mt_buffer_bytes(&wide, "\xff\xfe", 2);
	for (i = 0; i < body->length; i++)
	{
		mt_buffer_bytes(&wide, body->data + i, 1);
		mt_buffer_bytes(&wide, "", 1);
	}
	mt_buffer_free(body);
	*body = wide;
}

/* Puts a text before the body, and another behind it. */
static void
wrap(Buffer *body, const char *before, const char *after)
{
	size_t		length = strlen(before);

	mt_buffer_reserve(body, length);
	if (body->length > 0)
		memmove(body->data + length, body->data, body->length);
	memcpy(body->data, before, length);
	body->length += length;
	mt_buffer_text(body, after);
}

/* Puts blanks behind the body. */
static void
pad(Buffer *body, size_t length)
{
	mt_buffer_reserve(body, length);
	memset(body->data + body->length, ' ', length);
	body->length += length;
}

/*
 * Makes a page of a listing that is never whole, though what is asked for ahead
 * of its turn is there, and large: see the README.
 */
static void
make_ahead(Reply *reply, uint64_t flavour)
{
	if (flavour == 1)
	{
		reply->body.length = 0;
		make_error500(reply, 0);
	}
	else if (flavour > 1)
		pad(&reply->body, AHEAD_SIZE);
}

/* Makes the answer one that no JSON parser that is worth its name accepts as an object. */
static void
make_garbage(Reply *reply, uint64_t flavour)
{
	Buffer	   *body = &reply->body;
	bool		is_json = strncmp(reply->content_type, "application/json", 16) == 0;

	/* Of a text without brackets only the first three kinds can be told from a true one. */
	switch (is_json ? flavour % 8 : flavour % 3)
	{
		case 0:
			wrap(body, "\xff\xc0\x80", "");
			break;
		case 1:
			if (body->length > 0)
				body->data[0] = '\0';
			break;
		case 2:
			make_utf16(body);
			break;
		case 3:
			wrap(body, "", "}garbage");
			break;
		case 4:
			wrap(body, "[", "]");
			break;
		case 5:
			body->length = 0;
			mt_buffer_text(body, flavour / 8 % 2 == 0 ? "null" : "NaN");
			break;
		case 6:
			wrap(body, "", "{}");
			break;
		default:
			wrap(body, "{\"\xc3(\":1,", "");
			break;
	}
}

/* Compresses the answer, whether the client asked for that or not. */
static void
compress_answer(Reply *reply)
{
	Buffer		result = {0};
	z_stream	stream;

	begin_gzip(&stream, 1);
	put_gzip(&stream, &result, reply->body.data, reply->body.length, Z_FINISH);
	deflateEnd(&stream);
	mt_buffer_free(&reply->body);
	reply->body = result;
	reply->encoding = "gzip";
}

void
mt_fault_spoil(Call *call)
{
	Reply	   *reply = &call->reply;
	bool		is_json = strncmp(reply->content_type, "application/json", 16) == 0;

	switch (call->fault)
	{
		case FAULT_TRUNCATED:
			/* Nobody could see that lines are missing, unless their length was announced. */
			if (is_json && call->flavour % 2 == 0)
				reply->body.length /= 2;
			else
				reply->delivery = DELIVER_SHORT;
			break;
		case FAULT_GARBAGE:
			make_garbage(reply, call->flavour);
			break;
		case FAULT_ENCODING:
			/* A name that nobody knows, or what is no gzip at all. */
			reply->encoding = call->flavour % 2 == 0 ? "x-secret" : "gzip";
			break;
		case FAULT_GZIP:
			compress_answer(reply);
			break;
		case FAULT_DRIP:
			reply->delivery = DELIVER_DRIPPING;
			break;
		case FAULT_PADDED:
			if (is_json)
				pad(&reply->body, PADDED_SIZE);
			break;
		case FAULT_AHEAD:
			make_ahead(reply, call->flavour);
			break;
		case FAULT_ERROR504:
			mt_reply_error(reply, MHD_HTTP_GATEWAY_TIMEOUT, "TIMEOUT", "no answer in time");
			break;
		default:
			break;
	}
}
