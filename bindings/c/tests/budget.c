/* Budgets: a limit that several pools share. */

#define _POSIX_C_SOURCE 200809L

#include "check.h"
#include "helpers.h"
#include "slabuf.h"

#include <pthread.h>
#include <string.h>
#include <time.h>

static slabuf_budget *budget_of(size_t bytes) {
    slabuf_budget *budget = NULL;
    EXPECT(OK, slabuf_budget_create(bytes, &budget));
    CHECK(budget != NULL);
    return budget;
}

static slabuf_pool *pool_in(const slabuf_budget *budget) {
    slabuf_settings settings = defaults();
    settings.budget = budget;
    return pool_of(settings);
}

static slabuf_budget_usage usage_in(const slabuf_budget *budget) {
    slabuf_budget_usage usage;
    memset(&usage, 0xff, sizeof usage);
    EXPECT(OK, slabuf_budget_usage_get(budget, &usage, sizeof usage));
    return usage;
}

static void two_pools(void) {
    slabuf_budget *budget = budget_of(1 << 20);
    slabuf_budget_usage usage = usage_in(budget);
    CHECK(usage.limit == 1 << 20);
    usage.limit = 0;
    CHECK(is_zero(&usage, sizeof usage));

    slabuf_pool *first = pool_in(budget), *second = pool_in(budget), *other = pool_of(defaults());
    slabuf_buffer held, buffer, changed;
    EXPECT(OK, slabuf_pool_alloc(first, 700000, &held));
    memset(&buffer, 0xff, sizeof buffer);
    EXPECT(BUDGET_EXCEEDED, slabuf_pool_alloc(second, 700000, &buffer));
    CHECK(is_zero(&buffer, sizeof buffer));
    EXPECT(OK, slabuf_pool_alloc(second, 100, &buffer));
    changed = buffer;
    EXPECT(BUDGET_EXCEEDED, slabuf_grow(&changed, 700000));
    CHECK(memcmp(&buffer, &changed, sizeof buffer) == 0);
    EXPECT(OK, slabuf_free(&buffer));
    EXPECT(OK, slabuf_pool_alloc(other, 700000, &buffer));
    EXPECT(OK, slabuf_free(&buffer));
    usage = usage_in(budget);
    CHECK(usage.pools == 2 && usage.refused == 2 && usage.waiters == 0 && usage.timed_out == 0);
    CHECK(usage.mapped == usage_of(first).external + usage_of(second).external);
    CHECK(usage.peak >= usage.mapped && usage.peak <= usage.limit);
    CHECK(usage_of(first).refused == 0 && usage_of(second).refused == 2);

    /* What the first pool keeps for reuse is released for the second. */
    EXPECT(OK, slabuf_free(&held));
    CHECK(usage_of(first).cached >= 700000);
    EXPECT(OK, slabuf_pool_alloc(second, 700000, &buffer));
    EXPECT(OK, slabuf_free(&buffer));

    size_t given_back = 0;
    uint64_t mapped = usage_in(budget).mapped;
    EXPECT(OK, slabuf_budget_trim(budget, &given_back));
    CHECK(given_back >= mapped && mapped >= 700000);
    usage = usage_in(budget);
    CHECK(usage.mapped == 0 && usage.peak >= 700000);
    CHECK(usage_of(first).external == 0 && usage_of(first).external_peak >= 700000);

    /* All pools, not those of the budget only. */
    EXPECT(OK, slabuf_pool_alloc(other, 300000, &buffer));
    EXPECT(OK, slabuf_free(&buffer));
    EXPECT(OK, slabuf_pool_alloc(first, 300000, &buffer));
    EXPECT(OK, slabuf_free(&buffer));
    EXPECT(OK, slabuf_trim_all(&given_back));
    CHECK(given_back >= 600000);
    CHECK(usage_of(other).external == 0 && usage_of(first).external == 0);

    EXPECT(OK, slabuf_pool_destroy(&first));
    CHECK(usage_in(budget).pools == 1);
    EXPECT(OK, slabuf_pool_destroy(&second));
    EXPECT(OK, slabuf_pool_destroy(&other));
    EXPECT(OK, slabuf_budget_destroy(&budget));
    CHECK(budget == NULL);
}

