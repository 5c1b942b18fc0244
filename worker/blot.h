/*
 * blot.h
 *		Secrets made unreadable in a text: see blot.c.
 */
#ifndef MT_BLOT_H
#define MT_BLOT_H

#include "postgres.h"

/* Most bytes of a text that stand for one byte of a secret. */
#define MT_BLOT_BYTES	12

extern void mt_blot(const char *const *secrets, int count, char *text, int shown);

#endif							/* MT_BLOT_H */
