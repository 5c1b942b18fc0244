/*
 * large.c
 *		The memory that large answers have in common, so that far sides that mean harm, however many, cannot make the process large.
 *
 * Called by http.c for bodies, also from a callback of libcurl, so it calls nothing; and by trail.c for records that wait for the last page of their
 * item. It only counts: who is refused ends the request, which is tried again later.
 */
#include "large.h"

/* Room for the largest body that is accepted, when there is nothing else. */
#define LARGE_MAX	((Size) 32 * 1024 * 1024)

static Size taken = 0;

/*
 * Changes what somebody has from one number of bytes to another. False when there is no room for that; then nothing has changed.
 */
bool
mt_large_take(Size had, Size wants)
{
	if (wants > had && taken - had + wants > LARGE_MAX)
		return false;
	taken = taken - had + wants;
	return true;
}

/*
 * The same for what is there already.
 */
void
mt_large_note(Size had, Size has)
{
	taken = taken - had + has;
}

/*
 * Is all of it taken?
 */
bool
mt_large_crowded(void)
{
	return taken >= LARGE_MAX;
}
