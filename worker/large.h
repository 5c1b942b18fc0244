/*
 * large.h
 *		The memory that large answers have in common: see large.c.
 */
#ifndef MT_LARGE_H
#define MT_LARGE_H

#include "postgres.h"

extern bool mt_large_take(Size had, Size wants);
extern void mt_large_note(Size had, Size has);
extern bool mt_large_crowded(void);

#endif							/* MT_LARGE_H */
