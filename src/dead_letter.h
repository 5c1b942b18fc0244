/*
 * dead_letter.h
 *		What could not be processed: see dead_letter.c.
 */
#ifndef MT_DEAD_LETTER_H
#define MT_DEAD_LETTER_H

#include "field.h"

extern void mt_keep_dead_letter(const char *tenant, const char *source, const char *resource, const MtFault *fault, const char *bytes, int length);

#endif							/* MT_DEAD_LETTER_H */
