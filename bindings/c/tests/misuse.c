/* The mistakes in the README's table: each returns its status and changes nothing else. */

#include "check.h"
#include "helpers.h"
#include "slabuf.h"

#include <string.h>

static void bad_settings(void) {
    slabuf_pool *const mark = (slabuf_pool *)slabuf_pool_global();
    struct {
        slabuf_status back;
        slabuf_settings settings;
    } rows[13];
    size_t count = 0;
#define ROW(status, field, value)                             \
    rows[count].back = SLABUF_STATUS_##status;                \
    rows[count].settings = defaults();                        \
    rows[count++].settings.field = (value)
    ROW(BAD_SLAB_SIZE, slab_size, 0);
    ROW(BAD_SLAB_SIZE, slab_size, 5000);
    ROW(BAD_SLAB_SIZE, slab_size, 2 << 20);
    ROW(BAD_LIMIT, limit, 0);
    ROW(BAD_LIMIT, limit, 32767);
    ROW(BAD_CACHE_LIMIT, limit, 1 << 20);
    rows[count - 1].settings.cache_limit = 2 << 20;
    ROW(BAD_WATERMARK, low_water_mark, 5);
    ROW(BAD_WATERMARK, high_water_mark, 5);
    rows[count - 1].settings.low_water_mark = 5;
    ROW(BAD_WATERMARK, high_water_mark, (1 << 20) + 1);
    rows[count - 1].settings.limit = 1 << 20;
    ROW(BAD_FLAGS, flags, 16);
    ROW(BAD_FLAGS, flags, UINT64_MAX);
    for (size_t i = 0; i < count; i++) {
        slabuf_pool *pool = mark;
        CHECK(slabuf_pool_create(&rows[i].settings, sizeof rows[i].settings, &pool) == rows[i].back);
        CHECK(pool == NULL);
    }
}

/* A header older or newer than the library. */
static void sizes(void) {
    struct {
        slabuf_settings known;
        uint64_t beyond[2];
    } newer;
    memset(&newer, 0xff, sizeof newer);
    EXPECT(OK, slabuf_settings_init(&newer.known, sizeof newer));
    CHECK(newer.known.slab_size == 8192 && is_zero(newer.beyond, sizeof newer.beyond));
    slabuf_pool *pool = NULL;
    EXPECT(OK, slabuf_pool_create(&newer.known, sizeof newer, &pool));
    EXPECT(OK, slabuf_pool_destroy(&pool));
    newer.beyond[1] = 1;
    EXPECT(BAD_SIZE, slabuf_pool_create(&newer.known, sizeof newer, &pool));
    /* Older: the fields behind the first version count as zeros. */
    newer.known.high_water_mark = UINT64_MAX;
    EXPECT(OK, slabuf_pool_create(&newer.known, 40, &pool));
    EXPECT(OK, slabuf_pool_destroy(&pool));
    EXPECT(BAD_SIZE, slabuf_pool_create(&newer.known, 39, &pool));
    EXPECT(BAD_SIZE, slabuf_pool_create(&newer.known, 0, &pool));
    EXPECT(BAD_SIZE, slabuf_pool_create(&newer.known, SIZE_MAX, &pool));
    EXPECT(BAD_SIZE, slabuf_settings_init(&newer.known, 8));
    EXPECT(BAD_SIZE, slabuf_settings_init(&newer.known, 4097));
    CHECK(newer.known.slab_size == 8192);

    struct {
        slabuf_pool_usage known;
        uint64_t beyond;
    } more = {.beyond = 1};
    EXPECT(OK, slabuf_pool_usage_get(slabuf_pool_global(), &more.known, sizeof more));
    CHECK(more.beyond == 0);
    more.known.external = 77;
    EXPECT(BAD_SIZE, slabuf_pool_usage_get(slabuf_pool_global(), &more.known, 71));
    EXPECT(BAD_SIZE, slabuf_pool_usage_get(slabuf_pool_global(), &more.known, SIZE_MAX));
    CHECK(more.known.external == 77);
    slabuf_memory_usage process = {.rss = 77};
    EXPECT(BAD_SIZE, slabuf_memory_usage_get(&process, 39));
    EXPECT(BAD_SIZE, slabuf_memory_usage_get(&process, 4097));
    CHECK(process.rss == 77);
}

