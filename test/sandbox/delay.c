/*
 * delay.c
 *		Connections that sleep for a while, without holding up a thread.
 *
 * Called by the HTTP front for slow answers. One lock guards the list, which
 * is ordered by due time; a connection is suspended and put in under it, so
 * that it cannot be missed at the end. It never answers a request itself.
 */
#include "delay.h"

#include "rate_limit.h"

#include <pthread.h>
#include <stddef.h>
#include <time.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed;
static pthread_t waker;
static Delay *first = NULL;
static bool stopping = false;

static void *
wake_due(void *unused)
{
	(void) unused;
	pthread_mutex_lock(&lock);
	while (!stopping || first != NULL)
	{
		if (first == NULL)
			pthread_cond_wait(&changed, &lock);
		else if (stopping || first->due <= mt_monotonic_now())
		{
			struct MHD_Connection *connection = first->connection;

			/* Taken out before: once resumed, its memory may be gone. */
			first->is_over = true;
			first = first->next;
			MHD_resume_connection(connection);
		}
		else
		{
			struct timespec until = {first->due / 1000000000, first->due % 1000000000};

			pthread_cond_timedwait(&changed, &lock, &until);
		}
	}
	pthread_mutex_unlock(&lock);
	return NULL;
}

bool
mt_delay_start(void)
{
	pthread_condattr_t attributes;

	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(&changed, &attributes);
	pthread_condattr_destroy(&attributes);
	return pthread_create(&waker, NULL, wake_due, NULL) == 0;
}

void
mt_delay_stop(void)
{
	pthread_mutex_lock(&lock);
	stopping = true;
	pthread_cond_signal(&changed);
	pthread_mutex_unlock(&lock);
	pthread_join(waker, NULL);
}

bool
mt_delay_connection(Delay *delay, struct MHD_Connection *connection, int milliseconds)
{
	Delay	  **at;

	pthread_mutex_lock(&lock);
	if (stopping)
	{
		pthread_mutex_unlock(&lock);
		return false;
	}
	delay->connection = connection;
	delay->due = mt_monotonic_now() + milliseconds * INT64_C(1000000);
	for (at = &first; *at != NULL && (*at)->due <= delay->due; at = &(*at)->next)
		;
	delay->next = *at;
	*at = delay;
	MHD_suspend_connection(connection);
	pthread_cond_signal(&changed);
	pthread_mutex_unlock(&lock);
	return true;
}
