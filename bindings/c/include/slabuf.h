/*
 * slabuf: byte buffers outside the heap, counted and bounded.
 *
 * Every function returns a slabuf_status, but for slabuf_status_message and slabuf_pool_global.
 * No argument may be null. When a function fails, what it was to fill in
 * is zeros; but a struct that is given with its size stays as it was.
 *
 * Ownership: a buffer belongs to the slabuf_buffer that an allocation filled in, and is given back once, by
 * slabuf_free or slabuf_pool_free. A copy of the struct is another view of the same memory, not a second
 * buffer: free one of them. A pool belongs to the slabuf_pool * that slabuf_pool_create filled in. It may be
 * destroyed before its buffers, which stay as they are and are freed as ever.
 *
 * Threads: every function may be called on every thread at the same time, and a buffer may be freed on
 * another thread than it was allocated on. Not at the same time: two calls on the same slabuf_buffer, one of
 * which changes it; slabuf_pool_destroy and anything else on that pool.
 *
 * Signals, fork: no function may be called in a signal handler. The child of a process with several threads
 * may use the buffers it has, and must not call this library before exec.
 *
 * Errors: no function aborts, throws or unwinds. What is told from a mistake by looking at it comes back as a
 * status; README.md beside this header's directory has the table, and names what can't be told.
 */

#ifndef SLABUF_H
#define SLABUF_H

/* Written by cbindgen from bindings/c/src: change it there. */

#include <stddef.h>
#include <stdint.h>

// For limit: as much as the system has.
#define SLABUF_NO_LIMIT 18446744073709551615ull

// For cache_limit: 64 MiB, or the limit if that is less.
#define SLABUF_DEFAULT_CACHE_LIMIT 18446744073709551615ull

// Huge pages for buffers of 2 MiB and more. Set unless you clear it.
#define SLABUF_HUGE_PAGES 1

// A page that faults on every access behind each large buffer.
#define SLABUF_GUARD_PAGES 2

// Zeros from every allocation, slabuf_alloc_unsafe's too.
#define SLABUF_ZERO_FILL 4

// A buffer's memory is zeroed when it is freed.
#define SLABUF_ZERO_ON_FREE 8

// What became of a call. Names and values do not change; new ones come at the end.
typedef enum slabuf_status {
    // Done.
    SLABUF_STATUS_OK = 0,
    // An argument is null, or not aligned as its type has to be.
    SLABUF_STATUS_BAD_POINTER = 1,
    // The size given for a struct is not one that a version of it has.
    SLABUF_STATUS_BAD_SIZE = 2,
    // Freed already, never allocated, or changed by other than this library.
    SLABUF_STATUS_NOT_A_BUFFER = 3,
    // Destroyed already, or never created.
    SLABUF_STATUS_NOT_A_POOL = 4,
    // The buffer is another pool's.
    SLABUF_STATUS_FOREIGN_POOL = 5,
    // The global pool lives as long as the process.
    SLABUF_STATUS_GLOBAL_POOL = 6,
    // No address space is that large.
    SLABUF_STATUS_TOO_LARGE = 7,
    // The pool would map more than its limit.
    SLABUF_STATUS_LIMIT_EXCEEDED = 8,
    // The operating system refused, or there is no memory for the library's own structures.
    SLABUF_STATUS_OUT_OF_MEMORY = 9,
    // The length is above the buffer's capacity.
    SLABUF_STATUS_BAD_LENGTH = 10,
    // The slab size is no power of two from 4096 to 1 MiB.
    SLABUF_STATUS_BAD_SLAB_SIZE = 11,
    // The limit is below four slabs.
    SLABUF_STATUS_BAD_LIMIT = 12,
    // The cache limit is above the limit.
    SLABUF_STATUS_BAD_CACHE_LIMIT = 13,
    // A flag is set that this version does not know.
    SLABUF_STATUS_BAD_FLAGS = 14,
    // 65,536 pools are there at once, or 4,294,967,295 were created in this process.
    SLABUF_STATUS_TOO_MANY_POOLS = 15,
    // A defect of this library. Please report it.
    SLABUF_STATUS_INTERNAL = 16,
} slabuf_status;

