/*
 * slabuf: byte buffers outside the heap, with counters and limits.
 *
 * Functions return a slabuf_status, except slabuf_status_message, slabuf_pool_global,
 * slabuf_version and slabuf_version_number. No argument may be null, except arrays with the
 * capacity 0. If a function fails, it sets its results to zero, except structs that are passed with
 * their size, which stay unchanged.
 *
 * Ownership: a buffer belongs to the slabuf_buffer that an allocation filled in. The program frees
 * it once, with slabuf_free or slabuf_pool_free. A copy of the struct refers to the same memory:
 * free only one of them. A pool belongs to the slabuf_pool * that slabuf_pool_create filled in. It
 * may be destroyed before its buffers, which stay valid and are freed as before. A budget belongs to
 * the slabuf_budget * that slabuf_budget_create filled in, and may be destroyed before its pools.
 *
 * Threads: every function may be called on every thread at the same time, and a buffer may be freed
 * on a thread other than the one that allocated it. Two things may not happen at the same time: two
 * calls on the same slabuf_buffer, one of which changes it; slabuf_pool_destroy and another call on
 * that pool, or slabuf_budget_destroy and another call with that budget.
 *
 * Signals, fork: no function may be called in a signal handler. The child of a process with several
 * threads may use the buffers it has, but must not call this library before exec.
 *
 * Errors: no function aborts, throws or unwinds. The README beside this header's directory lists
 * which mistake returns which status, and the mistakes that cannot be detected.
 */

#ifndef SLABUF_H
#define SLABUF_H

/* Written by cbindgen from bindings/c/src: change it there. */

#include <stddef.h>
#include <stdint.h>

/* The header's version as one number, to compare with slabuf_version_number(), and as a text. */
#define SLABUF_VERSION_NUMBER \
    (SLABUF_VERSION_MAJOR * 1000000 + SLABUF_VERSION_MINOR * 1000 + SLABUF_VERSION_PATCH)
#define SLABUF_TEXT_(x) #x
#define SLABUF_TEXT(x) SLABUF_TEXT_(x)
#define SLABUF_VERSION \
    SLABUF_TEXT(SLABUF_VERSION_MAJOR) "." SLABUF_TEXT(SLABUF_VERSION_MINOR) "." SLABUF_TEXT(SLABUF_VERSION_PATCH)

// The header's major version. A new one may break programs.
#define SLABUF_VERSION_MAJOR 0

// The header's minor version. A new one has new functions, fields and statuses.
#define SLABUF_VERSION_MINOR 2

// The header's patch version.
#define SLABUF_VERSION_PATCH 0

// Value of limit: no limit.
#define SLABUF_NO_LIMIT 18446744073709551615ull

// Value of cache_limit: 64 MiB, or the limit if it is less.
#define SLABUF_DEFAULT_CACHE_LIMIT 18446744073709551615ull

// Flag: huge pages for buffers of 2 MiB and more. Set by slabuf_settings_init.
#define SLABUF_HUGE_PAGES 1

// Flag: a page behind each large buffer that faults on every access.
#define SLABUF_GUARD_PAGES 2

// Flag: every allocation is zeroed, that of slabuf_pool_alloc_unsafe too.
#define SLABUF_ZERO_FILL 4

// Flag: a buffer's memory is zeroed when it is freed.
#define SLABUF_ZERO_ON_FREE 8

// Bytes of a sample's site, including the zero at its end.
#define SLABUF_SITE_SIZE 256

// No slot of the slab is in use.
#define SLABUF_SLAB_EMPTY 0

// Some slots of the slab are in use.
#define SLABUF_SLAB_PARTIAL 1

// All slots of the slab are in use.
#define SLABUF_SLAB_FULL 2

