/* workspace.c - the only file that allocates: one growing block of scratch for each thread. */
#include "fnn.h"

#include <stdlib.h>

#if defined(_WIN32)
#include <malloc.h>
#define ALIGNED_ALLOC(bytes) _aligned_malloc(bytes, 64)
#define ALIGNED_FREE _aligned_free
#else
#include <pthread.h>
#define ALIGNED_ALLOC(bytes) aligned_alloc(64, bytes)
#define ALIGNED_FREE free
#endif

#define GRAIN 65536

typedef struct {
    void *block;
    size_t bytes;
} scratch;

static _Thread_local scratch mine;

#if !defined(_WIN32)
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
#else
static void free_at_thread_end(void *block) { (void)block; }
#endif

void *fnn_workspace(size_t bytes)
{
    if (bytes <= mine.bytes && mine.block)
        return mine.block;
    if (bytes > SIZE_MAX - GRAIN)
        return NULL;
    size_t rounded = (bytes + GRAIN) / GRAIN * GRAIN;
    void *block = ALIGNED_ALLOC(rounded);
    if (!block)
        return NULL;
    ALIGNED_FREE(mine.block);
    mine.block = block;
    mine.bytes = rounded;
    free_at_thread_end(block);
    return block;
}
