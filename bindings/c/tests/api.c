/* Correct use of buffers, pools, settings and counters. misuse.c has the mistakes. */

#include "check.h"
#include "helpers.h"
#include "slabuf.h"

#include <string.h>

/* Around each border between size classes, slots and mappings, and pages. */
static const size_t LENGTHS[] = {0,    1,    15,    16,    17,    100,    1024,    1025,   2048,
                                 2049, 4096, 8191,  8192,  8193,  12288,  65535,   65536,  65537,
                                 (2 << 20) - 1, 2 << 20, (2 << 20) + 1, 5000001};
#define LENGTH_COUNT (sizeof LENGTHS / sizeof *LENGTHS)

static void zeroed_after_stale(const slabuf_pool *pool) {
    for (size_t i = 0; i < LENGTH_COUNT; i++) {
        size_t len = LENGTHS[i];
        slabuf_buffer buffer;
        EXPECT(OK, slabuf_pool_alloc_unsafe(pool, len, &buffer));
        CHECK(buffer.data != NULL && (uintptr_t)buffer.data % 16 == 0);
        CHECK(buffer.len == len && buffer.capacity >= len);
        /* All of the capacity may be written. */
        memset(buffer.data, 0xa5, buffer.capacity);
        EXPECT(OK, slabuf_free(&buffer));
        CHECK(is_zero(&buffer, sizeof buffer));

        EXPECT(OK, slabuf_pool_alloc(pool, len, &buffer));
        CHECK(buffer.len == len && buffer.capacity >= len);
        CHECK(is_zero(buffer.data, len));
        memset(buffer.data, 0x5a, buffer.capacity);
        EXPECT(OK, slabuf_pool_free(pool, &buffer));
        CHECK(is_zero(&buffer, sizeof buffer));
    }
}

/* The functions without a pool argument use the global pool. */
static void the_global_pool(void) {
    const slabuf_pool *global = slabuf_pool_global();
    uint64_t before = usage_of(global).in_use;
    slabuf_buffer small, large;
    EXPECT(OK, slabuf_alloc_unsafe(100, &small));
    memset(small.data, 0xa5, small.capacity);
    EXPECT(OK, slabuf_free(&small));
    EXPECT(OK, slabuf_alloc(100, &small));
    CHECK(is_zero(small.data, 100));
    EXPECT(OK, slabuf_alloc_unsafe(100000, &large));
    CHECK(usage_of(global).in_use >= before + 100 + 100000);

    slabuf_memory_usage process;
    EXPECT(OK, slabuf_memory_usage_get(&process, sizeof process));
    CHECK(process.rss > 0 && process.heap_total >= process.heap_used);
    CHECK(process.array_buffers >= 100100 && process.external >= process.array_buffers);

    EXPECT(OK, slabuf_pool_free(global, &small));
    EXPECT(OK, slabuf_free(&large));
    CHECK(usage_of(global).in_use == before);
    size_t given_back = 0;
    EXPECT(OK, slabuf_pool_trim(global, &given_back));
    CHECK(given_back > 0);
}

static void views_and_lengths(void) {
    slabuf_buffer buffer;
    slabuf_view view;
    EXPECT(OK, slabuf_alloc(1000, &buffer));
    memset(buffer.data, 7, 1000);
    EXPECT(OK, slabuf_buffer_view(&buffer, &view));
    CHECK(view.data == buffer.data && view.len == 1000 && view.capacity == buffer.capacity);
    CHECK(is_filled(view.data, view.len, 7));

    EXPECT(OK, slabuf_set_len(&buffer, buffer.capacity));
    CHECK(buffer.len == buffer.capacity && buffer.data == view.data);
    EXPECT(BAD_LENGTH, slabuf_set_len(&buffer, buffer.capacity + 1));
    EXPECT(BAD_LENGTH, slabuf_set_len(&buffer, SIZE_MAX));
    CHECK(buffer.len == buffer.capacity);
    EXPECT(OK, slabuf_set_len(&buffer, 10));

    /* A shorter length changes nothing. With a longer one the bytes stay, and added bytes are
     * zero. */
    EXPECT(OK, slabuf_grow(&buffer, 5));
    CHECK(buffer.len == 10);
    size_t to[] = {11, 1000, 8192, 8193, 100000, 4000000};
    size_t filled = 10;
    for (size_t i = 0; i < sizeof to / sizeof *to; i++) {
        EXPECT(OK, slabuf_grow(&buffer, to[i]));
        CHECK(buffer.len == to[i] && buffer.capacity >= to[i]);
        CHECK(is_filled(buffer.data, filled, 7));
        CHECK(is_zero(buffer.data + filled, to[i] - filled));
        memset(buffer.data, 7, buffer.len);
        filled = buffer.len;
    }
    slabuf_buffer before = buffer;
    EXPECT(TOO_LARGE, slabuf_grow(&buffer, SIZE_MAX));
    CHECK(memcmp(&before, &buffer, sizeof buffer) == 0);
    CHECK(is_filled(buffer.data, filled, 7));
    EXPECT(OK, slabuf_free(&buffer));
}

