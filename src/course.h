/*
 * course.h
 *		The catalog: see course.c.
 */
#ifndef MT_COURSE_H
#define MT_COURSE_H

#include "field.h"

extern bool mt_course_store(const char *tenant, MtFields *fields);

#endif							/* MT_COURSE_H */
