/* Programs that close a library while threads have their caches there.
 *
 * LIBRARY is linked with `-z nodelete` and stays. PLUGIN is a shared object of a program, with the
 * static library in it and without that flag: the C library keeps it until no thread that has
 * caches there lives. */

#define _POSIX_C_SOURCE 200809L

#include "loaded.h"

static pthread_barrier_t before, after;

static void prepare(void) {
    CHECK(pthread_barrier_init(&before, NULL, 2) == 0);
    CHECK(pthread_barrier_init(&after, NULL, 2) == 0);
}

static void close_beside(pthread_t id) {
    pthread_barrier_wait(&before);
    unload();
    pthread_barrier_wait(&after);
    CHECK(pthread_join(id, NULL) == 0);
}

/* Has caches and a buffer while the library is closed. */
static void *allocate(void *unused) {
    slabuf_buffer kept;
    use(1);
    CHECK(api.alloc(100, &kept) == SLABUF_STATUS_OK);
    pthread_barrier_wait(&before);
    pthread_barrier_wait(&after);
    memset(kept.data, 1, kept.len);
    CHECK(api.free(&kept) == SLABUF_STATUS_OK);
    use(1);
    return unused;
}

/* Waits without success, and has no cache. The Rust library registers a destructor all the same. */
static void *wait_in_vain(void *pool) {
    CHECK(api.pool_wait_drained(pool, 1) == SLABUF_STATUS_TIMED_OUT);
    pthread_barrier_wait(&before);
    pthread_barrier_wait(&after);
    return NULL;
}

static void *fill(void *pool) {
    slabuf_settings settings;
    slabuf_buffer never_freed;
    CHECK(api.settings_init(&settings, sizeof settings) == SLABUF_STATUS_OK);
    settings.limit = 8 << 20;
    settings.high_water_mark = 1 << 20;
    CHECK(api.pool_create(&settings, sizeof settings, pool) == SLABUF_STATUS_OK);
    CHECK(api.pool_alloc(*(slabuf_pool **)pool, 4 << 20, &never_freed) == SLABUF_STATUS_OK);
    return NULL;
}

static void the_library_stays(void) {
    prepare();
    load(LIBRARY);
    close_beside(start(allocate, NULL));
    load(LIBRARY);
    slabuf_pool *pool;
    CHECK(pthread_join(start(fill, &pool), NULL) == 0);
    close_beside(start(wait_in_vain, pool));
    CHECK(is_loaded(LIBRARY));
}

static void a_plugin_stays_until_threads_end(void) {
    prepare();
    for (int i = 0; i < 3; i++) {
        load(PLUGIN);
        pthread_t id = start(allocate, NULL);
        pthread_barrier_wait(&before);
        unload();
        CHECK(is_loaded(PLUGIN));
        pthread_barrier_wait(&after);
        CHECK(pthread_join(id, NULL) == 0);
        CHECK(!is_loaded(PLUGIN));
    }
}

int main(void) {
    in_child("the_library_stays", the_library_stays);
    in_child("a_plugin_stays_until_threads_end", a_plugin_stays_until_threads_end);
    return 0;
}
