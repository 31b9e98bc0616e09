/* Functions that the C programs share. */
#ifndef HELPERS_H
#define HELPERS_H

#include "check.h"
#include "slabuf.h"

#include <stdbool.h>
#include <string.h>

static inline bool is_filled(const uint8_t *data, size_t len, uint8_t byte) {
    for (size_t i = 0; i < len; i++) {
        if (data[i] != byte) {
            return false;
        }
    }
    return true;
}

static inline bool is_zero(const void *at, size_t size) { return is_filled(at, size, 0); }

static inline slabuf_pool_usage usage_of(const slabuf_pool *pool) {
    slabuf_pool_usage usage;
    memset(&usage, 0xff, sizeof usage);
    EXPECT(OK, slabuf_pool_usage_get(pool, &usage, sizeof usage));
    return usage;
}

static inline slabuf_settings defaults(void) {
    slabuf_settings settings;
    EXPECT(OK, slabuf_settings_init(&settings, sizeof settings));
    return settings;
}

static inline slabuf_pool *pool_of(slabuf_settings settings) {
    slabuf_pool *pool = NULL;
    EXPECT(OK, slabuf_pool_create(&settings, sizeof settings, &pool));
    CHECK(pool != NULL);
    return pool;
}

/* Checks that no buffer of the global pool and no other pool exists. */
static inline void nothing_is_left(void) {
    size_t given_back;
    EXPECT(OK, slabuf_pool_trim(slabuf_pool_global(), &given_back));
    slabuf_pool_usage usage = usage_of(slabuf_pool_global());
    CHECK(usage.in_use == 0 && usage.cached == 0 && usage.array_buffers == 0);
    slabuf_memory_usage process;
    EXPECT(OK, slabuf_memory_usage_get(&process, sizeof process));
    CHECK(process.array_buffers == 0 && process.external == usage.external);
}

#endif
