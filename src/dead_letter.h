/*
 * dead_letter.h
 *		What could not be processed: see dead_letter.c.
 */
#ifndef MT_DEAD_LETTER_H
#define MT_DEAD_LETTER_H

#include "field.h"

/* Most letters of one tenant. */
#define MT_LETTERS_MAX	10000

extern bool mt_keep_dead_letter(const char *tenant, const char *source, const char *resource, const MtFault *fault, const char *bytes, int length);
extern void mt_refuse_dead_letter(const char *tenant) pg_attribute_noreturn();

#endif							/* MT_DEAD_LETTER_H */
