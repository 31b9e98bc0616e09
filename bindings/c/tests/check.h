/* Assertions that NDEBUG does not remove. */
#ifndef CHECK_H
#define CHECK_H

#include <stdio.h>
#include <stdlib.h>

#define CHECK(what)                                                           \
    do {                                                                      \
        if (!(what)) {                                                        \
            fprintf(stderr, "%s:%d: failed: %s\n", __FILE__, __LINE__, #what); \
            exit(1);                                                          \
        }                                                                     \
    } while (0)

/* Checks that a call returns a status. */
#define EXPECT(status, call)                                                     \
    do {                                                                         \
        slabuf_status got = (call);                                              \
        if (got != SLABUF_STATUS_##status) {                                     \
            fprintf(stderr, "%s:%d: %s: \"%s\", not %s\n", __FILE__, __LINE__,   \
                    #call, slabuf_status_message(got), #status);                 \
            exit(1);                                                             \
        }                                                                        \
    } while (0)

#endif