static void limits(void) {
    slabuf_settings settings = defaults();
    settings.limit = 256 << 10;
    slabuf_pool *pool = pool_of(settings);
    slabuf_buffer held[64];
    size_t count = 0;
    slabuf_status status = SLABUF_STATUS_OK;
    while (count < 64) {
        status = slabuf_pool_alloc(pool, 10000, &held[count]);
        if (status != SLABUF_STATUS_OK) {
            break;
        }
        count++;
    }
    CHECK(status == SLABUF_STATUS_LIMIT_EXCEEDED && count >= 16 && count < 64);
    CHECK(is_zero(&held[count], sizeof held[count]));
    CHECK(usage_of(pool).external <= 256 << 10);
    CHECK(usage_of(pool).large_live == 10000 * count);
    slabuf_buffer before = held[0];
    EXPECT(LIMIT_EXCEEDED, slabuf_grow(&held[0], 300000));
    CHECK(memcmp(&before, &held[0], sizeof before) == 0 && is_zero(held[0].data, 10000));

    /* One free makes room again. */
    EXPECT(OK, slabuf_free(&held[--count]));
    EXPECT(OK, slabuf_pool_alloc(pool, 10000, &held[count++]));
    while (count > 0) {
        EXPECT(OK, slabuf_pool_free(pool, &held[--count]));
    }
    size_t given_back;
    EXPECT(OK, slabuf_pool_trim(pool, &given_back));
    slabuf_pool_usage usage = usage_of(pool);
    CHECK(usage.external_peak > 10000 * 16 && usage.external_peak <= 256 << 10);
    CHECK(usage.refused == 2);
    /* All counters of the present are zero. */
    CHECK(is_zero(&usage, offsetof(slabuf_pool_usage, external_peak)));
    CHECK(usage.waiters == 0 && usage.timed_out == 0);
    EXPECT(OK, slabuf_pool_destroy(&pool));
    CHECK(pool == NULL);
}

static void settings_reach_the_pool(void) {
    slabuf_settings settings = defaults();
    CHECK(settings.slab_size == 8192 && settings.limit == SLABUF_NO_LIMIT);
    CHECK(settings.cache_limit == SLABUF_DEFAULT_CACHE_LIMIT && settings.decay_ms == 10000);
    CHECK(settings.flags == SLABUF_HUGE_PAGES);
    settings.slab_size = 64 << 10;
    settings.cache_limit = 0;
    settings.decay_ms = 0;
    settings.flags = SLABUF_ZERO_FILL | SLABUF_GUARD_PAGES;
    slabuf_pool *pool = pool_of(settings);
    slabuf_buffer buffer;
    EXPECT(OK, slabuf_pool_alloc(pool, 64 << 10, &buffer));
    CHECK(usage_of(pool).large_live == 0 && usage_of(pool).array_buffers == 64 << 10);
    memset(buffer.data, 1, buffer.len);
    EXPECT(OK, slabuf_free(&buffer));
    EXPECT(OK, slabuf_pool_alloc_unsafe(pool, 64 << 10, &buffer));
    CHECK(is_zero(buffer.data, buffer.len));
    EXPECT(OK, slabuf_free(&buffer));
    EXPECT(OK, slabuf_pool_alloc(pool, 100000, &buffer));
    EXPECT(OK, slabuf_free(&buffer));
    CHECK(usage_of(pool).large_cached == 0);
    EXPECT(OK, slabuf_pool_destroy(&pool));

    /* Freed memory is wiped: the next buffer of the same memory shows it. */
    settings = defaults();
    settings.flags = SLABUF_ZERO_ON_FREE;
    pool = pool_of(settings);
    EXPECT(OK, slabuf_pool_alloc_unsafe(pool, 100, &buffer));
    uint8_t *data = buffer.data;
    memset(data, 0xa5, 100);
    EXPECT(OK, slabuf_free(&buffer));
    EXPECT(OK, slabuf_pool_alloc_unsafe(pool, 100, &buffer));
    CHECK(buffer.data == data && is_zero(data, 100));
    EXPECT(OK, slabuf_free(&buffer));
    EXPECT(OK, slabuf_pool_destroy(&pool));
}

