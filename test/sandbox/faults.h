/*
 * faults.h
 *		Which requests get a faulty answer, and which one.
 *
 * The owner's lock guards a FaultPlan.
 */
#ifndef SANDBOX_FAULTS_H
#define SANDBOX_FAULTS_H

#include <stdbool.h>
#include <stdint.h>

typedef enum Fault
{
	FAULT_ERROR500,
	FAULT_SLOW,
	FAULT_TRUNCATED,
	FAULT_HTML200,
	FAULT_RESET,
	FAULT_WRONG429,
	FAULT_ODD429,
	FAULT_EMPTY200,
	FAULT_HTML400,
	FAULT_ERROR403,
	FAULT_ERROR404,
	FAULT_REDIRECT,
	FAULT_GARBAGE,
	FAULT_ENCODING,
	FAULT_GZIP,
	FAULT_DEEP,
	FAULT_HUGE,
	FAULT_BOMB,
	FAULT_DRIP,
	FAULT_HANG,
	FAULT_MANY,
	FAULT_PADDED,
	FAULT_ERROR503,
	FAULT_ERROR504,
	FAULT_PAUSE503,
	FAULT_REVOKED,				/* this and what follows: by the live contract only */
	FAULT_LOOP,
	FAULT_ENDLESS,
	FAULT_STRANGERS,
	FAULT_WIDE,
	FAULT_HOLLOW,
	FAULT_SKIP,
	FAULT_ECHO,
	FAULT_NO_ID,
	FAULT_AHEAD,				/* by the reference contract only */
	FAULT_NONE					/* the last: the number of kinds */
} Fault;

#define FAULT_KINDS ((int) FAULT_NONE)

/* A set of kinds. */
typedef uint64_t FaultSet;

#define FAULT_BIT(fault) (UINT64_C(1) << (fault))
#define FAULTS_OF_ALL	(FAULT_BIT(FAULT_REVOKED) - 1)

/* Where a kind is met. */
typedef enum FaultPlace
{
	FAULT_EVERYWHERE,
	FAULT_AT_SCIM,
	FAULT_AT_SCIM_POST
} FaultPlace;

typedef struct FaultPlan
{
	int			share[FAULT_KINDS]; /* of 10,000 requests */
	FaultPlace	place[FAULT_KINDS];
	uint64_t	drawn;			/* requests asked about so far */
	uint64_t	given[FAULT_KINDS];
} FaultPlan;

/* The name of a kind as the command line says it; and back, FAULT_NONE when unknown. */
extern const char *mt_fault_name(Fault fault);
extern Fault mt_fault_find(const char *name);

/* Sets the percentage of a kind; false when it is none or all together pass 100. */
extern bool mt_fault_set(FaultPlan *plan, Fault fault, const char *percent, FaultPlace place);

/* The kinds that a request may meet where it goes. */
extern FaultSet mt_fault_kinds_at(const FaultPlan *plan, const char *method, const char *path);

/* Decides about one request that may meet these kinds; *flavour then picks among the variants of a kind. */
extern Fault mt_fault_draw(FaultPlan *plan, uint64_t key, FaultSet kinds, uint64_t *flavour);

#endif							/* SANDBOX_FAULTS_H */
