/*
 * buffer.h
 *		A growing piece of text, and the writing of JSON strings into it.
 *
 * Used by everything that makes an answer. Running out of memory ends the
 * program: a stand-in has nothing better to do.
 */
#ifndef SANDBOX_BUFFER_H
#define SANDBOX_BUFFER_H

#include <stddef.h>
#include <stdint.h>

typedef struct Buffer
{
	char	   *data;			/* not terminated; NULL while empty */
	size_t		length;
	size_t		capacity;
} Buffer;

/* Allocates zeroed memory or ends the program. */
extern void *mt_allocate(size_t count, size_t size);

/* Makes room for at least that many further bytes. */
extern void mt_buffer_reserve(Buffer *buffer, size_t extra);

/* Appends bytes, a terminated text, a formatted text, a number. */
extern void mt_buffer_bytes(Buffer *buffer, const char *bytes, size_t length);
extern void mt_buffer_text(Buffer *buffer, const char *text);
extern void mt_buffer_format(Buffer *buffer, const char *format,...)
			__attribute__((format(printf, 2, 3)));
extern void mt_buffer_number(Buffer *buffer, uint64_t number);

/* Appends a text as a quoted JSON string. */
extern void mt_buffer_json(Buffer *buffer, const char *text);

/* Gives the memory back; the buffer is empty and usable again. */
extern void mt_buffer_free(Buffer *buffer);

#endif							/* SANDBOX_BUFFER_H */
