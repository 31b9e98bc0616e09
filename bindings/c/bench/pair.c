/*
 * Measures one allocation and one free in ns: the best of 25 rounds, in each of which all cases
 * take turns. Each pair writes the buffer's first byte. No test runs this.
 *
 *   bindings/c/bench/run.sh
 */

#define _POSIX_C_SOURCE 199309L

#include "../tests/check.h"
#include "slabuf.h"

#include <time.h>

enum { ROUNDS = 25, PAIRS = 1000000 };

static double now_ns(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec * 1e9 + (double)time.tv_nsec;
}

static slabuf_pool *pool;

static void with_malloc(size_t len) {
    volatile char *data = malloc(len);
    if (data == NULL) {
        exit(1);
    }
    data[0] = 1;
    free((void *)data);
}

static void with_calloc(size_t len) {
    volatile char *data = calloc(1, len);
    if (data == NULL) {
        exit(1);
    }
    data[0] = 1;
    free((void *)data);
}

static void with_alloc_unsafe(size_t len) {
    slabuf_buffer buffer;
    if (slabuf_alloc_unsafe(len, &buffer) != SLABUF_STATUS_OK) {
        exit(1);
    }
    *(volatile uint8_t *)buffer.data = 1;
    slabuf_free(&buffer);
}

static void with_alloc(size_t len) {
    slabuf_buffer buffer;
    if (slabuf_alloc(len, &buffer) != SLABUF_STATUS_OK) {
        exit(1);
    }
    *(volatile uint8_t *)buffer.data = 1;
    slabuf_free(&buffer);
}

static void with_pool(size_t len) {
    slabuf_buffer buffer;
    if (slabuf_pool_alloc_unsafe(pool, len, &buffer) != SLABUF_STATUS_OK) {
        exit(1);
    }
    *(volatile uint8_t *)buffer.data = 1;
    slabuf_free(&buffer);
}

static void with_pool_both(size_t len) {
    slabuf_buffer buffer;
    if (slabuf_pool_alloc_unsafe(pool, len, &buffer) != SLABUF_STATUS_OK) {
        exit(1);
    }
    *(volatile uint8_t *)buffer.data = 1;
    slabuf_pool_free(pool, &buffer);
}

static const struct {
    const char *name;
    void (*pair)(size_t len);
} CASES[] = {
    {"malloc", with_malloc},          {"calloc", with_calloc},
    {"alloc_unsafe", with_alloc_unsafe}, {"alloc", with_alloc},
    {"pool_alloc_unsafe", with_pool}, {"with pool_free", with_pool_both},
};
enum { CASE_COUNT = sizeof CASES / sizeof *CASES };

int main(void) {
    static const size_t LENGTHS[] = {16, 64, 1000, 4000, 8000, 65536};
    slabuf_settings settings;
    EXPECT(OK, slabuf_settings_init(&settings, sizeof settings));
    EXPECT(OK, slabuf_pool_create(&settings, sizeof settings, &pool));
    printf("%8s", "bytes");
    for (int c = 0; c < CASE_COUNT; c++) {
        printf(" %18s", CASES[c].name);
    }
    putchar('\n');
    for (size_t l = 0; l < sizeof LENGTHS / sizeof *LENGTHS; l++) {
        double best[CASE_COUNT];
        /* Zeroing a large buffer takes long. */
        int pairs = LENGTHS[l] > 10000 ? PAIRS / 100 : PAIRS;
        for (int round = 0; round < ROUNDS; round++) {
            for (int c = 0; c < CASE_COUNT; c++) {
                double start = now_ns();
                for (int i = 0; i < pairs; i++) {
                    CASES[c].pair(LENGTHS[l]);
                }
                double time = (now_ns() - start) / pairs;
                if (round == 0 || time < best[c]) {
                    best[c] = time;
                }
            }
        }
        printf("%8zu", LENGTHS[l]);
        for (int c = 0; c < CASE_COUNT; c++) {
            printf(" %18.1f", best[c]);
        }
        putchar('\n');
    }
    EXPECT(OK, slabuf_pool_destroy(&pool));
    return 0;
}