// The outcome of a call. Names and values do not change; new ones are added at the end.
typedef enum slabuf_status {
    // Success.
    SLABUF_STATUS_OK = 0,
    // An argument is null, or not aligned for its type.
    SLABUF_STATUS_BAD_POINTER = 1,
    // The given size of a struct is the size of none of its versions.
    SLABUF_STATUS_BAD_SIZE = 2,
    // The buffer was freed before or never allocated, or the program changed its fields.
    SLABUF_STATUS_NOT_A_BUFFER = 3,
    // The pool was destroyed before or never created.
    SLABUF_STATUS_NOT_A_POOL = 4,
    // The buffer belongs to another pool.
    SLABUF_STATUS_FOREIGN_POOL = 5,
    // The global pool cannot be destroyed.
    SLABUF_STATUS_GLOBAL_POOL = 6,
    // The length exceeds every address space.
    SLABUF_STATUS_TOO_LARGE = 7,
    // The pool would map more than its limit.
    SLABUF_STATUS_LIMIT_EXCEEDED = 8,
    // The operating system refused, or there is no memory for the library's own structures.
    SLABUF_STATUS_OUT_OF_MEMORY = 9,
    // The length is above the buffer's capacity.
    SLABUF_STATUS_BAD_LENGTH = 10,
    // The slab size is not a power of two from 4096 to 1 MiB.
    SLABUF_STATUS_BAD_SLAB_SIZE = 11,
    // The limit is below four slabs.
    SLABUF_STATUS_BAD_LIMIT = 12,
    // The cache limit is above the limit, or above the budget of a pool without a limit.
    SLABUF_STATUS_BAD_CACHE_LIMIT = 13,
    // A flag is set that this version does not know.
    SLABUF_STATUS_BAD_FLAGS = 14,
    // 65,536 pools exist at once, or 4,294,967,295 were created in this process.
    SLABUF_STATUS_TOO_MANY_POOLS = 15,
    // A defect of this library. Please report it.
    SLABUF_STATUS_INTERNAL = 16,
    // The time ended before the pool or its budget had room, or before it had drained.
    SLABUF_STATUS_TIMED_OUT = 17,
    // The high-water mark is above the limit, or above the budget of a pool without a limit; or
    // the low-water mark is not below the high-water mark.
    SLABUF_STATUS_BAD_WATERMARK = 18,
    // The pools of the pool's budget would map more than it.
    SLABUF_STATUS_BUDGET_EXCEEDED = 19,
    // The budget is below four slabs, or below the limit.
    SLABUF_STATUS_BAD_BUDGET = 20,
    // The budget was destroyed before or never created.
    SLABUF_STATUS_NOT_A_BUDGET = 21,
    // 65,536 budgets exist at once.
    SLABUF_STATUS_TOO_MANY_BUDGETS = 22,
} slabuf_status;

// A budget. The pointer is a number, like that of a pool.
typedef struct slabuf_budget slabuf_budget;

// A pool. The pointer is a number by which the library finds the pool; it points to nothing.
typedef struct slabuf_pool slabuf_pool;

// A buffer. Programs may read data, len and capacity, and write to the memory. Only this library
// changes the fields. data is aligned to 16 bytes at least. All bytes up to the capacity may be
// read and written; those beyond len are stale. A freed buffer is all zeros.
typedef struct slabuf_buffer {
    // The first byte.
    uint8_t *data;
    // The requested length in bytes.
    size_t len;
    // Bytes that may be read and written.
    size_t capacity;
    // The pool and place that the memory belongs to.
    size_t owner;
    // A checksum of the other fields.
    size_t seal;
} slabuf_buffer;

// The memory of a buffer, valid until the buffer is freed or slabuf_grow moves it.
typedef struct slabuf_view {
    // The first byte.
    uint8_t *data;
    // The requested length in bytes.
    size_t len;
    // Bytes that may be read and written.
    size_t capacity;
} slabuf_view;

// Counters of a budget.
typedef struct slabuf_budget_usage {
    // The budget, in bytes.
    uint64_t limit;
    // Bytes that its pools have mapped, including caches and headers.
    uint64_t mapped;
    // The most bytes that its pools had mapped at a time.
    uint64_t peak;
    // Its pools, including destroyed ones that still have buffers.
    uint64_t pools;
    // Requests that wait for memory of its pools now.
    uint64_t waiters;
    // Requests that it refused.
    uint64_t refused;
    // Requests of its pools that waited until their time ended.
    uint64_t timed_out;
} slabuf_budget_usage;

