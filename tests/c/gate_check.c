/* gate_check.c - csrc/gate.h under load: readers take hold of what a pointer points to while a writer replaces it.
 *
 *     gate_check SWAPS      exit 0 if no reader ever got hold of a freed object, 1 if one did
 *
 * Built with -DNO_GATE the gate is open, and the check must fail: it can. Objects are never really freed, they are
 * marked, so that a mistake is seen and not suffered. */
#define _POSIX_C_SOURCE 200809L
#include "gate.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#define READERS 8
#define OBJECTS 64

#ifdef NO_GATE
#define ENTER(g) 0u
#define LEAVE(g, side) (void)(side)
#define DRAIN(g) (void)(g)
#else
#define ENTER fnn_gate_enter
#define LEAVE fnn_gate_leave
#define DRAIN fnn_gate_drain
#endif

typedef struct {
    atomic_int holds, alive;
} object;

static object objects[OBJECTS];
static _Atomic(object *) current;
static fnn_gate gate;
static atomic_int stop, wrong;
static atomic_long reads;

static void let_go(object *o)
{
    if (atomic_fetch_sub(&o->holds, 1) == 1)
        atomic_store(&o->alive, 0);
}

static void *read_on(void *number)
{
    unsigned luck = (unsigned)(size_t)number;
    while (!atomic_load(&stop)) {
        unsigned side = ENTER(&gate);
        object *o = atomic_load(&current);
        luck = luck * 1664525u + 1013904223u;
        if (luck >> 28 == 0)
            sched_yield(); /* here it hurts */
        if (atomic_fetch_add(&o->holds, 1) == 0 || !atomic_load(&o->alive))
            atomic_store(&wrong, 1);
        LEAVE(&gate, side);
        if (!atomic_load(&o->alive))
            atomic_store(&wrong, 1);
        let_go(o);
        atomic_fetch_add(&reads, 1);
    }
    return NULL;
}

int main(int count, char **arguments)
{
    long swaps = count > 1 ? atol(arguments[1]) : 10000, done = 0;
    pthread_t threads[READERS];
    atomic_store(&objects[0].holds, 1);
    atomic_store(&objects[0].alive, 1);
    atomic_store(&current, &objects[0]);
    for (size_t i = 0; i < READERS; i++)
        if (pthread_create(&threads[i], NULL, read_on, (void *)(i + 1)))
            return 2;
    for (; done < swaps && !atomic_load(&wrong); done++) {
        object *old = atomic_load(&current), *next = &objects[(done + 1) % OBJECTS];
        while (atomic_load(&next->alive)) /* a slow reader still holds it */
            sched_yield();
        atomic_store(&next->holds, 1);
        atomic_store(&next->alive, 1);
        atomic_store(&current, next);
        DRAIN(&gate);
        let_go(old);
        if (done % 4 == 0)
            sched_yield();
    }
    atomic_store(&stop, 1);
    for (int i = 0; i < READERS; i++)
        pthread_join(threads[i], NULL);
    printf("%ld swaps, %ld reads: %s\n", done, atomic_load(&reads), atomic_load(&wrong) ? "WRONG" : "right");
    return atomic_load(&wrong);
}
