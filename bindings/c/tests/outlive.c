/* Threads that use a loaded library after the main thread has ended, and while the process ends. */

#define _POSIX_C_SOURCE 200809L

#include "loaded.h"

#include <dirent.h>
#include <time.h>

enum { THREADS = 4 };

static pthread_t main_thread;
static pthread_key_t key;
static pthread_barrier_t barrier;
static slabuf_buffer gifts[THREADS];

/* Runs after the thread-local destructors of its thread, those of the library among them. */
static void use_once_more(void *unused) {
    (void)unused;
    use(2);
}

static void start_detached(void *(*body)(void *), void *argument) {
    CHECK(pthread_detach(start(body, argument)) == 0);
}

/* The main thread counts as long as the process lives. */
static int threads(void) {
    int count = 0;
    DIR *tasks = opendir("/proc/self/task");
    CHECK(tasks != NULL);
    for (struct dirent *entry = readdir(tasks); entry != NULL; entry = readdir(tasks)) {
        count += entry->d_name[0] != '.';
    }
    CHECK(closedir(tasks) == 0);
    return count;
}

/* Frees what the main thread allocated. */
static void *outlive(void *gift) {
    CHECK(pthread_setspecific(key, gift) == 0);
    pthread_barrier_wait(&barrier);
    use(20);
    CHECK(api.free(gift) == SLABUF_STATUS_OK);
    use(20);
    return NULL;
}

/* Ends the process after all other threads have ended. */
static void *end_last(void *unused) {
    CHECK(pthread_join(main_thread, NULL) == 0);
    pthread_barrier_wait(&barrier);
    while (threads() > 2) {
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
    use(1);
    nothing_is_kept();
    unload();
    exit(0);
    return unused;
}

/* The main thread has caches and buffers, and ends before the other threads begin. glibc does not
 * run its thread-local destructors, so its caches stay until another thread empties them. */
static void main_ends_first(void) {
    load(LIBRARY);
    main_thread = pthread_self();
    CHECK(pthread_key_create(&key, use_once_more) == 0);
    CHECK(pthread_setspecific(key, &key) == 0);
    CHECK(pthread_barrier_init(&barrier, NULL, THREADS + 1) == 0);
    use(20);
    for (int i = 0; i < THREADS; i++) {
        CHECK(api.alloc(i % 2 ? 100 : 1 << 20, &gifts[i]) == SLABUF_STATUS_OK);
        start_detached(outlive, &gifts[i]);
    }
    start_detached(end_last, NULL);
    pthread_exit(NULL);
}

static void *use_for_ever(void *unused) {
    use(1);
    pthread_barrier_wait(&barrier);
    for (;;) {
        use(1);
    }
    return unused;
}

/* The process ends while other threads use the library, which the program has closed. */
static void process_ends_beside_busy_threads(void) {
    load(LIBRARY);
    CHECK(pthread_barrier_init(&barrier, NULL, THREADS + 1) == 0);
    for (int i = 0; i < THREADS; i++) {
        start_detached(use_for_ever, NULL);
    }
    use(1);
    pthread_barrier_wait(&barrier);
    unload();
    exit(0);
}

int main(void) {
    in_child("main_ends_first", main_ends_first);
    in_child("process_ends_beside_busy_threads", process_ends_beside_busy_threads);
    return 0;
}