// Settings of a pool. Fill them in with slabuf_settings_init, then change some.
typedef struct slabuf_settings {
    // Bytes in a slab: a power of two from 4096 to 1 MiB. Longer requests get mappings of their
    // own. Default: 8192.
    size_t slab_size;
    // Most bytes that the pool may map: at least four slabs. Default: SLABUF_NO_LIMIT.
    size_t limit;
    // Most bytes of freed memory that are kept for reuse. Default: SLABUF_DEFAULT_CACHE_LIMIT.
    size_t cache_limit;
    // How long they are kept, in milliseconds. Default: 10,000.
    uint64_t decay_ms;
    // The sum of SLABUF_HUGE_PAGES and the other flags. Default: SLABUF_HUGE_PAGES.
    uint64_t flags;
    // Bytes of live buffers from which the pool is over its mark: at most limit. Default: 0, no
    // mark.
    uint64_t high_water_mark;
    // Bytes of live buffers down to which the pool must drain: below high_water_mark. 1 means that
    // it must be empty. Default: 0, half of high_water_mark.
    uint64_t low_water_mark;
    // One of this many allocations, on average, is sampled, see slabuf_pool_samples_get. Default:
    // 0, none.
    uint64_t sample_one_in;
    // The budget that the pool shares with others: at least four slabs, and at least limit.
    // Default: null, none.
    const struct slabuf_budget *budget;
} slabuf_settings;

// Counters of one pool.
typedef struct slabuf_pool_usage {
    // Bytes mapped, including caches and the pool's own headers.
    uint64_t external;
    // Bytes of slabs that are not empty, plus the requested lengths of live large buffers.
    uint64_t array_buffers;
    // Bytes of slots in live buffers, plus the requested lengths of live large buffers.
    uint64_t in_use;
    // Resident bytes kept for reuse.
    uint64_t cached;
    // Slabs with no slot in use.
    uint64_t slabs_empty;
    // Slabs with some slots in use.
    uint64_t slabs_partial;
    // Slabs with all slots in use.
    uint64_t slabs_full;
    // Requested lengths of live large buffers, in bytes.
    uint64_t large_live;
    // Resident bytes of freed mappings kept for reuse.
    uint64_t large_cached;
    // The most bytes that were mapped at a time.
    uint64_t external_peak;
    // Requests that wait for memory now.
    uint64_t waiters;
    // Requests that the limit, the budget or the system refused.
    uint64_t refused;
    // Requests that waited until their time ended.
    uint64_t timed_out;
} slabuf_pool_usage;

// Counters of the process, over all pools, like Node's process.memoryUsage().
typedef struct slabuf_memory_usage {
    // Resident memory of the process; 0 if the system does not report it.
    uint64_t rss;
    // Bytes that malloc's heap has from the system; 0 if unknown.
    uint64_t heap_total;
    // Bytes in use in that heap; 0 if unknown.
    uint64_t heap_used;
    // Bytes mapped by all pools.
    uint64_t external;
    // The sum of the pools' array_buffers, a part of external.
    uint64_t array_buffers;
} slabuf_memory_usage;

// A live buffer whose allocation was sampled.
typedef struct slabuf_sample {
    // The address of the first byte of its slot or mapping.
    uint64_t address;
    // The requested length in bytes: at the allocation, or when the buffer last moved.
    uint64_t len;
    // Bytes of its slot or mapping.
    uint64_t capacity;
    // The time since the allocation, in milliseconds.
    uint64_t age_ms;
    // The slots of its slab; 0 if the buffer has a mapping of its own.
    uint64_t slab_slots;
    // The slots of its slab that are in use, including its own.
    uint64_t slab_slots_in_use;
    // The function that allocated, with file and line if the program has debug information. Ends
    // in a zero; cut to fit. Without symbols, "unknown".
    char site[SLABUF_SITE_SIZE];
} slabuf_sample;

// A size class: all slots of one size.
typedef struct slabuf_class_snapshot {
    // Bytes in a slot.
    uint64_t slot_size;
    // Slots in live buffers.
    uint64_t in_buffers;
    // Slots in magazines, of threads and of the pool. Their slabs count them as in use.
    uint64_t in_magazines;
} slabuf_class_snapshot;

