/* news.h: the application's function for news of a request, which is called in a signal handler.
 *
 * There is one for the process. Decides nothing: limit_timer.c says when it is called.
 */
#ifndef OT_NEWS_H
#define OT_NEWS_H

#include <stdbool.h>

typedef void news_function(void *argument);

/* Replaces the function; NULL = none. Thread-safe, but not for signal handlers. */
void news_set(news_function *function, void *argument);

/* There is one. Async-signal-safe. */
bool news_wanted(void);

/* Calls it, unless it is being replaced at this moment. For the signal handler. */
void news_tell(void);

#endif
