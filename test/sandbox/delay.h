/*
 * delay.h
 *		Connections that sleep for a while, without holding up a thread.
 */
#ifndef SANDBOX_DELAY_H
#define SANDBOX_DELAY_H

#include <microhttpd.h>
#include <stdbool.h>
#include <stdint.h>

/* Lies in what is delayed; it needs no allocation of its own. */
typedef struct Delay
{
	struct MHD_Connection *connection;
	int64_t		due;			/* monotonic nanoseconds */
	bool		is_over;		/* it has slept; for the owner to clear */
	struct Delay *next;
} Delay;

/* Starts and ends the thread that wakes them; ending wakes all. */
extern bool mt_delay_start(void);
extern void mt_delay_stop(void);

/* Suspends the connection for that time; false when the program is ending and it did not. */
extern bool mt_delay_connection(Delay *delay, struct MHD_Connection *connection, int milliseconds);

#endif							/* SANDBOX_DELAY_H */
