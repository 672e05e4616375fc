/* gate.h - one pointer that many threads read while one replaces it, without a lock.
 *
 * A reader enters, reads the pointer and takes hold of what it points to, and leaves; that is a few instructions, and it
 * never waits. Who replaces the pointer drains the gate before letting go of the old object: whoever may have read the old
 * pointer has then left, with a hold of its own. Readers are counted on two sides, and draining turns newcomers to the
 * other side, so that it comes to an end under any load (as sleepable RCU does: McKenney 2006).
 */
#ifndef FNN_GATE_H
#define FNN_GATE_H

#include <sched.h>
#include <stdatomic.h>

typedef struct {
    atomic_uint side;
    atomic_size_t inside[2];
} fnn_gate;

static inline unsigned fnn_gate_enter(fnn_gate *g)
{
    unsigned side = atomic_load(&g->side) & 1;
    atomic_fetch_add(&g->inside[side], 1);
    return side;
}

static inline void fnn_gate_leave(fnn_gate *g, unsigned side) { atomic_fetch_sub(&g->inside[side], 1); }

/* after the pointer was replaced: returns when nobody is inside who entered before. One thread at a time. */
static inline void fnn_gate_drain(fnn_gate *g)
{
    for (int turn = 0; turn < 2; turn++) {
        unsigned side = atomic_fetch_add(&g->side, 1) & 1;
        while (atomic_load(&g->inside[side]))
            sched_yield();
    }
}

#endif