static void null_pointers(void) {
    const slabuf_pool *global = slabuf_pool_global();
    slabuf_settings settings = defaults();
    slabuf_buffer buffer;
    slabuf_view view;
    slabuf_pool *pool = NULL;
    slabuf_pool_usage usage;
    size_t given_back;
    EXPECT(BAD_POINTER, slabuf_alloc(1, NULL));
    EXPECT(BAD_POINTER, slabuf_alloc_unsafe(1, NULL));
    EXPECT(BAD_POINTER, slabuf_free(NULL));
    EXPECT(BAD_POINTER, slabuf_set_len(NULL, 1));
    EXPECT(BAD_POINTER, slabuf_grow(NULL, 1));
    EXPECT(BAD_POINTER, slabuf_buffer_view(NULL, &view));
    CHECK(is_zero(&view, sizeof view));
    EXPECT(BAD_POINTER, slabuf_settings_init(NULL, sizeof settings));
    EXPECT(BAD_POINTER, slabuf_pool_create(NULL, sizeof settings, &pool));
    EXPECT(BAD_POINTER, slabuf_pool_create(&settings, sizeof settings, NULL));
    EXPECT(BAD_POINTER, slabuf_pool_destroy(NULL));
    EXPECT(BAD_POINTER, slabuf_pool_destroy(&pool));
    EXPECT(BAD_POINTER, slabuf_pool_alloc(NULL, 1, &buffer));
    CHECK(is_zero(&buffer, sizeof buffer));
    EXPECT(BAD_POINTER, slabuf_pool_alloc(global, 1, NULL));
    EXPECT(BAD_POINTER, slabuf_pool_alloc_unsafe(NULL, 1, &buffer));
    EXPECT(BAD_POINTER, slabuf_pool_alloc_unsafe(global, 1, NULL));
    EXPECT(BAD_POINTER, slabuf_pool_alloc_timeout(NULL, 1, 0, &buffer));
    EXPECT(BAD_POINTER, slabuf_pool_alloc_timeout(global, 1, 0, NULL));
    EXPECT(BAD_POINTER, slabuf_pool_alloc_unsafe_timeout(NULL, 1, 0, &buffer));
    EXPECT(BAD_POINTER, slabuf_pool_alloc_unsafe_timeout(global, 1, 0, NULL));
    int over = 77;
    EXPECT(BAD_POINTER, slabuf_pool_is_over_high_water(global, NULL));
    EXPECT(BAD_POINTER, slabuf_pool_is_over_high_water(NULL, &over));
    CHECK(over == 0);
    EXPECT(BAD_POINTER, slabuf_pool_wait_drained(NULL, 0));
    EXPECT(BAD_POINTER, slabuf_pool_samples_get(global, NULL, sizeof(slabuf_sample), 1, &given_back));
    EXPECT(BAD_POINTER, slabuf_pool_regions_get(global, NULL, sizeof(slabuf_region_snapshot), 1, &given_back));
    EXPECT(BAD_POINTER, slabuf_pool_slabs_get(global, NULL, sizeof(slabuf_slab_snapshot), 1, &given_back));
    EXPECT(BAD_POINTER, slabuf_pool_mappings_get(global, NULL, sizeof(slabuf_mapping_snapshot), 1, &given_back));
    EXPECT(BAD_POINTER, slabuf_pool_free(global, NULL));
    EXPECT(BAD_POINTER, slabuf_pool_trim(NULL, &given_back));
    EXPECT(BAD_POINTER, slabuf_pool_trim(global, NULL));
    EXPECT(BAD_POINTER, slabuf_pool_usage_get(NULL, &usage, sizeof usage));
    EXPECT(BAD_POINTER, slabuf_pool_usage_get(global, NULL, sizeof usage));
    EXPECT(BAD_POINTER, slabuf_memory_usage_get(NULL, sizeof(slabuf_memory_usage)));

    EXPECT(OK, slabuf_alloc(1, &buffer));
    EXPECT(BAD_POINTER, slabuf_buffer_view(&buffer, NULL));
    EXPECT(BAD_POINTER, slabuf_pool_free(NULL, &buffer));
    EXPECT(OK, slabuf_free(&buffer));

    /* Not aligned: an address inside of a struct of the type. */
    char *inside = (char *)&buffer + 1;
    EXPECT(BAD_POINTER, slabuf_alloc(1, (slabuf_buffer *)(void *)inside));
    EXPECT(BAD_POINTER, slabuf_free((slabuf_buffer *)(void *)inside));
    inside = (char *)&usage + 4;
    EXPECT(BAD_POINTER, slabuf_pool_usage_get(global, (slabuf_pool_usage *)(void *)inside, 72));
}

