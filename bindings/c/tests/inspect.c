/* Samples, snapshots and versions. */

#include "check.h"
#include "helpers.h"
#include "slabuf.h"

#include <string.h>

enum { CAPACITY = 1024 };

static void versions(void) {
    CHECK(strcmp(slabuf_version(), SLABUF_VERSION) == 0);
    CHECK(slabuf_version_number() == SLABUF_VERSION_NUMBER);
    CHECK(SLABUF_VERSION_NUMBER == SLABUF_VERSION_MAJOR * 1000000 + SLABUF_VERSION_MINOR * 1000 + SLABUF_VERSION_PATCH);
#if SLABUF_VERSION_NUMBER < 1000
#error "the version can be compared by the preprocessor"
#endif
}

void allocate_sampled(const slabuf_pool *pool, slabuf_buffer *small, slabuf_buffer *large);

__attribute__((noinline)) void allocate_sampled(const slabuf_pool *pool, slabuf_buffer *small, slabuf_buffer *large) {
    EXPECT(OK, slabuf_pool_alloc(pool, 100, small));
    EXPECT(OK, slabuf_pool_alloc(pool, 100000, large));
}

static void samples(void) {
    slabuf_settings settings = defaults();
    settings.sample_one_in = 1;
    slabuf_pool *pool = pool_of(settings);
    slabuf_buffer small, large;
    allocate_sampled(pool, &small, &large);

    static slabuf_sample list[CAPACITY];
    size_t count = 77;
    EXPECT(OK, slabuf_pool_samples_get(pool, list, sizeof *list, CAPACITY, &count));
    CHECK(count == 2);
    CHECK(list[0].age_ms >= list[1].age_ms);
    const slabuf_sample *of_small = list[0].len == 100 ? &list[0] : &list[1];
    const slabuf_sample *of_large = list[0].len == 100 ? &list[1] : &list[0];
    CHECK(of_small->address == (uintptr_t)small.data && of_small->capacity == small.capacity);
    CHECK(of_small->slab_slots > 1 && of_small->slab_slots_in_use == 1);
    CHECK(of_large->address == (uintptr_t)large.data && of_large->len == 100000);
    CHECK(of_large->slab_slots == 0 && of_large->slab_slots_in_use == 0);
    for (int i = 0; i < 2; i++) {
        CHECK(memchr(list[i].site, 0, sizeof list[i].site) != NULL);
        /* This program has symbols for its functions that are not static. */
        CHECK(strncmp(list[i].site, "allocate_sampled", strlen("allocate_sampled")) == 0);
    }

    /* An array that is too short, and none. */
    memset(list, 0xff, sizeof list);
    EXPECT(OK, slabuf_pool_samples_get(pool, list, sizeof *list, 1, &count));
    CHECK(count == 2 && list[0].len != UINT64_MAX && list[1].len == UINT64_MAX);
    EXPECT(OK, slabuf_pool_samples_get(pool, NULL, 0, 0, &count));
    CHECK(count == 2);

    EXPECT(OK, slabuf_free(&small));
    EXPECT(OK, slabuf_free(&large));
    EXPECT(OK, slabuf_pool_samples_get(pool, list, sizeof *list, CAPACITY, &count));
    CHECK(count == 0);
    EXPECT(OK, slabuf_pool_destroy(&pool));
}

