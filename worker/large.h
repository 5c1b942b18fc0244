/*
 * large.h
 *		The memory that large answers have in common: see large.c.
 */
#ifndef MT_LARGE_H
#define MT_LARGE_H

#include "postgres.h"

/* Who has no more than this of it is served even when others have taken all there is. */
#define MT_LARGE_MODEST ((Size) 1024 * 1024)

extern bool mt_large_take(Size *owner, Size had, Size wants);
extern void mt_large_note(Size *owner, Size had, Size has);
extern bool mt_large_crowded(void);

#endif							/* MT_LARGE_H */