static void no_buffers(void) {
    slabuf_buffer buffer, none = {0};
    slabuf_view view;
    EXPECT(NOT_A_BUFFER, slabuf_free(&none));
    EXPECT(NOT_A_BUFFER, slabuf_pool_free(slabuf_pool_global(), &none));
    EXPECT(NOT_A_BUFFER, slabuf_set_len(&none, 0));
    EXPECT(NOT_A_BUFFER, slabuf_grow(&none, 1));
    EXPECT(NOT_A_BUFFER, slabuf_buffer_view(&none, &view));
    CHECK(is_zero(&view, sizeof view));
    memset(&buffer, 0xcc, sizeof buffer);
    EXPECT(NOT_A_BUFFER, slabuf_free(&buffer));

    /* Freed twice. */
    EXPECT(OK, slabuf_alloc(100, &buffer));
    EXPECT(OK, slabuf_free(&buffer));
    EXPECT(NOT_A_BUFFER, slabuf_free(&buffer));

    /* A changed field of small and large buffers. The changed struct stays as it is; the
     * original can be freed. */
    size_t lens[] = {100, 100000};
    for (size_t i = 0; i < 2; i++) {
        EXPECT(OK, slabuf_alloc(lens[i], &buffer));
        slabuf_buffer changed[6];
        for (size_t j = 0; j < 6; j++) {
            changed[j] = buffer;
        }
        changed[0].data += 16;
        changed[1].len += 1;
        changed[2].capacity *= 2;
        changed[3].owner ^= 4;
        changed[4].seal += 1;
        changed[5].data += 16;
        changed[5].len -= 16;
        for (size_t j = 0; j < 6; j++) {
            slabuf_buffer before = changed[j];
            EXPECT(NOT_A_BUFFER, slabuf_free(&changed[j]));
            EXPECT(NOT_A_BUFFER, slabuf_grow(&changed[j], 1 << 20));
            CHECK(memcmp(&before, &changed[j], sizeof before) == 0);
        }
        EXPECT(OK, slabuf_free(&buffer));
    }

    EXPECT(TOO_LARGE, slabuf_alloc(SIZE_MAX, &buffer));
    CHECK(is_zero(&buffer, sizeof buffer));
    EXPECT(TOO_LARGE, slabuf_alloc_unsafe((size_t)1 << 47, &buffer));
    /* Almost the whole address space, of which this program has a part already. */
    EXPECT(OUT_OF_MEMORY, slabuf_alloc(((size_t)1 << 47) - (2 << 20), &buffer));
    EXPECT(NOT_A_BUFFER, slabuf_free(&buffer));
}

