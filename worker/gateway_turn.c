/*
 * gateway_turn.c
 *		Turns: one tenant's burst does not delay another's request.
 *
 * A whole request is executed at once while its tenant has used little time in this round of the loop; what comes beyond that waits in a queue of
 * its tenant. Between two rounds, in which the library reads and writes, the queues are served one request each in turn, for a few milliseconds.
 * So a request of a tenant that asks for little waits for at most two rounds, however much the others ask for; and while one tenant alone asks,
 * nothing waits. Only requests that write always wait for the end of the round: all that have come by then share a flush. What is refused before it
 * is whole does not wait, but the time that it took is its tenant's.
 *
 * Whose a request is says its token, as far as it has been seen; requests with unknown tokens share one queue. That decides about turns alone:
 * rights are decided anew for each request, in the database.
 */
#include "gateway.h"

#include "common/hashfn.h"
#include "common/pg_prng.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"

/* What a tenant may use in a round before its requests wait, and how long queues are served between two rounds. */
#define SHARE		(2 * MT_MILLISECOND)
#define SLICE		(4 * MT_MILLISECOND)
/* Tokens and tenants that are remembered; when there are more, all are forgotten. */
#define TOKENS_MAX	4096

typedef struct SeenToken
{
	uint64		hash;			/* of its text; the key */
	char		tenant[MT_TENANT_ID_SIZE];
} SeenToken;

typedef struct Share
{
	char		tenant[MT_TENANT_ID_SIZE];	/* the key; empty: whose is not known */
	uint64		round;			/* in which this was used */
	int64		used;
	bool		queued;
	dlist_node	node;			/* in the ring of those whose queue is not empty */
	dlist_head	queue;
} Share;

static HTAB *tokens = NULL;
static HTAB *shares = NULL;
static MemoryContext turn_context;
static dlist_head ring = DLIST_STATIC_INIT(ring);
static uint64 secret;
static uint64 current_round = 1;

/* Begins anew with nobody known. Only while nobody waits. */
static void
forget_all(void)
{
	HASHCTL		token_control = {.keysize = sizeof(uint64), .entrysize = sizeof(SeenToken)};
	HASHCTL		share_control = {.keysize = MT_TENANT_ID_SIZE, .entrysize = sizeof(Share)};

	MemoryContextReset(turn_context);
	token_control.hcxt = share_control.hcxt = turn_context;
	tokens = hash_create("mindtickle tokens seen", 64, &token_control, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	shares = hash_create("mindtickle shares", 64, &share_control, HASH_ELEM | HASH_STRINGS | HASH_CONTEXT);
}

/*
 * Prepares. Once, at the start of the process.
 */
void
mt_turn_start(void)
{
	turn_context = AllocSetContextCreate(TopMemoryContext, "mindtickle turns", ALLOCSET_DEFAULT_SIZES);
	/* Nobody can choose tokens that fall together. */
	secret = pg_prng_uint64(&pg_global_prng_state);
	forget_all();
}

static uint64
token_hash(const MtHttpRequest *request)
{
	return hash_bytes_extended((const unsigned char *) request->token, (int) strlen(request->token), secret);
}

static Share *
find_share(const MtHttpRequest *request)
{
	uint64		hash = token_hash(request);
	SeenToken  *seen = hash_search(tokens, &hash, HASH_FIND, NULL);
	Share	   *share;
	bool		found;

	share = hash_search(shares, seen == NULL ? "" : seen->tenant, HASH_ENTER, &found);
	if (!found)
	{
		share->round = 0;
		share->used = 0;
		share->queued = false;
		dlist_init(&share->queue);
	}
	return share;
}

/* Puts the time since a moment on the account of the share. */
static void
charge(Share *share, int64 since)
{
	if (share->round != current_round)
	{
		share->round = current_round;
		share->used = 0;
	}
	share->used += mt_now() - since;
}

/* Executes a request on the account of the share. */
static void
execute(Share *share, MtHttpRequest *request)
{
	int64		before = mt_now();

	mt_execute(request);
	charge(share, before);
	if (share->tenant[0] == '\0')
		mt_turn_remember(request);
}

/*
 * Remembers whose the request's token is, where that is known.
 */
void
mt_turn_remember(const MtHttpRequest *request)
{
	uint64		hash = token_hash(request);
	SeenToken  *seen;

	if (request->tenant[0] == '\0')
		return;
	seen = hash_search(tokens, &hash, HASH_ENTER, NULL);
	strlcpy(seen->tenant, request->tenant, sizeof(seen->tenant));
}

/*
 * Puts the time since a moment, of mt_now, on the account of the request's tenant.
 */
void
mt_turn_charge(const MtHttpRequest *request, int64 since)
{
	charge(find_share(request), since);
}

/*
 * True where the request's token has been seen before, and was valid then; it may have been revoked since.
 */
bool
mt_turn_knows(const MtHttpRequest *request)
{
	uint64		hash = token_hash(request);

	return hash_search(tokens, &hash, HASH_FIND, NULL) != NULL;
}

/*
 * Executes a whole request, or lets it wait for its turn.
 */
void
mt_turn_take(MtHttpRequest *request)
{
	Share	   *share = find_share(request);

	if (!share->queued && !request->route->writes && (share->round != current_round || share->used < SHARE))
	{
		execute(share, request);
		return;
	}
	mt_serve_suspend(request);
	dlist_push_tail(&share->queue, &request->node);
	request->turn = share;
	if (!share->queued)
		dlist_push_tail(&ring, &share->node);
	share->queued = true;
}

/* Takes a request out of its queue. */
static void
leave_queue(MtHttpRequest *request)
{
	Share	   *share = request->turn;

	dlist_delete(&request->node);
	request->turn = NULL;
	if (dlist_is_empty(&share->queue))
	{
		dlist_delete(&share->node);
		share->queued = false;
	}
}

/*
 * Forgets a request that ends before its turn has come.
 */
void
mt_turn_leave(MtHttpRequest *request)
{
	if (request->turn != NULL)
		leave_queue(request);
}

/*
 * Ends a round: serves those that wait, each in turn, for a slice of time.
 */
void
mt_turn_round(void)
{
	int64		end = mt_now() + SLICE;

	current_round++;
	while (!dlist_is_empty(&ring) && mt_now() < end)
	{
		Share	   *share = dlist_container(Share, node, dlist_pop_head_node(&ring));
		MtHttpRequest *request = dlist_container(MtHttpRequest, node, dlist_head_node(&share->queue));

		/* Behind the others, before its queue may become empty. */
		dlist_push_tail(&ring, &share->node);
		leave_queue(request);
		execute(share, request);
	}
	/* What is served from the queue is not charged to the round that follows. */
	current_round++;
	if (dlist_is_empty(&ring) && (hash_get_num_entries(tokens) > TOKENS_MAX || hash_get_num_entries(shares) > TOKENS_MAX))
		forget_all();
}

/*
 * True when requests wait for their turn.
 */
bool
mt_turn_waiting(void)
{
	return !dlist_is_empty(&ring);
}
