/* The library as a program sees it that loads it with `dlopen`. Define LIBRARY as its path. */
#ifndef LOADED_H
#define LOADED_H

#include "check.h"
#include "slabuf.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdbool.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static struct {
    void *library;
    slabuf_status (*alloc)(size_t len, slabuf_buffer *buffer);
    slabuf_status (*free)(slabuf_buffer *buffer);
    slabuf_pool *(*pool_global)(void);
    slabuf_status (*pool_trim)(slabuf_pool *pool, size_t *given_back);
    slabuf_status (*pool_usage_get)(const slabuf_pool *pool, slabuf_pool_usage *usage, size_t size);
    slabuf_status (*settings_init)(slabuf_settings *settings, size_t size);
    slabuf_status (*pool_create)(const slabuf_settings *settings, size_t size, slabuf_pool **pool);
    slabuf_status (*pool_alloc)(slabuf_pool *pool, size_t len, slabuf_buffer *buffer);
    slabuf_status (*pool_wait_drained)(slabuf_pool *pool, uint64_t timeout_ms);
} api;

static inline void find(void *function, const char *name) {
    void *found = dlsym(api.library, name);
    CHECK(found != NULL);
    memcpy(function, &found, sizeof found);
}

static inline void load(const char *path) {
    api.library = dlopen(path, RTLD_NOW);
    CHECK(api.library != NULL);
    find(&api.alloc, "slabuf_alloc");
    find(&api.free, "slabuf_free");
    find(&api.pool_global, "slabuf_pool_global");
    find(&api.pool_trim, "slabuf_pool_trim");
    find(&api.pool_usage_get, "slabuf_pool_usage_get");
    find(&api.settings_init, "slabuf_settings_init");
    find(&api.pool_create, "slabuf_pool_create");
    find(&api.pool_alloc, "slabuf_pool_alloc");
    find(&api.pool_wait_drained, "slabuf_pool_wait_drained");
}

static inline void unload(void) { CHECK(dlclose(api.library) == 0); }

static inline bool open_and_close(const char *path) {
    void *library = dlopen(path, RTLD_NOW | RTLD_NOLOAD);
    return library != NULL && dlclose(library) == 0;
}

/* The C library removes what is not used any more at the next call of dlclose: the first one here. */
static inline bool is_loaded(const char *path) { return open_and_close(path) && open_and_close(path); }

/* Allocates buffers of all kinds, writes to them and frees them. */
static inline void use(int rounds) {
    static const size_t lengths[] = {16, 1400, 12 << 10, 100 << 10, 300 << 10};
    enum { COUNT = sizeof lengths / sizeof *lengths };
    while (rounds-- > 0) {
        slabuf_buffer buffers[COUNT];
        for (size_t i = 0; i < COUNT; i++) {
            CHECK(api.alloc(lengths[i], &buffers[i]) == SLABUF_STATUS_OK);
            memset(buffers[i].data, 7, buffers[i].len);
        }
        for (size_t i = 0; i < COUNT; i++) {
            CHECK(buffers[i].data[lengths[i] - 1] == 7);
            CHECK(api.free(&buffers[i]) == SLABUF_STATUS_OK);
        }
    }
}

/* Checks that no buffer of the global pool exists, and that a trim leaves no memory. */
static inline void nothing_is_kept(void) {
    size_t given_back;
    slabuf_pool_usage usage;
    CHECK(api.pool_trim(api.pool_global(), &given_back) == SLABUF_STATUS_OK);
    CHECK(api.pool_usage_get(api.pool_global(), &usage, sizeof usage) == SLABUF_STATUS_OK);
    CHECK(usage.in_use == 0 && usage.array_buffers == 0);
    CHECK(usage.cached == 0 && usage.external == 0);
}

static inline pthread_t start(void *(*body)(void *), void *argument) {
    pthread_t id;
    CHECK(pthread_create(&id, NULL, body, argument) == 0);
    return id;
}

/* Runs a scenario in a child, which must end with 0. A child that hangs is ended by a signal. */
static inline void in_child(const char *name, void (*scenario)(void)) {
    CHECK(fflush(NULL) == 0);
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        alarm(120);
        scenario();
        exit(0);
    }
    int status;
    CHECK(waitpid(child, &status, 0) == child);
    if (status != 0) {
        fprintf(stderr, "%s: status %#x\n", name, (unsigned)status);
        exit(1);
    }
    printf("%s: ok\n", name);
}

#endif