static void no_pools(void) {
    slabuf_pool *pool = pool_of(defaults()), *other = pool_of(defaults()), *copy = pool;
    CHECK(pool != other);
    slabuf_buffer small, large, fresh;
    EXPECT(OK, slabuf_pool_alloc(pool, 100, &small));
    EXPECT(OK, slabuf_pool_alloc(pool, 100000, &large));
    slabuf_buffer before = small;
    EXPECT(FOREIGN_POOL, slabuf_pool_free(other, &small));
    EXPECT(FOREIGN_POOL, slabuf_pool_free(slabuf_pool_global(), &small));
    EXPECT(FOREIGN_POOL, slabuf_pool_free(other, &large));
    EXPECT(FOREIGN_POOL, slabuf_pool_free(slabuf_pool_global(), &large));
    CHECK(memcmp(&before, &small, sizeof small) == 0);
    small.data[99] = 1;

    slabuf_pool *global = (slabuf_pool *)slabuf_pool_global();
    EXPECT(GLOBAL_POOL, slabuf_pool_destroy(&global));
    CHECK(global == slabuf_pool_global());

    /* Destroyed before its buffers, then used through a copy of the handle, also with another
     * pool in its place. */
    EXPECT(OK, slabuf_pool_destroy(&pool));
    CHECK(pool == NULL);
    for (int round = 0; round < 2; round++) {
        size_t given_back = 77;
        slabuf_pool_usage usage;
        EXPECT(NOT_A_POOL, slabuf_pool_alloc(copy, 1, &fresh));
        CHECK(is_zero(&fresh, sizeof fresh));
        EXPECT(NOT_A_POOL, slabuf_pool_alloc_unsafe(copy, 1, &fresh));
        EXPECT(NOT_A_POOL, slabuf_pool_free(copy, &small));
        EXPECT(NOT_A_POOL, slabuf_pool_trim(copy, &given_back));
        CHECK(given_back == 0);
        EXPECT(NOT_A_POOL, slabuf_pool_usage_get(copy, &usage, sizeof usage));
        int over;
        EXPECT(NOT_A_POOL, slabuf_pool_alloc_timeout(copy, 1, 0, &fresh));
        EXPECT(NOT_A_POOL, slabuf_pool_alloc_unsafe_timeout(copy, 1, 0, &fresh));
        EXPECT(NOT_A_POOL, slabuf_pool_is_over_high_water(copy, &over));
        EXPECT(NOT_A_POOL, slabuf_pool_wait_drained(copy, 0));
        EXPECT(NOT_A_POOL, slabuf_pool_samples_get(copy, NULL, 0, 0, &given_back));
        EXPECT(NOT_A_POOL, slabuf_pool_classes_get(copy, NULL, 0, 0, &given_back));
        EXPECT(NOT_A_POOL, slabuf_pool_regions_get(copy, NULL, 0, 0, &given_back));
        EXPECT(NOT_A_POOL, slabuf_pool_slabs_get(copy, NULL, 0, 0, &given_back));
        EXPECT(NOT_A_POOL, slabuf_pool_mappings_get(copy, NULL, 0, 0, &given_back));
        slabuf_pool *again = copy;
        EXPECT(NOT_A_POOL, slabuf_pool_destroy(&again));
        CHECK(again == copy);
        if (round == 0) {
            pool = pool_of(defaults());
            CHECK(pool != copy);
        }
    }
    EXPECT(FOREIGN_POOL, slabuf_pool_free(pool, &small));
    EXPECT(OK, slabuf_pool_destroy(&pool));
    CHECK(small.data[99] == 1);
    EXPECT(OK, slabuf_free(&small));
    EXPECT(OK, slabuf_free(&large));

    /* Values that were never handles: an address, and other numbers. */
    uintptr_t words[] = {(uintptr_t)&fresh, 3, 2, (uintptr_t)other + 2, (uintptr_t)other ^ 1,
                         (uintptr_t)other + ((uintptr_t)1 << 40), UINTPTR_MAX};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        slabuf_pool *wrong = (slabuf_pool *)words[i];
        EXPECT(NOT_A_POOL, slabuf_pool_alloc(wrong, 1, &fresh));
        EXPECT(NOT_A_POOL, slabuf_pool_destroy(&wrong));
    }
    EXPECT(OK, slabuf_pool_destroy(&other));
}

int main(void) {
    bad_settings();
    sizes();
    null_pointers();
    no_buffers();
    no_pools();
    nothing_is_left();
    puts("mistakes: ok");
    return 0;
}
