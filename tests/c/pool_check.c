/* pool_check.c - the pool on a busy machine: it rests where its helpers are no help, and comes back; and a helper that comes
 * too late for a region waits awake for the next.
 *
 * Prints what went wrong and ends with 1. Takes in threads.c, to see who sleeps and how long the pool rests. */
#include "threads.c"

#include <stdio.h>
#include <time.h>

#define TASKS 4
#define LONG_ENOUGH 20.0 /* seconds for what a machine may take its time with */
#define RINGS 500        /* a helper that is up stays so for PATIENCE, and is looked for this often */
#define RING_SECONDS 4e-3
#define LOSS 400000000L /* ns */

static pthread_t me;
static atomic_int helped; /* tasks that were not the owner's */
static long owner_ns, helper_ns;
static double owner_done; /* when the owner's last task was */

static void nap(long ns)
{
    const struct timespec t = {0, ns};
    nanosleep(&t, NULL);
}

static void task(void *unused, size_t i)
{
    (void)unused, (void)i;
    const int mine = pthread_equal(pthread_self(), me);
    if (!mine)
        atomic_fetch_add(&helped, 1);
    nap(mine ? owner_ns : helper_ns);
    if (mine)
        owner_done = fnn_seconds();
}

/* how many tasks helpers did; owner and helper take so long for one each */
static int region(long owner_takes, long helper_takes)
{
    owner_ns = owner_takes, helper_ns = helper_takes;
    atomic_store(&helped, 0);
    fnn_parallel(TASKS, task, NULL);
    return atomic_load(&helped);
}

/* a helper takes part within LONG_ENOUGH */
static int comes(long owner_takes, long helper_takes)
{
    const double until = fnn_seconds() + LONG_ENOUGH;
    while (fnn_seconds() < until)
        if (region(owner_takes, helper_takes))
            return 1;
    return 0;
}

/* How long the pool rests for the next loss, in waits of its owner, by what can be seen from here: never more than it is, for
 * the wait is taken to have begun with the owner's last task and to have ended after the region. 0 where no helper is lost,
 * and below 0 where one came before the rest for the loss before was over. */
static double rest_in_waits(void)
{
    const double over = lost_until, until = fnn_seconds() + LONG_ENOUGH;
    do
        if (region(1000, LOSS) && fnn_seconds() < over + LOSS * 1e-9)
            return -1;
    while (lost_until == over && fnn_seconds() < until); /* the pool rests, or the helper does all there is to do */
    return lost_until == over ? 0 : lost_rest / (fnn_seconds() - owner_done);
}

/* whether the helper is asleep, or awake, before the time is over */
static int sleeps(int wanted_asleep, double seconds)
{
    const double until = fnn_seconds() + seconds;
    while (atomic_load(&sleepers) != wanted_asleep)
        if (fnn_seconds() > until)
            return 0;
    return 1;
}

/* a helper that is rung for a region which is over before it is up */
static int waits_awake_again(void)
{
    for (int i = 0; i < RINGS; i++) {
        if (!sleeps(1, LONG_ENOUGH))
            return 0;
        ring();
        if (sleeps(0, RING_SECONDS))
            return 1;
    }
    return 0;
}

/* a helper that finds itself where its owner is leaves that processor out, but for a while after a loss */
static int leaves_the_owners(void)
{
    processors mine;
    cpu_set_t now;
    look_around(&mine);
    atomic_store(&owner_at, sched_getcpu());
    const int owners = atomic_load(&owner_at), could = may_leave(&mine);
    leave_out(&mine, 1);
    const int left = sched_getcpu() != owners && mine.leaves_out;
    sched_getaffinity(0, sizeof now, &now);
    const int out = !CPU_ISSET(owners, &now) && CPU_COUNT(&now) == CPU_COUNT(&mine.all) - 1;
    leave_out(&mine, 0);
    sched_getaffinity(0, sizeof now, &now);
    const int back = CPU_EQUAL(&now, &mine.all) && !mine.leaves_out;
    rest_after_loss(fnn_seconds(), 1.0);
    const int stays = !may_leave(&mine) && atomic_load(&stay_until) > rest_until + 10;
    forget_rests();
    return could && left && out && back && stays && may_leave(&mine);
}

static void stay_on(int one_processor)
{
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(one_processor, &one);
    sched_setaffinity(0, sizeof one, &one);
}

/* a pool whose one helper is kept to that processor, as it inherits it */
static void start_pool(int at)
{
    fnn_set_threads(1);
    stay_on(at);
    fnn_set_threads(2);
    region(1000, 1000);
}

int main(void)
{
    cpu_set_t all;
    int here = -1, there = -1;
    me = pthread_self();
    sched_getaffinity(0, sizeof all, &all);
    for (int i = 0; i < CPU_SETSIZE; i++)
        if (CPU_ISSET(i, &all))
            there = here, here = i;
    if (there >= 0) {
        if (!leaves_the_owners())
            return puts("a helper stayed where its owner is"), 1;
        start_pool(there);
        stay_on(here);
        if (!comes(1000000, 1000000))
            return puts("no helper came"), 1;
        if (!waits_awake_again())
            return puts("a helper that came late went back to sleep"), 1;
        if (!comes(1000, LOSS)) /* the pool rests for as long as the owner waited */
            return puts("no helper came for the long task"), 1;
        for (int i = 0; i < 5; i++)
            if (region(1000, 1000))
                return puts("the pool did not rest after a lost processor"), 1;
        if (!comes(1000000, 1000000))
            return puts("the pool did not come back"), 1;
        start_pool(there); /* which forgets what was */
        stay_on(here);
        forget_rests(); /* of its first region too, where that lost its helper */
        const double once = rest_in_waits();
        if (once <= 0 || once > 1)
            return puts("the pool did not rest as long as its owner had waited"), 1;
        double twice = once;
        for (int i = 0; i < 5 && twice > 0 && twice < NEARLY * 2; i++) /* one loss may come too late after another */
            twice = rest_in_waits();
        if (twice < NEARLY * 2 || rest_in_waits() < 0)
            return puts("the pool did not rest longer for a loss that came again"), 1;
    }
    start_pool(here);
    for (int i = 0; i < 50; i++)
        if (region(1000, 1000))
            return puts("a helper worked on its owner's processor"), 1;
    puts(there < 0 ? "ok, of one processor" : "ok");
    return 0;
}