static void snapshots(void) {
    slabuf_pool *pool = pool_of(defaults());
    slabuf_buffer small[3], large, freed;
    for (int i = 0; i < 3; i++) {
        EXPECT(OK, slabuf_pool_alloc(pool, 1000, &small[i]));
    }
    EXPECT(OK, slabuf_pool_alloc(pool, 100000, &large));
    EXPECT(OK, slabuf_pool_alloc(pool, 50000, &freed));
    EXPECT(OK, slabuf_free(&freed));

    size_t count;
    static slabuf_class_snapshot classes[CAPACITY];
    EXPECT(OK, slabuf_pool_classes_get(pool, classes, sizeof *classes, CAPACITY, &count));
    CHECK(count > 10 && count <= CAPACITY);
    size_t in_use = 0;
    for (size_t i = 0; i < count; i++) {
        CHECK(i == 0 || classes[i].slot_size > classes[i - 1].slot_size);
        CHECK(classes[i].slot_size == 1024 ? classes[i].in_buffers == 3 : classes[i].in_buffers == 0);
        in_use += classes[i].slot_size * classes[i].in_buffers;
    }

    static slabuf_region_snapshot regions[CAPACITY];
    size_t region_count;
    EXPECT(OK, slabuf_pool_regions_get(pool, regions, sizeof *regions, CAPACITY, &region_count));
    CHECK(region_count == 1);
    static slabuf_slab_snapshot slabs[CAPACITY];
    EXPECT(OK, slabuf_pool_slabs_get(pool, slabs, sizeof *slabs, CAPACITY, &count));
    CHECK(count == regions[0].slabs);
    slabuf_pool_usage usage = usage_of(pool);
    uint64_t states[3] = {0};
    for (size_t i = 0; i < count; i++) {
        CHECK(slabs[i].region == regions[0].address);
        CHECK(slabs[i].address >= regions[0].address && slabs[i].address < regions[0].address + regions[0].bytes);
        CHECK(slabs[i].state <= SLABUF_SLAB_FULL && slabs[i].slots_in_use <= slabs[i].slots);
        CHECK(slabs[i].clean <= (slabs[i].state == SLABUF_SLAB_EMPTY));
        states[slabs[i].state]++;
    }
    CHECK(states[SLABUF_SLAB_EMPTY] == usage.slabs_empty && states[SLABUF_SLAB_PARTIAL] == usage.slabs_partial);
    CHECK(states[SLABUF_SLAB_FULL] == usage.slabs_full);

    slabuf_mapping_snapshot mappings[4];
    EXPECT(OK, slabuf_pool_mappings_get(pool, mappings, sizeof *mappings, 4, &count));
    CHECK(count == 2);
    for (size_t i = 0; i < count; i++) {
        bool is_live = mappings[i].address == (uintptr_t)large.data;
        CHECK(mappings[i].live == is_live && mappings[i].live_len == (is_live ? 100000 : 0));
        CHECK(mappings[i].bytes >= 50000);
        in_use += mappings[i].live_len;
    }
    CHECK(in_use == usage.in_use);

    for (int i = 0; i < 3; i++) {
        EXPECT(OK, slabuf_free(&small[i]));
    }
    EXPECT(OK, slabuf_free(&large));
    EXPECT(OK, slabuf_pool_destroy(&pool));
}

/* Elements of a header that is newer than the library, or not a header's at all. */
static void element_sizes(void) {
    struct {
        slabuf_class_snapshot known;
        uint64_t beyond;
    } newer[4];
    memset(newer, 0xff, sizeof newer);
    const slabuf_pool *global = slabuf_pool_global();
    slabuf_buffer buffer;
    EXPECT(OK, slabuf_alloc(100, &buffer));
    size_t count;
    EXPECT(OK, slabuf_pool_classes_get(global, &newer[0].known, sizeof *newer, 4, &count));
    CHECK(count > 4);
    for (int i = 0; i < 4; i++) {
        CHECK(newer[i].known.slot_size < 1000 && newer[i].beyond == 0);
    }
    slabuf_class_snapshot *classes = &newer[0].known;
    EXPECT(BAD_SIZE, slabuf_pool_classes_get(global, classes, 0, 4, &count));
    CHECK(count == 0);
    EXPECT(BAD_SIZE, slabuf_pool_classes_get(global, classes, 16, 4, &count));
    EXPECT(BAD_SIZE, slabuf_pool_classes_get(global, classes, 27, 4, &count));
    EXPECT(BAD_SIZE, slabuf_pool_classes_get(global, classes, 4104, 4, &count));
    EXPECT(BAD_POINTER, slabuf_pool_classes_get(global, NULL, 24, 4, &count));
    EXPECT(BAD_POINTER, slabuf_pool_classes_get(global, classes, 24, 4, NULL));
    count = 77;
    EXPECT(BAD_POINTER, slabuf_pool_classes_get(NULL, classes, 24, 4, &count));
    CHECK(count == 0);
    EXPECT(OK, slabuf_free(&buffer));
}

int main(void) {
    versions();
    samples();
    snapshots();
    element_sizes();
    nothing_is_left();
    puts("inspect: ok");
    return 0;
}
