/*
 * buffer.c
 *		A growing piece of text, and the writing of JSON strings into it.
 *
 * Called by every file that writes an answer. It never checks that what is
 * written is valid UTF-8: the bad records rely on that.
 */
#include "buffer.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void *
mt_allocate(size_t count, size_t size)
{
	void	   *memory = calloc(count, size);

	if (memory == NULL)
	{
		fputs("mindtickle-sandbox: out of memory\n", stderr);
		exit(1);
	}
	return memory;
}

void
mt_buffer_reserve(Buffer *buffer, size_t extra)
{
	size_t		capacity = buffer->capacity;
	char	   *data;

	if (capacity - buffer->length >= extra)
		return;
	if (capacity == 0)
		capacity = 512;
	while (capacity - buffer->length < extra)
		capacity *= 2;
	data = realloc(buffer->data, capacity);
	if (data == NULL)
	{
		fputs("mindtickle-sandbox: out of memory\n", stderr);
		exit(1);
	}
	buffer->data = data;
	buffer->capacity = capacity;
}

void
mt_buffer_bytes(Buffer *buffer, const char *bytes, size_t length)
{
	if (length == 0)
		return;
	mt_buffer_reserve(buffer, length);
	memcpy(buffer->data + buffer->length, bytes, length);
	buffer->length += length;
}

void
mt_buffer_text(Buffer *buffer, const char *text)
{
	mt_buffer_bytes(buffer, text, strlen(text));
}

void
mt_buffer_format(Buffer *buffer, const char *format,...)
{
	va_list		arguments;
	int			length;

	mt_buffer_reserve(buffer, 128);
	for (;;)
	{
		size_t		room = buffer->capacity - buffer->length;

		va_start(arguments, format);
		length = vsnprintf(buffer->data + buffer->length, room, format, arguments);
		va_end(arguments);
		if (length < 0)
			return;
		if ((size_t) length < room)
			break;
		mt_buffer_reserve(buffer, (size_t) length + 1);
	}
	buffer->length += (size_t) length;
}

void
mt_buffer_number(Buffer *buffer, uint64_t number)
{
	char		digits[20];
	int			at = (int) sizeof(digits);

	do
	{
		digits[--at] = (char) ('0' + number % 10);
		number /= 10;
	} while (number > 0);
	mt_buffer_bytes(buffer, digits + at, sizeof(digits) - (size_t) at);
}

void
mt_buffer_json(Buffer *buffer, const char *text)
{
	const char *from = text;
	const char *at;

	mt_buffer_bytes(buffer, "\"", 1);
	for (at = text; *at != '\0'; at++)
	{
		unsigned char c = (unsigned char) *at;

		if (c >= 0x20 && c != '"' && c != '\\')
			continue;
		mt_buffer_bytes(buffer, from, (size_t) (at - from));
		if (c < 0x20)
			mt_buffer_format(buffer, "\\u%04x", c);
		else
		{
			mt_buffer_bytes(buffer, "\\", 1);
			mt_buffer_bytes(buffer, at, 1);
		}
		from = at + 1;
	}
	mt_buffer_bytes(buffer, from, (size_t) (at - from));
	mt_buffer_bytes(buffer, "\"", 1);
}

void
mt_buffer_free(Buffer *buffer)
{
	free(buffer->data);
	buffer->data = NULL;
	buffer->length = 0;
	buffer->capacity = 0;
}
