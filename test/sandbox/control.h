/*
 * control.h
 *		The endpoints under /sandbox/, for those who run the tests.
 */
#ifndef SANDBOX_CONTROL_H
#define SANDBOX_CONTROL_H

#include "http.h"

#define CONTROL_PREFIX "/sandbox/"

/* Makes the reply to a call whose path begins with CONTROL_PREFIX. */
extern void mt_control_answer(Call *call);

#endif							/* SANDBOX_CONTROL_H */
