/*
 * readiness_entry.c
 *		Changes of the readiness figures: merging them, and their packed form in the column entries of the delta tables.
 *
 * A packed entry is a byte of flags, the user, the course, and those numbers that the flags name. Numbers are in groups of seven bits, the
 * lowest first, those that may be negative with the sign in the lowest bit. Of an id there is what differs from the entry before in the same row,
 * behind the length of what does not; of a moment, the difference. It is written and read by this file alone and never leaves the cluster.
 *
 * Called by readiness_delta.c, which writes entries, and readiness_change.c, which reads them.
 */
#include "readiness_entry.h"

#include "common/hashfn.h"
#include "utils/fmgrprotos.h"
#include "utils/memutils.h"
#include "utils/numeric.h"

/* Which numbers follow. */
#define HAS_QUIZ		0x01
#define HAS_PROGRESS	0x02
#define HAS_USER		0x04
#define HAS_GAINED		0x08
/* An activity went that may have been the user's latest. */
#define LOST_LATEST		0x10

/* Scores that were met lately, as they lie in a row, and what they are: there are few different ones. */
#define KEPT_SCORES			256
#define KEPT_SCORE_BYTES	15
typedef struct KeptScore
{
	uint8		length;			/* 0: none */
	char		bytes[KEPT_SCORE_BYTES];
	int64		units;
} KeptScore;

static int64
compute_score_units(Datum score)
{
	static Numeric units_in_one = NULL;

	if (units_in_one == NULL)
	{
		MemoryContext previous = MemoryContextSwitchTo(TopMemoryContext);

		units_in_one = int64_to_numeric(10000);
		MemoryContextSwitchTo(previous);
	}
	return DatumGetInt64(DirectFunctionCall1(numeric_int8, DirectFunctionCall2(numeric_mul, score, NumericGetDatum(units_in_one))));
}

/*
 * A score, numeric(7,4), in units of 0.0001.
 */
int64
mt_score_units(Datum score)
{
	static KeptScore kept_scores[KEPT_SCORES];
	const char *bytes = DatumGetPointer(score);
	KeptScore  *kept;
	Size		length;

	if (VARATT_IS_EXTERNAL(bytes) || VARATT_IS_COMPRESSED(bytes))
		return compute_score_units(score);
	length = VARSIZE_ANY(bytes);
	if (length > KEPT_SCORE_BYTES)
		return compute_score_units(score);
	kept = &kept_scores[hash_bytes((const unsigned char *) bytes, (int) length) % KEPT_SCORES];
	if (kept->length != length || memcmp(kept->bytes, bytes, length) != 0)
	{
		kept->length = 0;
		kept->units = compute_score_units(score);
		memcpy(kept->bytes, bytes, length);
		kept->length = (uint8) length;
	}
	return kept->units;
}

/*
 * Bytewise order, as COLLATE "C" has it.
 */
int
mt_compare_ids(MtId first, MtId second)
{
	int			order = memcmp(first.bytes, second.bytes, Min(first.length, second.length));

	return order != 0 ? order : first.length - second.length;
}

/*
 * Adds figures, factor times.
 */
void
mt_add_figures(MtFigures *sum, const MtFigures *figures, int factor)
{
	sum->submissions += factor * figures->submissions;
	sum->scores += factor * figures->scores;
	sum->score_sum += factor * figures->score_sum;
	sum->assignments += factor * figures->assignments;
	sum->completed += factor * figures->completed;
	sum->overdue += factor * figures->overdue;
}

/*
 * True when there is nothing in them.
 */
bool
mt_figures_empty(const MtFigures *figures)
{
	static const MtFigures none = {0};

	return memcmp(figures, &none, sizeof(MtFigures)) == 0;
}

/*
 * Makes room for so many further entries at once.
 */
void
mt_reserve_entries(MtEntries *entries, int count)
{
	if (entries->count + count <= entries->allocated)
		return;
	entries->allocated = entries->count + count;
	entries->entries = entries->entries == NULL ? MemoryContextAllocHuge(CurrentMemoryContext, sizeof(MtEntry) * (Size) entries->allocated)
		: repalloc_huge(entries->entries, sizeof(MtEntry) * (Size) entries->allocated);
}

