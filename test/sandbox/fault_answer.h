/*
 * fault_answer.h
 *		What a client gets that meets a fault.
 */
#ifndef SANDBOX_FAULT_ANSWER_H
#define SANDBOX_FAULT_ANSWER_H

#include "http.h"

/* Makes the whole reply of the call's fault; false when that needs a true answer first. */
extern bool mt_fault_answer(Call *call);

/* Spoils the true answer as the call's fault says. */
extern void mt_fault_spoil(Call *call);

#endif							/* SANDBOX_FAULT_ANSWER_H */
