/*
 * statistics.h
 *		What the planner is told of a tenant's columns: see statistics.c.
 */
#ifndef MT_STATISTICS_H
#define MT_STATISTICS_H

#include "mindtickle.h"

extern void mt_install_statistics_hooks(void);

#endif							/* MT_STATISTICS_H */
