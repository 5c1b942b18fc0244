/*
 * address.c
 *		Tells public addresses from those of this machine and of private networks.
 *
 * Called by http.c for each address that a host name resolved to, inside a callback of libcurl: nothing here calls PostgreSQL. A tenant's URL
 * comes from outside; whoever can name a URL must not reach what only this server can reach, such as a metadata service.
 */
#include "address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdint.h>
#include <string.h>

/* Networks that are not public (the IANA registries of special-purpose addresses). */
static const struct
{
	uint32_t	network;
	int			bits;
}			special_networks[] = {
	{0x00000000, 8},			/* this network */
	{0x0a000000, 8},			/* private */
	{0x64400000, 10},			/* carrier-grade NAT */
	{0x7f000000, 8},			/* loopback */
	{0xa9fe0000, 16},			/* link-local */
	{0xac100000, 12},			/* private */
	{0xc0000000, 24},			/* protocol assignments */
	{0xc0000200, 24},			/* documentation */
	{0xc0586300, 24},			/* 6to4 relays */
	{0xc0a80000, 16},			/* private */
	{0xc6120000, 15},			/* benchmarks */
	{0xc6336400, 24},			/* documentation */
	{0xcb007100, 24},			/* documentation */
	{0xe0000000, 3},			/* multicast, reserved, broadcast */
};

static bool
public_v4(uint32_t address)
{
	for (size_t i = 0; i < sizeof(special_networks) / sizeof(special_networks[0]); i++)
		if ((address ^ special_networks[i].network) >> (32 - special_networks[i].bits) == 0)
			return false;
	return true;
}

static uint32_t
read_v4(const uint8_t *bytes)
{
	return (uint32_t) bytes[0] << 24 | (uint32_t) bytes[1] << 16 | (uint32_t) bytes[2] << 8 | bytes[3];
}

/* Is it an IPv4 address written as IPv6 (::ffff:a.b.c.d)? */
static bool
mapped_v4(const uint8_t *bytes)
{
	static const uint8_t prefix[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

	return memcmp(bytes, prefix, sizeof(prefix)) == 0;
}

static bool
public_v6(const uint8_t *bytes)
{
	static const uint8_t nat64[12] = {0x00, 0x64, 0xff, 0x9b};

	if (mapped_v4(bytes))
		return public_v4(read_v4(bytes + 12));
	/* A translated address is as public as the one inside. */
	if (memcmp(bytes, nat64, sizeof(nat64)) == 0)
		return public_v4(read_v4(bytes + 12));
	/* Only 2000::/3 is global unicast. */
	if ((bytes[0] & 0xe0) != 0x20)
		return false;
	if (bytes[0] == 0x20 && bytes[1] == 0x02)	/* 6to4 */
		return public_v4(read_v4(bytes + 2));
	if (bytes[0] == 0x20 && bytes[1] == 0x01)
	{
		if (bytes[2] < 0x02)	/* 2001::/23: Teredo, benchmarks and other protocols */
			return false;
		if (bytes[2] == 0x0d && bytes[3] == 0xb8)	/* documentation */
			return false;
	}
	if (bytes[0] == 0x3f && bytes[1] == 0xff && bytes[2] < 0x10)	/* documentation */
		return false;
	return true;
}

/*
 * True for the addresses of this machine's loopback interface.
 */
bool
mt_address_loopback(const struct sockaddr *address)
{
	static const uint8_t loopback[16] = {[15] = 1};

	if (address->sa_family == AF_INET)
		return ntohl(((const struct sockaddr_in *) address)->sin_addr.s_addr) >> 24 == 127;
	if (address->sa_family == AF_INET6)
	{
		const uint8_t *bytes = ((const struct sockaddr_in6 *) address)->sin6_addr.s6_addr;

		return memcmp(bytes, loopback, sizeof(loopback)) == 0 || (mapped_v4(bytes) && bytes[12] == 127);
	}
	return false;
}

/*
 * True for addresses that are reachable from anywhere, so that calling them from here gives a caller nothing he did not have.
 */
bool
mt_address_public(const struct sockaddr *address)
{
	if (address->sa_family == AF_INET)
		return public_v4(ntohl(((const struct sockaddr_in *) address)->sin_addr.s_addr));
	if (address->sa_family == AF_INET6)
		return public_v6(((const struct sockaddr_in6 *) address)->sin6_addr.s6_addr);
	return false;
}