// A pool. Not to be followed: it is a number, by which the library knows its pools.
typedef struct slabuf_pool slabuf_pool;

// A buffer. Read data, len and capacity as you like, which costs no call and no count, and write to the memory;
// leave the struct's fields to this library. data is aligned to 16 bytes at least. All bytes up to the capacity may
// be read and written; those beyond len are stale. All zeros is no buffer: that is what a freed one becomes.
typedef struct slabuf_buffer {
    // The first byte.
    uint8_t *data;
    // Bytes asked for.
    size_t len;
    // Bytes there are.
    size_t capacity;
    // Where the memory belongs.
    size_t owner;
    // Tells a buffer from other bytes.
    size_t seal;
} slabuf_buffer;

// What slabuf_buffer_view shows: the memory of a buffer, as long as that is not freed, or moved by slabuf_grow.
typedef struct slabuf_view {
    // The first byte.
    uint8_t *data;
    // Bytes asked for.
    size_t len;
    // Bytes there are.
    size_t capacity;
} slabuf_view;

// Settings of a pool. Let slabuf_settings_init fill them in, and change what you want otherwise.
typedef struct slabuf_settings {
    // Bytes in a slab: a power of two from 4096 to 1 MiB. Longer requests get mappings of their own. 8192.
    size_t slab_size;
    // Bytes the pool may map: at least four slabs, or SLABUF_NO_LIMIT. SLABUF_NO_LIMIT.
    size_t limit;
    // Bytes of freed memory kept for reuse. SLABUF_DEFAULT_CACHE_LIMIT.
    size_t cache_limit;
    // How long they are kept, in milliseconds. 10,000.
    uint64_t decay_ms;
    // SLABUF_HUGE_PAGES and the others, added up. SLABUF_HUGE_PAGES.
    uint64_t flags;
} slabuf_settings;

// What one pool holds.
typedef struct slabuf_pool_usage {
    // Bytes mapped, caches and the pool's own headers included.
    uint64_t external;
    // Bytes of slabs that are not empty, plus the lengths asked for of live large buffers.
    uint64_t array_buffers;
    // Bytes of slots that are with live buffers, plus the lengths asked for of live large buffers.
    uint64_t in_use;
    // Bytes kept for reuse.
    uint64_t cached;
    // Slabs none of whose slots is out.
    uint64_t slabs_empty;
    // Slabs some of whose slots are out.
    uint64_t slabs_partial;
    // Slabs all of whose slots are out.
    uint64_t slabs_full;
    // Lengths asked for of live large buffers, in bytes.
    uint64_t large_live;
    // Bytes mapped in freed mappings that are kept for reuse.
    uint64_t large_cached;
} slabuf_pool_usage;

// What the whole process holds, all pools together: Node's process.memoryUsage().
typedef struct slabuf_memory_usage {
    // Physical memory of the process; 0 where the system does not tell.
    uint64_t rss;
    // Bytes that malloc's heap has from the system; 0 where there is no such figure.
    uint64_t heap_total;
    // Bytes in use in that heap; 0 where there is no such figure.
    uint64_t heap_used;
    // Bytes mapped by all pools.
    uint64_t external;
    // The sum of the pools' array_buffers; a part of external.
    uint64_t array_buffers;
} slabuf_memory_usage;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

// What a status means, in English, in one line without an end of line. The text lives as long as the process. A
// number that is no status has a text too.
const char *slabuf_status_message(int status);

// Allocates len zeros from the global pool.
//
// # Safety
//
// buffer can be written. What it holds is overwritten: a live buffer in it would be lost.
enum slabuf_status slabuf_alloc(size_t len, struct slabuf_buffer *buffer);

// Allocates len stale bytes from the global pool: what an earlier buffer left there. They are defined and may be
// read, but may be anyone's secrets: write every byte before anyone sees them.
//
// # Safety
//
// buffer can be written. What it holds is overwritten: a live buffer in it would be lost.
enum slabuf_status slabuf_alloc_unsafe(size_t len,
                                       struct slabuf_buffer *buffer);

