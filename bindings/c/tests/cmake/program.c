/* Checks that the installed header and library belong together. */

#include <slabuf.h>
#include <stdio.h>

int main(void) {
    slabuf_buffer buffer;
    slabuf_status status = slabuf_alloc(100, &buffer);
    if (status != SLABUF_STATUS_OK || slabuf_free(&buffer) != SLABUF_STATUS_OK) {
        return 1;
    }
    printf("slabuf %s\n", slabuf_version());
    return slabuf_version_number() == SLABUF_VERSION_NUMBER ? 0 : 1;
}
