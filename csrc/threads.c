/* threads.c - the only file that knows threads: one small pool for the process.
 *
 * Threads start at the first region that wants them and sleep when nothing comes for a while. The caller takes part. Tasks
 * are claimed one by one from a counter; who runs which cannot show in a result, because each task owns its part of the
 * output. A pool that is busy (another Python thread, or a task that opens a region itself) means: run serially. A child
 * of fork() starts without a pool.
 */
#define _GNU_SOURCE /* sched_getcpu */
#include "fnn.h"

#include "clock.h"
#include "fpstate.h"
#include "sizes.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>

#define MOST_THREADS 256
#define STACK_BYTES (1 << 20) /* explicit: musl would give 128 KiB */
#define PATIENCE 50e-6        /* seconds a helper waits awake before it lies down */
#define SPINS_A_LOOK 32       /* pauses between two looks at the clock: their length differs tenfold among processors */
/* On a machine that is busy with something else a helper is no help. It may run on the owner's own processor, in turns
 * with it; or its processor is given away in the middle of a task, and the owner waits for as long as that turn takes,
 * some milliseconds. Either way the pool rests for a while, and calls cost little more than with one thread: */
#define CROWDED 20e-3 /* seconds, after a helper found itself where its owner is */
#define LOST 300e-6   /* after a wait longer than this, if the owner alone would have been nearly as quick, */
#define NEARLY 0.9    /* which its own tasks' time tells, for as long as that wait; */
#define SOON 5        /* if it comes again before so many times that rest have passed, twice as long, */
#define LONGEST 32    /* up to so many times the wait: one that is taken away once in a while costs little */
#define STAY 100      /* waits after a loss in which a helper does not choose its processor itself */

/* gate: bit 0 = a region is open, the rest counts twice the helpers inside. A helper enters by compare-and-swap on an open
 * gate; the owner closes it when the tasks are claimed and leaves when it reads 0. So a helper that wakes late finds the
 * gate closed and touches nothing. */
static atomic_uint gate;
static atomic_size_t next_task;
static size_t task_count;
static fnn_task *task_run;
static void *task_context;

static pthread_mutex_t owner = PTHREAD_MUTEX_INITIALIZER; /* held for the length of a region */
static pthread_mutex_t bed = PTHREAD_MUTEX_INITIALIZER;   /* guards sleeping and quitting */
static pthread_cond_t alarm_bell = PTHREAD_COND_INITIALIZER;
static atomic_int sleepers, quitting, owner_at, crowded;
static _Atomic(double) stay_until;
static _Thread_local int serial;
static atomic_int wanted = 1;
static atomic_int helpers; /* running threads; changed under owner */
/* under owner too: the end of the pool's rest; of the last one after a loss its end, its length, and that in waits */
static double rest_until, lost_until, lost_rest;
static size_t rests = 1;
static pthread_t helper[MOST_THREADS];

