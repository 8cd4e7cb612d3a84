/* news.c: see news.h. */
#include "sapi-shim/request/news.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>

/* A handler must not wait for the thread that it has interrupted: it compares `news_change`, which
 * is odd while the other two change, and gives up. */
static pthread_mutex_t news_lock = PTHREAD_MUTEX_INITIALIZER;
static _Atomic unsigned news_change;
static _Atomic(news_function *) news_call;
static _Atomic(void *) news_argument;

void news_set(news_function *function, void *argument)
{
    (void)pthread_mutex_lock(&news_lock);
    atomic_fetch_add(&news_change, 1);
    atomic_store(&news_argument, argument);
    atomic_store(&news_call, function);
    atomic_fetch_add(&news_change, 1);
    (void)pthread_mutex_unlock(&news_lock);
}

bool news_wanted(void)
{
    return atomic_load_explicit(&news_call, memory_order_relaxed) != NULL;
}

void news_tell(void)
{
    unsigned change = atomic_load(&news_change);
    news_function *function = atomic_load(&news_call);
    void *argument = atomic_load(&news_argument);
    if (change % 2 == 0 && atomic_load(&news_change) == change && function != NULL)
        function(argument);
}
