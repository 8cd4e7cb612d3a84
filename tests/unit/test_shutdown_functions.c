/* test_shutdown_functions.c: their order, and that each is returned once. */
#include "sapi-shim/request/shutdown_functions.h"

#include <criterion/criterion.h>
#include <string.h>

static struct shutdown_functions_list list;
static char a[] = "a", b[] = "b", x[] = "x", y[] = "y", z[] = "z";
static char order[16];

static void note_one(void *argument)
{
    strncat(order, argument, sizeof order - strlen(order) - 1);
    if (strcmp(argument, "a") == 0)
        (void)shutdown_functions_add(&list, note_one, z);
}

static void run_all(void)
{
    shutdown_functions_function *function = NULL;
    void *argument = NULL;
    while (shutdown_functions_take(&list, &function, &argument))
        function(argument);
}

Test(shutdown_functions, in_order_with_late_ones_last)
{
    cr_assert(shutdown_functions_add(&list, note_one, a));
    cr_assert(shutdown_functions_add(&list, note_one, b));
    cr_assert(shutdown_functions_add(&list, note_one, b));
    run_all();
    cr_assert_str_eq(order, "abbz");
    run_all();
    cr_assert_str_eq(order, "abbz", "each runs once");
}

Test(shutdown_functions, clearing_counts_what_is_lost)
{
    for (int i = 0; i < 5; i++)
        cr_assert(shutdown_functions_add(&list, note_one, x));
    cr_assert_eq(shutdown_functions_clear(&list), 5);
    cr_assert_eq(shutdown_functions_clear(&list), 0);
    cr_assert(shutdown_functions_add(&list, note_one, y));
    run_all();
    cr_assert_str_eq(order, "y");
}
