/* workspace.c - the only file that allocates: one growing block of scratch for each thread. */
#if defined(__linux__)
#define _DEFAULT_SOURCE /* madvise */
#include <sys/mman.h>
#endif
#include "fnn.h"

#include <pthread.h>
#include <stdlib.h>

#define GRAIN 65536
#define LINE 64
/* from this size on in huge pages, where the system has them for the asking: what is packed for a large product, row by
 * row across pages, otherwise waits for their addresses, 2 to 5% of the product */
#define HUGE_PAGE ((size_t)2 << 20)
#define LARGE (2 * HUGE_PAGE)

typedef struct {
    void *block;
    size_t bytes;
} scratch;

static _Thread_local scratch mine;

/* thread-local storage has no destructor in C: a key of the pthread kind carries one */
static pthread_key_t key;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static int have_key;

static void make_key(void) { have_key = pthread_key_create(&key, free) == 0; }

static void free_at_thread_end(void *block)
{
    pthread_once(&once, make_key);
    if (have_key)
        pthread_setspecific(key, block);
}

void *fnn_workspace(size_t bytes)
{
    if (bytes <= mine.bytes && mine.block)
        return mine.block;
    if (bytes > SIZE_MAX - HUGE_PAGE)
        return NULL;
    const int large = bytes >= LARGE;
    const size_t grain = large ? HUGE_PAGE : GRAIN, rounded = (bytes + grain) / grain * grain;
    void *block = aligned_alloc(large ? HUGE_PAGE : LINE, rounded);
    if (!block)
        return NULL;
#if defined(__linux__) && defined(MADV_HUGEPAGE)
    if (large)
        madvise(block, rounded, MADV_HUGEPAGE); /* a refusal changes nothing */
#endif
    free(mine.block);
    mine.block = block;
    mine.bytes = rounded;
    free_at_thread_end(block);
    return block;
}
