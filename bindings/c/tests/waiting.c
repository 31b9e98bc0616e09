/* Waiting for memory, and watermarks: with threads that free what others wait for. */

#define _POSIX_C_SOURCE 200809L

#include "check.h"
#include "helpers.h"
#include "slabuf.h"

#include <pthread.h>
#include <string.h>
#include <time.h>

static void pause_ms(long ms) {
    struct timespec time = {ms / 1000, ms % 1000 * 1000000};
    nanosleep(&time, NULL);
}

static void *free_later(void *buffer) {
    pause_ms(50);
    EXPECT(OK, slabuf_free(buffer));
    return NULL;
}

/* Fills a pool of 1 MiB, so that 600,000 more bytes do not fit. */
static slabuf_pool *full_pool(slabuf_buffer *held) {
    slabuf_settings settings = defaults();
    settings.limit = 1 << 20;
    slabuf_pool *pool = pool_of(settings);
    EXPECT(OK, slabuf_pool_alloc(pool, 600000, held));
    return pool;
}

static void allocations(void) {
    slabuf_buffer held, buffer;
    slabuf_pool *pool = full_pool(&held);
    EXPECT(LIMIT_EXCEEDED, slabuf_pool_alloc(pool, 600000, &buffer));
    memset(&buffer, 0xff, sizeof buffer);
    EXPECT(TIMED_OUT, slabuf_pool_alloc_timeout(pool, 600000, 0, &buffer));
    CHECK(is_zero(&buffer, sizeof buffer));
    EXPECT(TIMED_OUT, slabuf_pool_alloc_unsafe_timeout(pool, 600000, 20, &buffer));
    CHECK(is_zero(&buffer, sizeof buffer));

    /* A length that can never fit fails at once: this would wait for millions of years. */
    EXPECT(LIMIT_EXCEEDED, slabuf_pool_alloc_timeout(pool, 2 << 20, UINT64_MAX, &buffer));
    EXPECT(TOO_LARGE, slabuf_pool_alloc_timeout(pool, SIZE_MAX, UINT64_MAX, &buffer));

    /* Another thread frees. */
    for (int zeroed = 0; zeroed < 2; zeroed++) {
        memset(held.data, 0xa5, held.len);
        pthread_t thread;
        CHECK(pthread_create(&thread, NULL, free_later, &held) == 0);
        if (zeroed) {
            EXPECT(OK, slabuf_pool_alloc_timeout(pool, 600000, UINT64_MAX, &buffer));
            CHECK(is_zero(buffer.data, buffer.len));
        } else {
            EXPECT(OK, slabuf_pool_alloc_unsafe_timeout(pool, 600000, UINT64_MAX, &buffer));
        }
        CHECK(pthread_join(thread, NULL) == 0);
        CHECK(buffer.len == 600000);
        held = buffer;
    }
    EXPECT(OK, slabuf_free(&held));

    /* What fits does not wait, in a pool without a limit either. */
    EXPECT(OK, slabuf_pool_alloc_timeout(pool, 100, 0, &buffer));
    EXPECT(OK, slabuf_free(&buffer));
    EXPECT(OK, slabuf_pool_alloc_timeout(slabuf_pool_global(), 100, 0, &buffer));
    EXPECT(OK, slabuf_free(&buffer));
    EXPECT(OK, slabuf_pool_destroy(&pool));
}

static int over(const slabuf_pool *pool) {
    int is_over = -1;
    EXPECT(OK, slabuf_pool_is_over_high_water(pool, &is_over));
    return is_over;
}

static void watermarks(void) {
    slabuf_settings settings = defaults();
    settings.high_water_mark = 300000;
    settings.low_water_mark = 100000;
    slabuf_pool *pool = pool_of(settings);
    slabuf_buffer buffers[3];
    for (int i = 0; i < 3; i++) {
        CHECK(over(pool) == 0);
        EXPECT(OK, slabuf_pool_wait_drained(pool, 0));
        EXPECT(OK, slabuf_pool_alloc(pool, 100000, &buffers[i]));
    }
    CHECK(over(pool) == 1); /* exactly the mark */
    EXPECT(TIMED_OUT, slabuf_pool_wait_drained(pool, 0));
    EXPECT(TIMED_OUT, slabuf_pool_wait_drained(pool, 20));
    EXPECT(OK, slabuf_free(&buffers[0]));
    CHECK(over(pool) == 1); /* below the high mark, above the low one */
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, free_later, &buffers[1]) == 0);
    EXPECT(OK, slabuf_pool_wait_drained(pool, UINT64_MAX));
    CHECK(over(pool) == 0);
    CHECK(pthread_join(thread, NULL) == 0);
    EXPECT(OK, slabuf_free(&buffers[2]));
    EXPECT(OK, slabuf_pool_destroy(&pool));

    /* The default low mark is half the high one, 1 means empty. */
    for (uint64_t low = 0; low < 2; low++) {
        settings.low_water_mark = low;
        pool = pool_of(settings);
        EXPECT(OK, slabuf_pool_alloc(pool, 140000, &buffers[0]));
        EXPECT(OK, slabuf_pool_alloc(pool, 160000, &buffers[1]));
        CHECK(over(pool) == 1);
        EXPECT(OK, slabuf_free(&buffers[1]));
        CHECK(over(pool) == (int)low);
        EXPECT(OK, slabuf_free(&buffers[0]));
        CHECK(over(pool) == 0);
        EXPECT(OK, slabuf_pool_destroy(&pool));
    }
    CHECK(over(slabuf_pool_global()) == 0);
    EXPECT(OK, slabuf_pool_wait_drained(slabuf_pool_global(), 0));
}

int main(void) {
    allocations();
    watermarks();
    nothing_is_left();
    puts("waiting: ok");
    return 0;
}