// A region: one mapping, divided into slabs.
typedef struct slabuf_region_snapshot {
    // The address of its first byte.
    uint64_t address;
    // Bytes mapped, including the headers of the slabs.
    uint64_t bytes;
    // The number of its slabs.
    uint64_t slabs;
} slabuf_region_snapshot;

// A slab, or a span of four slabs.
typedef struct slabuf_slab_snapshot {
    // The address of its first byte.
    uint64_t address;
    // The address of its region.
    uint64_t region;
    // Bytes in a slot; 0 if the slab belongs to no class.
    uint64_t slot_size;
    // Slots in the slab; 0 if it belongs to no class.
    uint64_t slots;
    // Slots in buffers or magazines.
    uint64_t slots_in_use;
    // SLABUF_SLAB_EMPTY, SLABUF_SLAB_PARTIAL or SLABUF_SLAB_FULL.
    uint64_t state;
    // 1 if the slab is empty and takes no physical memory.
    uint64_t clean;
} slabuf_slab_snapshot;

// The mapping of a large buffer.
typedef struct slabuf_mapping_snapshot {
    // The address of its first byte.
    uint64_t address;
    // Bytes mapped, including the guard page.
    uint64_t bytes;
    // 1 if a live buffer uses it, 0 if the pool keeps it for reuse.
    uint64_t live;
    // The requested length of the live buffer in bytes; 0 if there is none.
    uint64_t live_len;
} slabuf_mapping_snapshot;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

// Returns the library's version as a text, for example "0.2.0". The text lives as long as the
// process.
const char *slabuf_version(void);

// Returns the library's version as a number to compare with SLABUF_VERSION_NUMBER, the header's.
uint32_t slabuf_version_number(void);

// Describes a status in English, in one line without an end of line.
//
// The text lives as long as the process. A number that is not a status has a text too.
const char *slabuf_status_message(int status);

// Allocates len zeros from the global pool.
//
// # Safety
//
// buffer can be written. Its contents are overwritten: a live buffer in it would be leaked.
enum slabuf_status slabuf_alloc(size_t len, struct slabuf_buffer *buffer);

// Allocates len stale bytes from the global pool: the contents of an earlier buffer.
//
// The bytes are defined and may be read, but may be another part's secrets: write every byte
// before you pass the buffer on.
//
// # Safety
//
// buffer can be written. Its contents are overwritten: a live buffer in it would be leaked.
enum slabuf_status slabuf_alloc_unsafe(size_t len, struct slabuf_buffer *buffer);

// Frees a buffer of any pool and sets the struct to zeros, so that freeing it again returns
// SLABUF_STATUS_NOT_A_BUFFER.
//
// # Safety
//
// buffer can be read and written, and is not a copy of a buffer that was freed or grown through
// another struct.
enum slabuf_status slabuf_free(struct slabuf_buffer *buffer);

// Checks a buffer and sets *view to its memory. The view holds no reference, so there is nothing
// to free.
//
// # Safety
//
// buffer can be read and view can be written.
enum slabuf_status slabuf_buffer_view(const struct slabuf_buffer *buffer, struct slabuf_view *view);

// Sets the length of a buffer, up to its capacity. Added bytes are stale. If the call fails, the
// buffer stays unchanged.
//
// # Safety
//
// As for slabuf_free.
enum slabuf_status slabuf_set_len(struct slabuf_buffer *buffer, size_t len);

// Grows a buffer to len bytes if it is shorter. Added bytes are zero. The memory may move, which
// invalidates views and copies. Large buffers grow without a copy. If the call fails, the buffer
// stays unchanged.
//
// # Safety
//
// As for slabuf_free.
enum slabuf_status slabuf_grow(struct slabuf_buffer *buffer, size_t len);

// Creates a budget: a limit of bytes, which the pools that are created with it share. Its size is
// checked when a pool is created.
//
// # Safety
//
// budget can be written.
enum slabuf_status slabuf_budget_create(size_t bytes, struct slabuf_budget **budget);

// Destroys a budget and sets *budget to null.
//
// Its pools keep it: it holds for them until they are destroyed and their buffers freed.
// Destroying the budget again, also through a copy of the pointer, returns
// SLABUF_STATUS_NOT_A_BUDGET.
//
// # Safety
//
// budget can be read and written, and no other thread uses the budget.
enum slabuf_status slabuf_budget_destroy(struct slabuf_budget **budget);