// Gives a buffer of any pool back, and leaves zeros in the struct, so that freeing that once more is
// SLABUF_STATUS_NOT_A_BUFFER.
//
// # Safety
//
// buffer can be read and written, and is no copy of a buffer that was freed, or made longer, through another
// struct.
enum slabuf_status slabuf_free(struct slabuf_buffer *buffer);

// Shows the memory of a buffer, after a look whether it is one. Takes no reference: there is nothing to give back.
//
// # Safety
//
// buffer can be read and view can be written.
enum slabuf_status slabuf_buffer_view(const struct slabuf_buffer *buffer,
                                      struct slabuf_view *view);

// Sets the length of a buffer, up to its capacity. Bytes that come into view are stale. When it fails the buffer is
// as it was.
//
// # Safety
//
// As with slabuf_free.
enum slabuf_status slabuf_set_len(struct slabuf_buffer *buffer,
                                  size_t len);

// Makes a buffer len bytes long if it is shorter; new bytes are zero. Its memory may move: views of it end. Large
// buffers grow without a copy. When it fails the buffer is as it was.
//
// # Safety
//
// As with slabuf_free.
enum slabuf_status slabuf_grow(struct slabuf_buffer *buffer,
                               size_t len);

// Fills in the settings a pool has unless told otherwise. size is sizeof *settings.
//
// # Safety
//
// settings leads to size bytes that can be written.
enum slabuf_status slabuf_settings_init(struct slabuf_settings *settings, size_t size);

// The pool that slabuf_alloc takes from, for the functions that want to know which. It can't be destroyed.
const struct slabuf_pool *slabuf_pool_global(void);

// Creates a pool. size is sizeof *settings.
//
// # Safety
//
// settings leads to size bytes that can be read; pool can be written.
enum slabuf_status slabuf_pool_create(const struct slabuf_settings *settings,
                                      size_t size,
                                      struct slabuf_pool **pool);

// Destroys a pool and leaves null in *pool. What no buffer uses goes back to the system now, the rest as the
// buffers are freed. A pool that is destroyed once more, also through a copy of the pointer, is
// SLABUF_STATUS_NOT_A_POOL.
//
// # Safety
//
// pool can be read and written, and no other call on *pool is under way.
enum slabuf_status slabuf_pool_destroy(struct slabuf_pool **pool);

// Allocates len zeros from a pool.
//
// # Safety
//
// buffer can be written. What it holds is overwritten: a live buffer in it would be lost. Nobody destroys the pool
// meanwhile.
enum slabuf_status slabuf_pool_alloc(const struct slabuf_pool *pool,
                                     size_t len,
                                     struct slabuf_buffer *buffer);

// Allocates len stale bytes from a pool, as slabuf_alloc_unsafe.
//
// # Safety
//
// As with slabuf_pool_alloc.
enum slabuf_status slabuf_pool_alloc_unsafe(const struct slabuf_pool *pool,
                                            size_t len,
                                            struct slabuf_buffer *buffer);

// Gives back a buffer of this pool, as slabuf_free. Another pool's stays as it is.
//
// # Safety
//
// As with slabuf_free; nobody destroys the pool meanwhile.
enum slabuf_status slabuf_pool_free(const struct slabuf_pool *pool, struct slabuf_buffer *buffer);

// Gives back to the system what no buffer of the pool uses, and tells how many bytes that was. What other threads
// keep for themselves they give back when they next free a buffer of the pool.
//
// # Safety
//
// given_back can be written; nobody destroys the pool meanwhile.
enum slabuf_status slabuf_pool_trim(const struct slabuf_pool *pool,
                                    size_t *given_back);

// Tells what a pool holds. size is sizeof *usage: a program built with an older header gets the figures it knows.
//
// # Safety
//
// usage leads to size bytes that can be written; nobody destroys the pool meanwhile.
enum slabuf_status slabuf_pool_usage_get(const struct slabuf_pool *pool,
                                         struct slabuf_pool_usage *usage,
                                         size_t size);

// Tells what the process holds. size is sizeof *usage. Makes system calls.
//
// # Safety
//
// usage leads to size bytes that can be written.
enum slabuf_status slabuf_memory_usage_get(struct slabuf_memory_usage *usage, size_t size);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* SLABUF_H */
