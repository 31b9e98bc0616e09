/* A program that unloads the shared library while a thread still has its caches there. */

#define _POSIX_C_SOURCE 200809L

#include "check.h"
#include "slabuf.h"

#include <dlfcn.h>
#include <pthread.h>
#include <string.h>

typedef slabuf_status (*alloc_fn)(size_t len, slabuf_buffer *buffer);
typedef slabuf_status (*free_fn)(slabuf_buffer *buffer);

static pthread_barrier_t allocated, unloaded;
static alloc_fn alloc_here;
static free_fn free_here;

static void *thread(void *unused) {
    slabuf_buffer kept, gone;
    CHECK(alloc_here(100, &kept) == SLABUF_STATUS_OK);
    CHECK(alloc_here(100, &gone) == SLABUF_STATUS_OK);
    CHECK(free_here(&gone) == SLABUF_STATUS_OK);
    pthread_barrier_wait(&allocated);
    pthread_barrier_wait(&unloaded);
    memset(kept.data, 1, kept.len);
    CHECK(free_here(&kept) == SLABUF_STATUS_OK);
    return unused;
}

int main(void) {
    void *library = dlopen(LIBRARY, RTLD_NOW);
    CHECK(library != NULL);
    *(void **)&alloc_here = dlsym(library, "slabuf_alloc");
    *(void **)&free_here = dlsym(library, "slabuf_free");
    CHECK(alloc_here != NULL && free_here != NULL);
    CHECK(pthread_barrier_init(&allocated, NULL, 2) == 0);
    CHECK(pthread_barrier_init(&unloaded, NULL, 2) == 0);
    pthread_t id;
    CHECK(pthread_create(&id, NULL, thread, NULL) == 0);
    pthread_barrier_wait(&allocated);
    CHECK(dlclose(library) == 0);
    pthread_barrier_wait(&unloaded);
    CHECK(pthread_join(id, NULL) == 0);

    /* The library stays loaded although no thread uses it any more. */
    library = dlopen(LIBRARY, RTLD_NOW | RTLD_NOLOAD);
    CHECK(library != NULL);
    CHECK(dlclose(library) == 0);
    puts("unloaded: ok");
    return 0;
}