// Reads a budget's counters. size is sizeof *usage: a program built with an older header gets the
// counters it knows.
//
// # Safety
//
// size bytes can be written at usage; no thread destroys the budget during the call.
enum slabuf_status slabuf_budget_usage_get(const struct slabuf_budget *budget,
                                           struct slabuf_budget_usage *usage,
                                           size_t size);

// Returns unused memory of the budget's pools to the system, and sets *given_back to the number of
// bytes.
//
// # Safety
//
// given_back can be written; no thread destroys the budget during the call.
enum slabuf_status slabuf_budget_trim(const struct slabuf_budget *budget, size_t *given_back);

// Fills in the default settings. size is sizeof *settings.
//
// # Safety
//
// size bytes can be written at settings.
enum slabuf_status slabuf_settings_init(struct slabuf_settings *settings, size_t size);

// Returns the pool that slabuf_alloc uses, for the functions that take a pool. It cannot be
// destroyed.
const struct slabuf_pool *slabuf_pool_global(void);

// Creates a pool. size is sizeof *settings.
//
// # Safety
//
// size bytes can be read at settings; pool can be written; no thread destroys the budget in the
// settings during the call.
enum slabuf_status slabuf_pool_create(const struct slabuf_settings *settings,
                                      size_t size,
                                      struct slabuf_pool **pool);

// Destroys a pool and sets *pool to null.
//
// Unused memory returns to the system now, the rest when the buffers are freed. Destroying the
// pool again, also through a copy of the pointer, returns SLABUF_STATUS_NOT_A_POOL.
//
// # Safety
//
// pool can be read and written, and no other thread uses the pool.
enum slabuf_status slabuf_pool_destroy(struct slabuf_pool **pool);

// Allocates len zeros from a pool.
//
// # Safety
//
// buffer can be written. Its contents are overwritten: a live buffer in it would be leaked. No
// thread destroys the pool during the call.
enum slabuf_status slabuf_pool_alloc(const struct slabuf_pool *pool,
                                     size_t len,
                                     struct slabuf_buffer *buffer);

// Allocates len stale bytes from a pool, like slabuf_alloc_unsafe.
//
// # Safety
//
// As for slabuf_pool_alloc.
enum slabuf_status slabuf_pool_alloc_unsafe(const struct slabuf_pool *pool,
                                            size_t len,
                                            struct slabuf_buffer *buffer);

// Frees a buffer of this pool, like slabuf_free. A buffer of another pool stays unchanged.
//
// # Safety
//
// As for slabuf_free; no thread destroys the pool during the call.
enum slabuf_status slabuf_pool_free(const struct slabuf_pool *pool, struct slabuf_buffer *buffer);

// Returns unused memory of the pool to the system, and sets *given_back to the number of bytes.
//
// # Safety
//
// given_back can be written; no thread destroys the pool during the call.
enum slabuf_status slabuf_pool_trim(const struct slabuf_pool *pool, size_t *given_back);

// Returns unused memory of all pools, including the global pool, to the system, and sets
// *given_back to the number of bytes.
//
// # Safety
//
// given_back can be written.
enum slabuf_status slabuf_trim_all(size_t *given_back);

// Allocates len zeros from a pool, and waits up to timeout_ms milliseconds while its limit or its
// budget leaves no room.
//
// Blocks the calling thread. Waiters are served first in, first out. Returns
// SLABUF_STATUS_LIMIT_EXCEEDED or SLABUF_STATUS_BUDGET_EXCEEDED at once if the length can never
// fit. Without a limit and a budget, the function never waits.
//
// # Safety
//
// buffer can be written. Its contents are overwritten: a live buffer in it would be leaked. No
// thread destroys the pool during the call.
enum slabuf_status slabuf_pool_alloc_timeout(const struct slabuf_pool *pool,
                                             size_t len,
                                             uint64_t timeout_ms,
                                             struct slabuf_buffer *buffer);