/*
 * A further entry, empty.
 */
MtEntry *
mt_new_entry(MtEntries *entries)
{
	MtEntry    *entry;

	if (entries->count == entries->allocated)
		mt_reserve_entries(entries, Max(entries->allocated, 16));
	entry = &entries->entries[entries->count++];
	memset(entry, 0, sizeof(MtEntry));
	entry->gained = entry->lost = DT_NOBEGIN;
	return entry;
}

static int
compare_entries(const void *first, const void *second)
{
	const MtEntry *a = first;
	const MtEntry *b = second;
	int			order = mt_compare_ids(a->tenant, b->tenant);

	if (order == 0)
		order = mt_compare_ids(a->user, b->user);
	return order != 0 ? order : mt_compare_ids(a->course, b->course);
}

/* True when an entry says nothing: what came and went is the same. */
static bool
entry_empty(const MtEntry *entry)
{
	return entry->present == 0 && entry->active == 0 && entry->gained == entry->lost && mt_figures_empty(&entry->figures);
}

/*
 * Sorts by tenant, user and course, makes one entry of those for the same, and leaves out what comes to nothing.
 */
void
mt_merge_entries(MtEntries *entries)
{
	int			kept = 0;
	int			i = 0;

	if (entries->count > 1)
		qsort(entries->entries, entries->count, sizeof(MtEntry), compare_entries);
	while (i < entries->count)
	{
		MtEntry    *merged = &entries->entries[kept];

		*merged = entries->entries[i++];
		while (i < entries->count && compare_entries(merged, &entries->entries[i]) == 0)
		{
			const MtEntry *entry = &entries->entries[i++];

			mt_add_figures(&merged->figures, &entry->figures, 1);
			merged->present += entry->present;
			merged->active += entry->active;
			merged->gained = Max(merged->gained, entry->gained);
			merged->lost = Max(merged->lost, entry->lost);
		}
		if (!entry_empty(merged))
			kept++;
	}
	entries->count = kept;
}

static void
put_unsigned(StringInfo buffer, uint64 number)
{
	while (number >= 0x80)
	{
		appendStringInfoChar(buffer, (char) (number | 0x80));
		number >>= 7;
	}
	appendStringInfoChar(buffer, (char) number);
}

static void
put_signed(StringInfo buffer, int64 number)
{
	put_unsigned(buffer, ((uint64) number << 1) ^ (uint64) (number >> 63));
}

static void
put_id(StringInfo buffer, MtId id, MtId before)
{
	int			common = 0;

	while (common < Min(id.length, before.length) && id.bytes[common] == before.bytes[common])
		common++;
	put_unsigned(buffer, common);
	put_unsigned(buffer, id.length - common);
	appendBinaryStringInfo(buffer, id.bytes + common, id.length - common);
}

/* The moment that is packed with an entry, 0 for none. */
static TimestampTz
packed_moment(const MtEntry *entry)
{
	return entry->gained > entry->lost ? entry->gained : 0;
}

/*
 * Appends the packed form of an entry, which leaves out the tenant; before is the one that was packed into the buffer last, or NULL.
 */
