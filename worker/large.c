/*
 * large.c
 *		The memory that large answers have in common, so that far sides that mean harm, however many, cannot make the process large.
 *
 * Called by http.c for bodies, also from a callback of libcurl, so it calls nothing; and by trail.c for records that wait for the last page of their
 * item. It only counts: who is refused ends the request, which is tried again later.
 *
 * An owner is the connections of one tenant, or all trails. One large answer may be as large as any, but several of one owner get a share only, and an
 * owner who is modest has a reserve: so one that takes what it can get keeps the ordinary answers of others from nothing.
 */
#include "large.h"

/* Room for the largest body that is accepted, when there is nothing else. */
#define LARGE_MAX	((Size) 32 * 1024 * 1024)
/* What several of one owner may have together. */
#define SHARE_MAX	(LARGE_MAX / 4)
/* Beyond the rest, for those who are modest. */
#define RESERVE		((Size) 4 * 1024 * 1024)

static Size taken = 0;

/*
 * Changes what one thing of an owner has from one number of bytes to another; *owner is what all of his have. False when there is no room for that;
 * then nothing has changed.
 */
bool
mt_large_take(Size *owner, Size had, Size wants)
{
	Size		others = *owner - had;
	Size		limit = others + wants <= MT_LARGE_MODEST ? LARGE_MAX + RESERVE : LARGE_MAX;

	if (wants > had && (taken - had + wants > limit || (others > 0 && others + wants > SHARE_MAX)))
		return false;
	mt_large_note(owner, had, wants);
	return true;
}

/*
 * The same for what is there already.
 */
void
mt_large_note(Size *owner, Size had, Size has)
{
	*owner = *owner - had + has;
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