/* The handle is not needed any more once the pools are created. */
static void destroyed_before_its_pools(void) {
    slabuf_budget *budget = budget_of(1 << 20), *copy = budget;
    slabuf_pool *first = pool_in(budget), *second = pool_in(budget);
    slabuf_buffer held, buffer;
    EXPECT(OK, slabuf_pool_alloc(first, 700000, &held));
    EXPECT(OK, slabuf_budget_destroy(&budget));
    EXPECT(BUDGET_EXCEEDED, slabuf_pool_alloc(second, 700000, &buffer));
    EXPECT(OK, slabuf_pool_destroy(&first));
    EXPECT(BUDGET_EXCEEDED, slabuf_pool_alloc(second, 700000, &buffer));
    EXPECT(OK, slabuf_free(&held));
    EXPECT(OK, slabuf_pool_alloc(second, 700000, &buffer));
    EXPECT(OK, slabuf_free(&buffer));
    EXPECT(OK, slabuf_pool_destroy(&second));
    EXPECT(NOT_A_BUDGET, slabuf_budget_destroy(&copy));
}

static void bad_settings(void) {
    slabuf_budget *budget = budget_of(1 << 20), *small = budget_of(32767);
    slabuf_settings settings = defaults();
    slabuf_pool *pool;
    settings.budget = small;
    EXPECT(BAD_BUDGET, slabuf_pool_create(&settings, sizeof settings, &pool));
    settings.budget = budget;
    settings.limit = (1 << 20) + 1;
    EXPECT(BAD_BUDGET, slabuf_pool_create(&settings, sizeof settings, &pool));
    settings.limit = SLABUF_NO_LIMIT;
    settings.cache_limit = (1 << 20) + 1;
    EXPECT(BAD_CACHE_LIMIT, slabuf_pool_create(&settings, sizeof settings, &pool));
    settings.cache_limit = SLABUF_DEFAULT_CACHE_LIMIT;
    settings.high_water_mark = (1 << 20) + 1;
    EXPECT(BAD_WATERMARK, slabuf_pool_create(&settings, sizeof settings, &pool));
    CHECK(pool == NULL);
    settings.high_water_mark = 1 << 20;
    settings.limit = 1 << 20;
    pool = pool_of(settings);
    CHECK(usage_in(budget).pools == 1);
    EXPECT(OK, slabuf_pool_destroy(&pool));
    EXPECT(OK, slabuf_budget_destroy(&small));

    /* A program that was built before settings had a budget. */
    settings = defaults();
    settings.budget = (const slabuf_budget *)&settings;
    EXPECT(OK, slabuf_pool_create(&settings, 64, &pool));
    EXPECT(OK, slabuf_pool_destroy(&pool));
    EXPECT(OK, slabuf_budget_destroy(&budget));
}

static void sizes(void) {
    slabuf_budget *budget = budget_of(1 << 20);
    struct {
        slabuf_budget_usage known;
        uint64_t beyond;
    } more = {.beyond = 1};
    EXPECT(OK, slabuf_budget_usage_get(budget, &more.known, sizeof more));
    CHECK(more.known.limit == 1 << 20 && more.beyond == 0);
    more.known.limit = 77;
    EXPECT(BAD_SIZE, slabuf_budget_usage_get(budget, &more.known, 55));
    EXPECT(BAD_SIZE, slabuf_budget_usage_get(budget, &more.known, 4097));
    CHECK(more.known.limit == 77);
    EXPECT(OK, slabuf_budget_destroy(&budget));
}

