/*
 * gateway_state.h
 *		What the processes of the HTTP gateway share: see gateway_state.c.
 */
#ifndef MT_GATEWAY_STATE_H
#define MT_GATEWAY_STATE_H

#include "mindtickle.h"

extern void mt_request_gateway_memory(void);
extern void mt_spend_request(const char *tenant);

#endif							/* MT_GATEWAY_STATE_H */
