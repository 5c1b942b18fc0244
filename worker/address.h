/*
 * address.h
 *		Which network addresses a worker may call: see address.c.
 */
#ifndef MT_ADDRESS_H
#define MT_ADDRESS_H

#include <stdbool.h>
#include <sys/socket.h>

extern bool mt_address_loopback(const struct sockaddr *address);
extern bool mt_address_public(const struct sockaddr *address);

#endif							/* MT_ADDRESS_H */