/* Each counter, where no other has its value. */
static void counters(void) {
    slabuf_pool *pool = pool_of(defaults());
    slabuf_pool_usage usage = usage_of(pool);
    CHECK(is_zero(&usage, sizeof usage));
    slabuf_buffer small, kilobytes[8], large, freed;
    /* One slab with some of its 512 slots in use, another with all of its 8. */
    EXPECT(OK, slabuf_pool_alloc(pool, 16, &small));
    usage = usage_of(pool);
    CHECK(usage.slabs_partial == 1 && usage.slabs_full == 0 && usage.in_use == 16);
    for (size_t i = 0; i < 8; i++) {
        EXPECT(OK, slabuf_pool_alloc(pool, 1000, &kilobytes[i]));
    }
    usage = usage_of(pool);
    CHECK(usage.slabs_partial == 1 && usage.slabs_full == 1 && usage.slabs_empty > 2);
    CHECK(usage.in_use == 16 + 8 * 1024 && usage.array_buffers == 2 * 8192);
    CHECK(usage.external >= (usage.slabs_empty + 2) * 8192);
    EXPECT(OK, slabuf_pool_alloc(pool, 100000, &large));
    EXPECT(OK, slabuf_pool_alloc(pool, 50000, &freed));
    size_t capacity = freed.capacity;
    EXPECT(OK, slabuf_pool_free(pool, &freed));
    usage = usage_of(pool);
    CHECK(usage.large_live == 100000 && usage.large_cached == capacity);
    CHECK(usage.in_use == 16 + 8 * 1024 + 100000 && usage.array_buffers == 2 * 8192 + 100000);
    CHECK(usage.cached == capacity + 2 * 8192 - 16 - 8 * 1024);
    EXPECT(OK, slabuf_free(&small));
    for (size_t i = 0; i < 8; i++) {
        EXPECT(OK, slabuf_free(&kilobytes[i]));
    }
    EXPECT(OK, slabuf_free(&large));
    EXPECT(OK, slabuf_pool_destroy(&pool));
}

/* More pools than a block of the handle table holds, destroyed in another order. */
static void many_pools(void) {
    enum { COUNT = 600 };
    static slabuf_pool *pools[COUNT];
    static slabuf_buffer buffers[COUNT];
    for (int round = 0; round < 2; round++) {
        for (size_t i = 0; i < COUNT; i++) {
            slabuf_settings settings = defaults();
            settings.limit = (256 << 10) + 4096 * i;
            pools[i] = pool_of(settings);
        }
        for (size_t i = 0; i < COUNT; i += 7) {
            EXPECT(OK, slabuf_pool_alloc(pools[i], 100 + i, &buffers[i]));
            CHECK(usage_of(pools[i]).in_use >= 100 + i);
        }
        for (size_t i = 0; i < COUNT; i += 7) {
            EXPECT(OK, slabuf_pool_free(pools[i], &buffers[i]));
        }
        for (size_t i = 0; i < COUNT; i++) {
            EXPECT(OK, slabuf_pool_destroy(&pools[i * 7 % COUNT]));
        }
    }
}

static void messages(void) {
    for (int status = 0; status <= SLABUF_STATUS_TOO_MANY_BUDGETS; status++) {
        const char *message = slabuf_status_message(status);
        CHECK(message != NULL && strlen(message) > 3 && strchr(message, '\n') == NULL);
        for (int other = -1; other < status; other++) {
            CHECK(strcmp(message, slabuf_status_message(other)) != 0);
        }
    }
    const char *unknown = slabuf_status_message(-1);
    CHECK(strcmp(unknown, slabuf_status_message(SLABUF_STATUS_TOO_MANY_BUDGETS + 1)) == 0);
    CHECK(strcmp(unknown, slabuf_status_message(2147483647)) == 0);
}

int main(void) {
    zeroed_after_stale(slabuf_pool_global());
    slabuf_pool *pool = pool_of(defaults());
    zeroed_after_stale(pool);
    CHECK(usage_of(pool).in_use == 0);
    EXPECT(OK, slabuf_pool_destroy(&pool));
    the_global_pool();
    views_and_lengths();
    limits();
    settings_reach_the_pool();
    counters();
    many_pools();
    messages();

    nothing_is_left();
    puts("C: ok");
    return 0;
}