// Allocates len stale bytes from a pool, like slabuf_pool_alloc_unsafe, and waits like
// slabuf_pool_alloc_timeout.
//
// # Safety
//
// As for slabuf_pool_alloc_timeout.
enum slabuf_status slabuf_pool_alloc_unsafe_timeout(const struct slabuf_pool *pool,
                                                    size_t len,
                                                    uint64_t timeout_ms,
                                                    struct slabuf_buffer *buffer);

// Sets *over to 1 if the pool has reached its high-water mark and has not drained to its low-water
// mark since, otherwise to 0. A pool without marks is never over.
//
// # Safety
//
// over can be written; no thread destroys the pool during the call.
enum slabuf_status slabuf_pool_is_over_high_water(const struct slabuf_pool *pool, int *over);

// Waits up to timeout_ms milliseconds while the pool is over its high-water mark: until its live
// buffers have gone down to the low-water mark, or else returns SLABUF_STATUS_TIMED_OUT. Blocks
// the calling thread.
//
// # Safety
//
// No thread destroys the pool during the call.
enum slabuf_status slabuf_pool_wait_drained(const struct slabuf_pool *pool, uint64_t timeout_ms);

// Reads a pool's counters. size is sizeof *usage: a program built with an older header gets the
// counters it knows.
//
// # Safety
//
// size bytes can be written at usage; no thread destroys the pool during the call.
enum slabuf_status slabuf_pool_usage_get(const struct slabuf_pool *pool,
                                         struct slabuf_pool_usage *usage,
                                         size_t size);

// Reads the process's counters. size is sizeof *usage. Makes system calls.
//
// # Safety
//
// size bytes can be written at usage.
enum slabuf_status slabuf_memory_usage_get(struct slabuf_memory_usage *usage, size_t size);

// Lists the sampled live buffers of a pool, oldest first.
//
// Fills in at most capacity elements, each of size bytes: sizeof(slabuf_sample). Sets *count to
// the number of all samples, which may be above capacity. samples may be null if capacity is 0.
// The first call in a process reads the program's symbols from its file, which may take a tenth of
// a second.
//
// # Safety
//
// samples can be written for capacity elements of size bytes, and count can be written; no thread
// destroys the pool during the call.
enum slabuf_status slabuf_pool_samples_get(const struct slabuf_pool *pool,
                                           struct slabuf_sample *samples,
                                           size_t size,
                                           size_t capacity,
                                           size_t *count);

// Lists the size classes of a pool, smallest slots first.
//
// Fills in at most capacity elements, each of size bytes: sizeof(slabuf_class_snapshot). Sets
// *count to the number of all classes, which may be above capacity. classes may be null if
// capacity is 0. Other threads may use the pool during the call: each element was correct at some
// moment.
//
// # Safety
//
// classes can be written for capacity elements of size bytes, and count can be written; no thread
// destroys the pool during the call.
enum slabuf_status slabuf_pool_classes_get(const struct slabuf_pool *pool,
                                           struct slabuf_class_snapshot *classes,
                                           size_t size,
                                           size_t capacity,
                                           size_t *count);

// Lists the regions of a pool, by address. The arguments are as for slabuf_pool_classes_get.
//
// # Safety
//
// As for slabuf_pool_classes_get.
enum slabuf_status slabuf_pool_regions_get(const struct slabuf_pool *pool,
                                           struct slabuf_region_snapshot *regions,
                                           size_t size,
                                           size_t capacity,
                                           size_t *count);

// Lists the slabs of a pool, by region and address. The arguments are as for
// slabuf_pool_classes_get.
//
// # Safety
//
// As for slabuf_pool_classes_get.
enum slabuf_status slabuf_pool_slabs_get(const struct slabuf_pool *pool,
                                         struct slabuf_slab_snapshot *slabs,
                                         size_t size,
                                         size_t capacity,
                                         size_t *count);

// Lists the mappings of a pool's large buffers, live and cached, by address. The arguments are as
// for slabuf_pool_classes_get.
//
// # Safety
//
// As for slabuf_pool_classes_get.
enum slabuf_status slabuf_pool_mappings_get(const struct slabuf_pool *pool,
                                            struct slabuf_mapping_snapshot *mappings,
                                            size_t size,
                                            size_t capacity,
                                            size_t *count);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* SLABUF_H */