void
mt_pack_entry(StringInfo buffer, const MtEntry *entry, const MtEntry *before)
{
	static const MtEntry none = {.gained = DT_NOBEGIN,.lost = DT_NOBEGIN};
	const MtFigures *figures = &entry->figures;
	uint8		flags = 0;

	if (before == NULL)
		before = &none;
	if (figures->submissions != 0 || figures->scores != 0 || figures->score_sum != 0)
		flags |= HAS_QUIZ;
	if (figures->assignments != 0 || figures->completed != 0 || figures->overdue != 0)
		flags |= HAS_PROGRESS;
	if (entry->present != 0 || entry->active != 0)
		flags |= HAS_USER;
	/* What went in one statement and came in another would look like what never went. */
	if (entry->lost > entry->gained)
		flags |= LOST_LATEST;
	else if (entry->gained > entry->lost)
		flags |= HAS_GAINED;

	appendStringInfoChar(buffer, (char) flags);
	put_id(buffer, entry->user, before->user);
	put_id(buffer, entry->course, before->course);
	if (flags & HAS_QUIZ)
	{
		put_signed(buffer, figures->submissions);
		put_signed(buffer, figures->scores);
		put_signed(buffer, figures->score_sum);
	}
	if (flags & HAS_PROGRESS)
	{
		put_signed(buffer, figures->assignments);
		put_signed(buffer, figures->completed);
		put_signed(buffer, figures->overdue);
	}
	if (flags & HAS_USER)
	{
		put_signed(buffer, entry->present);
		put_signed(buffer, entry->active);
	}
	if (flags & HAS_GAINED)
		put_signed(buffer, (int64) ((uint64) entry->gained - (uint64) packed_moment(before)));
}

/* What is left of packed entries while they are read. */
typedef struct Reader
{
	const char *next;
	const char *end;
} Reader;

static void
broken_entries(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_DATA_CORRUPTED),
			 errmsg("the entries of a readiness delta are broken"),
			 errhint("SELECT mt_rebuild_readiness('...') counts the tenant anew.")));
}

static uint64
get_unsigned(Reader *reader)
{
	uint64		number = 0;

	for (int shift = 0; shift < 64; shift += 7)
	{
		uint8		byte;

		if (reader->next == reader->end)
			broken_entries();
		byte = (uint8) *reader->next++;
		number |= (uint64) (byte & 0x7f) << shift;
		if (byte < 0x80)
			return number;
	}
	broken_entries();
	return 0;
}

static int64
get_signed(Reader *reader)
{
	uint64		number = get_unsigned(reader);

	return (int64) (number >> 1) ^ -(int64) (number & 1);
}

static MtId
get_id(Reader *reader, MtId before)
{
	uint64		common = get_unsigned(reader);
	uint64		length = get_unsigned(reader);
	MtId		id = {.bytes = reader->next,.length = (int) length};

	if (common > (uint64) before.length || length > (uint64) (reader->end - reader->next))
		broken_entries();
	reader->next += length;
	if (common == 0)
		return id;
	if (length == 0 && common == (uint64) before.length)
		return before;
	id.length += (int) common;
	id.bytes = palloc(id.length);
	memcpy((char *) id.bytes, before.bytes, common);
	memcpy((char *) id.bytes + common, reader->next - length, length);
	return id;
}

/*
 * Reads packed entries, which must live as long as what they are read into. ERROR XX001 where they are broken.
 */
void
mt_unpack_entries(MtEntries *entries, MtId tenant, const char *bytes, int length)
{
	Reader		reader = {.next = bytes,.end = bytes + length};
	MtId		user = {"", 0};
	MtId		course = {"", 0};
	TimestampTz moment = 0;

	while (reader.next < reader.end)
	{
		MtEntry    *entry = mt_new_entry(entries);
		uint8		flags = (uint8) *reader.next++;

		entry->tenant = tenant;
		entry->user = user = get_id(&reader, user);
		entry->course = course = get_id(&reader, course);
		if (flags & HAS_QUIZ)
		{
			entry->figures.submissions = get_signed(&reader);
			entry->figures.scores = get_signed(&reader);
			entry->figures.score_sum = get_signed(&reader);
		}
		if (flags & HAS_PROGRESS)
		{
			entry->figures.assignments = get_signed(&reader);
			entry->figures.completed = get_signed(&reader);
			entry->figures.overdue = get_signed(&reader);
		}
		if (flags & HAS_USER)
		{
			entry->present = (int) get_signed(&reader);
			entry->active = (int) get_signed(&reader);
		}
		if (flags & HAS_GAINED)
			entry->gained = (TimestampTz) ((uint64) moment + (uint64) get_signed(&reader));
		if (flags & LOST_LATEST)
			entry->lost = DT_NOEND;
		moment = packed_moment(entry);
	}
}