static void no_budgets(void) {
    slabuf_budget *budget = budget_of(1 << 20), *none = NULL;
    slabuf_budget_usage usage;
    size_t given_back = 77;
    EXPECT(BAD_POINTER, slabuf_budget_create(1, NULL));
    EXPECT(BAD_POINTER, slabuf_budget_destroy(NULL));
    EXPECT(BAD_POINTER, slabuf_budget_destroy(&none));
    EXPECT(BAD_POINTER, slabuf_budget_usage_get(NULL, &usage, sizeof usage));
    EXPECT(BAD_POINTER, slabuf_budget_usage_get(budget, NULL, sizeof usage));
    EXPECT(BAD_POINTER, slabuf_budget_trim(budget, NULL));
    EXPECT(BAD_POINTER, slabuf_budget_trim(NULL, &given_back));
    CHECK(given_back == 0);
    EXPECT(BAD_POINTER, slabuf_trim_all(NULL));

    /* A budget that is gone, a pool, the global pool, and other numbers. */
    slabuf_budget *gone = budget_of(1 << 20), *copy = gone;
    EXPECT(OK, slabuf_budget_destroy(&gone));
    slabuf_budget *again = budget_of(1 << 20);
    slabuf_pool *pool = pool_of(defaults());
    slabuf_budget *wrong[] = {copy, (slabuf_budget *)(void *)pool, (slabuf_budget *)slabuf_pool_global(),
                              (slabuf_budget *)&usage, (slabuf_budget *)UINTPTR_MAX};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        slabuf_settings settings = defaults();
        settings.budget = wrong[i];
        slabuf_pool *created;
        EXPECT(NOT_A_BUDGET, slabuf_pool_create(&settings, sizeof settings, &created));
        CHECK(created == NULL);
        EXPECT(NOT_A_BUDGET, slabuf_budget_usage_get(wrong[i], &usage, sizeof usage));
        EXPECT(NOT_A_BUDGET, slabuf_budget_trim(wrong[i], &given_back));
        slabuf_budget *same = wrong[i];
        EXPECT(NOT_A_BUDGET, slabuf_budget_destroy(&same));
        CHECK(same == wrong[i]);
    }
    slabuf_pool *no_pool = (slabuf_pool *)(void *)budget;
    EXPECT(NOT_A_POOL, slabuf_pool_destroy(&no_pool));
    EXPECT(OK, slabuf_pool_destroy(&pool));
    EXPECT(OK, slabuf_budget_destroy(&again));
    EXPECT(OK, slabuf_budget_destroy(&budget));
}

/* Waits until a request waits for the budget, then frees. */
struct waited_for {
    const slabuf_budget *budget;
    slabuf_buffer held;
};

static void *free_for_waiter(void *of) {
    struct waited_for *waited_for = of;
    while (usage_in(waited_for->budget).waiters == 0) {
        struct timespec millisecond = {0, 1000000};
        nanosleep(&millisecond, NULL);
    }
    EXPECT(OK, slabuf_free(&waited_for->held));
    return NULL;
}

static void waiting(void) {
    slabuf_budget *budget = budget_of(1 << 20);
    slabuf_pool *first = pool_in(budget), *second = pool_in(budget);
    struct waited_for waited_for = {.budget = budget};
    slabuf_buffer buffer;
    EXPECT(OK, slabuf_pool_alloc(first, 700000, &waited_for.held));
    EXPECT(TIMED_OUT, slabuf_pool_alloc_timeout(second, 700000, 0, &buffer));
    EXPECT(TIMED_OUT, slabuf_pool_alloc_unsafe_timeout(second, 700000, 20, &buffer));
    CHECK(is_zero(&buffer, sizeof buffer));
    CHECK(usage_in(budget).timed_out == 2 && usage_in(budget).refused == 0);
    CHECK(usage_of(second).timed_out == 2 && usage_of(first).timed_out == 0);
    /* A length that can never fit fails at once: this would wait for millions of years. */
    EXPECT(BUDGET_EXCEEDED, slabuf_pool_alloc_timeout(second, 2 << 20, UINT64_MAX, &buffer));

    /* Another thread frees a buffer of the other pool. */
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, free_for_waiter, &waited_for) == 0);
    EXPECT(OK, slabuf_pool_alloc_timeout(second, 700000, UINT64_MAX, &buffer));
    CHECK(pthread_join(thread, NULL) == 0);
    CHECK(is_zero(buffer.data, buffer.len) && usage_in(budget).waiters == 0);
    EXPECT(OK, slabuf_free(&buffer));
    EXPECT(OK, slabuf_pool_destroy(&first));
    EXPECT(OK, slabuf_pool_destroy(&second));
    EXPECT(OK, slabuf_budget_destroy(&budget));
}

int main(void) {
    two_pools();
    destroyed_before_its_pools();
    bad_settings();
    sizes();
    no_budgets();
    waiting();
    nothing_is_left();
    puts("budgets: ok");
    return 0;
}