static inline void relax(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

/* the processor that the calling thread runs on, or -1 */
static int processor(void)
{
#if defined(__linux__)
    return sched_getcpu();
#else
    return -1;
#endif
}

/* whether a helper shares its processor with the owner, which then had better have it */
static int in_the_way(void)
{
    const int at = processor();
    return at >= 0 && at == atomic_load_explicit(&owner_at, memory_order_relaxed);
}

/* Where a helper may run. A scheduler wakes a thread where its waker runs unless another processor is quite idle, and one
 * with work of low priority on it is not: the helper would come to the owner's again and again. So it leaves that one out,
 * until it has lost another to work that counts as much as its own: then all are as good again, for a while. */
typedef struct {
    int several, leaves_out; /* whether there are; whether it leaves one out */
#if defined(__linux__)
    cpu_set_t all;
#endif
} processors;

static void look_around(processors *p)
{
    p->several = p->leaves_out = 0;
#if defined(__linux__)
    p->several = sched_getaffinity(0, sizeof p->all, &p->all) == 0 && CPU_COUNT(&p->all) > 1;
#endif
}

static int may_leave(const processors *p)
{
    return p->several && fnn_seconds() > atomic_load_explicit(&stay_until, memory_order_relaxed);
}

/* leaves out the owner's, or none any more */
static void leave_out(processors *p, int owners)
{
#if defined(__linux__)
    cpu_set_t others = p->all;
    if (owners)
        CPU_CLR(atomic_load_explicit(&owner_at, memory_order_relaxed), &others);
    if (CPU_COUNT(&others) > 0 && sched_setaffinity(0, sizeof others, &others) == 0)
        p->leaves_out = owners;
#else
    p->leaves_out = owners;
#endif
}

/* returns how many tasks it did */
static size_t work(void)
{
    size_t i, done = 0;
    for (; (i = atomic_fetch_add_explicit(&next_task, 1, memory_order_relaxed)) < task_count; done++)
        task_run(task_context, i);
    return done;
}

static int enter(void)
{
    unsigned g = atomic_load_explicit(&gate, memory_order_relaxed);
    while (g & 1)
        if (atomic_compare_exchange_weak_explicit(&gate, &g, g + 2, memory_order_acquire, memory_order_relaxed))
            return 1;
    return 0;
}

/* nothing to do for a helper: no region is open, or only one that has to do without helpers. A helper that lies down counts
 * itself among the sleepers and then looks at the gate; the owner opens the gate and then looks for sleepers: one of the two
 * sees the other, for all four are in the one order of the sequentially consistent. */
static int idle(void)
{
    const int open = atomic_load(&gate) & 1;
    return (!open || atomic_load_explicit(&crowded, memory_order_relaxed)) && !atomic_load(&quitting);
}

static void wait_awake(processors *mine)
{
    const double until = fnn_seconds() + PATIENCE;
    if (mine->leaves_out && !may_leave(mine))
        leave_out(mine, 0);
    while (idle() && fnn_seconds() < until) {
        for (int i = 0; i < SPINS_A_LOOK && idle(); i++)
            relax();
        if (in_the_way()) {
            if (!may_leave(mine))
                return;
            leave_out(mine, 1);
        }
        sched_yield(); /* returns at once, unless somebody waits for this very processor */
    }
}

/* Until the bell rings, or for no reason, which does no harm: the caller looks for itself, and waits awake again. Where the
 * region is over before a helper is up, the next may follow soon, and would again be too short for one that lies. */
static void lie_down(void)
{
    pthread_mutex_lock(&bed);
    atomic_fetch_add(&sleepers, 1);
    if (idle())
        pthread_cond_wait(&alarm_bell, &bed);
    atomic_fetch_sub(&sleepers, 1);
    pthread_mutex_unlock(&bed);
}

static void *help(void *unused)
{
    (void)unused;
    processors mine;
    look_around(&mine);
    fnn_fp_enter();
    while (!atomic_load(&quitting)) {
        wait_awake(&mine);
        if (idle())
            lie_down();
        else if (enter()) {
            const int here = in_the_way(), leaves = here && may_leave(&mine);
            if (!here)
                work();
            else if (!leaves)
                atomic_store_explicit(&crowded, 1, memory_order_relaxed);
            atomic_fetch_sub_explicit(&gate, 2, memory_order_release);
            if (leaves) /* not while the owner may wait for it: it may have to stand in line there */
                leave_out(&mine, 1);
        }
    }
    return NULL;
}

static void ring(void)
{
    pthread_mutex_lock(&bed); /* a helper between its last look and its sleep holds it */
    pthread_cond_broadcast(&alarm_bell);
    pthread_mutex_unlock(&bed);
}

static void forget_rests(void)
{
    rest_until = lost_until = lost_rest = 0;
    atomic_store_explicit(&stay_until, 0, memory_order_relaxed);
    rests = 1;
}

/* in the child of a fork there are no helpers, and locks may have been held by threads that are gone */
static void forget_in_child(void)
{
    pthread_mutex_t fresh = PTHREAD_MUTEX_INITIALIZER;
    pthread_cond_t fresh_bell = PTHREAD_COND_INITIALIZER;
    owner = bed = fresh;
    alarm_bell = fresh_bell;
    helpers = 0;
    forget_rests();
    atomic_store(&gate, 0);
    atomic_store(&sleepers, 0);
    atomic_store(&quitting, 0);
}

static void stop_helpers(void)
{
    atomic_store(&quitting, 1);
    ring();
    for (int i = 0; i < helpers; i++)
        pthread_join(helper[i], NULL);
    helpers = 0;
    atomic_store(&quitting, 0);
}

static void start_helpers(int count)
{
    static int registered;
    pthread_attr_t attributes;
    sigset_t all, before;
    if (!registered)
        registered = pthread_atfork(NULL, NULL, forget_in_child) == 0;
    if (!registered || pthread_attr_init(&attributes) != 0)
        return;
    pthread_attr_setstacksize(&attributes, STACK_BYTES);
    sigfillset(&all); /* signals are the interpreter's */
    pthread_sigmask(SIG_SETMASK, &all, &before);
    while (helpers < count && pthread_create(&helper[helpers], &attributes, help, NULL) == 0)
        helpers++;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
}

int fnn_threads(void) { return atomic_load_explicit(&wanted, memory_order_relaxed); }

int fnn_threads_started(void) { return helpers; }

int fnn_helpers_awake(void)
{
    return !serial && atomic_load_explicit(&helpers, memory_order_relaxed) > 0 &&
           atomic_load_explicit(&sleepers, memory_order_relaxed) == 0;
}

void fnn_stay_serial(int on) { serial = on; }

void fnn_set_threads(int count)
{
    count = count < 1 ? 1 : count > MOST_THREADS ? MOST_THREADS : count;
    pthread_mutex_lock(&owner);
    atomic_store(&wanted, count);
    forget_rests();
    if (helpers > count - 1)
        stop_helpers();
    pthread_mutex_unlock(&owner);
}

/* whether the caller owns the pool now, and helpers may be had */
static int take_pool(void)
{
    if (serial || fnn_threads() < 2 || pthread_mutex_trylock(&owner) != 0)
        return 0;
    if (rest_until > 0 && fnn_seconds() < rest_until) {
        pthread_mutex_unlock(&owner);
        return 0;
    }
    rest_until = 0;
    return 1;
}

/* longer where the last loss was a short while ago */
static void rest_after_loss(double now, double waited)
{
    rests = now < lost_until + SOON * lost_rest ? min(2 * rests, LONGEST) : 1;
    lost_rest = (double)rests * waited;
    rest_until = lost_until = now + lost_rest;
    atomic_store_explicit(&stay_until, rest_until + STAY * waited, memory_order_relaxed);
}

static void rest_from_crowd(double now)
{
    if (rest_until < now + CROWDED)
        rest_until = now + CROWDED;
}

/* until no helper is inside any more; began: when the owner opened the region, of which it did so many tasks */
static void wait_for_helpers(double began, size_t done)
{
    if (!atomic_load_explicit(&gate, memory_order_acquire))
        return;
    const double own_end = fnn_seconds();
    for (int spins = 1; atomic_load_explicit(&gate, memory_order_acquire); spins++)
        if (spins % SPINS_A_LOOK)
            relax();
        else
            sched_yield();
    const double end = fnn_seconds(), waited = end - own_end;
    const double alone = (own_end - began) * (double)task_count;
    if (done && waited > LOST && end - began > NEARLY * alone / (double)done)
        rest_after_loss(end, waited);
}

void fnn_parallel(size_t tasks, fnn_task *run, void *context)
{
    if (tasks < 2 || !take_pool()) {
        for (size_t i = 0; i < tasks; i++)
            run(context, i);
        return;
    }
    const double began = fnn_seconds();
    if (helpers < fnn_threads() - 1)
        start_helpers(fnn_threads() - 1);
    task_run = run;
    task_context = context;
    task_count = tasks;
    atomic_store_explicit(&next_task, 0, memory_order_relaxed);
    atomic_store_explicit(&owner_at, processor(), memory_order_relaxed);
    atomic_store_explicit(&crowded, 0, memory_order_relaxed);
    atomic_store(&gate, 1);
    if (atomic_load(&sleepers))
        ring();
    const size_t done = work();
    atomic_fetch_and_explicit(&gate, ~1u, memory_order_relaxed);
    wait_for_helpers(began, done);
    if (atomic_load_explicit(&crowded, memory_order_relaxed))
        rest_from_crowd(fnn_seconds());
    pthread_mutex_unlock(&owner);
}
