/* test_config.c: whole configurations: values, every kind of error with its line, and the dump read
 * back. */
#include "fpm/config/config.h"

#include "fpm/config/directive_value.h"
#include "fpm/config/ini_lines.h"
#include "fpm/log/log_line.h"
#include "sapi-shim/contract.h"
#include "sapi-shim/scoreboard/worker_slot.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static char folder[] = "/tmp/ot-config-XXXXXX";

/* A user that is not root, where one must be named. */
static const char *user(void)
{
    return geteuid() == 0 ? "user = nobody\n" : "";
}

static void in_folder(char *out, size_t size, const char *name)
{
    cr_assert(snprintf(out, size, "%s/%s", folder, name) < (int)size);
}

static void write_bytes(const char *name, const char *bytes, size_t length)
{
    char path[256];
    in_folder(path, sizeof path, name);
    FILE *file = fopen(path, "w");
    cr_assert_not_null(file);
    cr_assert_eq(fwrite(bytes, 1, length, file), length);
    cr_assert_eq(fclose(file), 0);
}

static void write_file(const char *name, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void write_file(const char *name, const char *format, ...)
{
    va_list arguments;
    char *text;
    va_start(arguments, format);
    cr_assert(vasprintf(&text, format, arguments) >= 0);
    va_end(arguments);
    write_bytes(name, text, strlen(text));
    free(text);
}

static void remove_folder(void)
{
    char command[64];
    cr_assert(snprintf(command, sizeof command, "rm -rf %s", folder) > 0);
    cr_assert_eq(system(command), 0);
}

static void make_folder(void)
{
    cr_assert_not_null(mkdtemp(folder));
    cr_assert_eq(chmod(folder, 0755), 0);
    cr_assert_eq(unsetenv("OT_TEST_NONE"), 0);
    cr_assert_eq(setenv("OT_TEST_SOME", "some", 1), 0);
    cr_assert_eq(setenv("PATH", "/usr/bin:/bin", 1), 0);
}

static struct config *load(const char *name, struct config_report *report)
{
    char path[256];
    in_folder(path, sizeof path, name);
    return config_load(path, 0, report);
}

static void show(const struct config_report *report)
{
    for (size_t i = 0; i < report->errors.count; i++)
        (void)fprintf(stderr, "  %s\n", report->errors.items[i]);
}

static struct config *load_well(const char *name)
{
    struct config_report report = {0};
    struct config *config = load(name, &report);
    show(&report);
    cr_assert_not_null(config);
    cr_assert_eq(report.errors.count, 0);
    config_report_free(&report);
    return config;
}

/* Is there an error "FOLDER/where...what..."? */
static bool holds(const struct value_parse_list *sentences, const char *where, const char *what)
{
    char start[256];
    in_folder(start, sizeof start, where);
    for (size_t i = 0; i < sentences->count; i++)
        if (strncmp(sentences->items[i], start, strlen(start)) == 0 &&
            strstr(sentences->items[i], what) != NULL)
            return true;
    return false;
}

/* The file is refused with exactly this one error. */
static void refused(const char *name, const char *where, const char *what)
{
    struct config_report report = {0};
    struct config *config = load(name, &report);
    cr_expect_null(config, "%s %s", where, what);
    if (report.errors.count != 1 || !holds(&report.errors, where, what)) {
        show(&report);
        cr_expect_fail("not as expected: %s %s", where, what);
    }
    config_free(&config);
    config_report_free(&report);
}

static void write_pool(const char *line)
{
    write_file("main.ini",
               "[www]\ncommand = /bin/true\nlisten = /tmp/www.sock\npm.max_children = 1\n%s%s\n",
               geteuid() == 0 ? "user = nobody\n" : "; no user\n", line);
}

/* cppcheck-suppress unknownMacro */
TestSuite(config, .init = make_folder, .fini = remove_folder);

Test(config, reads_every_type)
{
    write_file("main.ini",
               "; a comment\n# another\n"
               "[global]\n"
               "log_level = debug ; after a value\n"
               "process_control_timeout=1500ms\n"
               "control.listen = %s/control\n"
               "rlimit_core = unlimited\n"
               "  daemonize   =   on  \n"
               "\n"
               "[www]\n"
               "%s"
               "command = sh -c \"echo ; ${OT_TEST_SOME}\" '$pool'\n"
               "listen = [::1]:9000\n"
               "listen.allowed_clients = 10.0.0.0/8, ::1\n"
               "pm.max_children = 7\n"
               "umask = 027\n"
               "env[A] = \"x ; y\"\n"
               "env[B] = $pool\n"
               "limit_params_size = 64K\n"
               "bailout = exit\n"
               "abort_detection = write\n"
               "post_response.time_limit = 0\n",
               folder, user());
    struct config *config = load_well("main.ini");
    const struct config_global *global = &config->global;
    const struct config_pool *pool = &config->pools[0];

    cr_assert_eq(config->pool_count, 1);
    cr_expect_eq(global->log_level, LOG_LEVEL_DEBUG);
    cr_expect_eq(global->process_control_timeout, 1500);
    cr_expect_eq(global->control_listen.kind, VALUE_PARSE_ADDRESS_UNIX);
    cr_expect_eq(global->control_mode, 0600);
    cr_expect_eq(global->rlimit_core, INT64_MAX);
    cr_expect_eq(global->rlimit_files, -1);
    cr_expect(global->daemonize);
    cr_expect_null(global->pid);
    cr_expect_str_eq(global->error_log, "stderr");
    cr_expect_str_eq(pool->name, "www");
    cr_expect_eq(pool->command.argc, 4);
    cr_expect_str_eq(pool->command.argv[2], "echo ; some");
    cr_expect_str_eq(pool->command.argv[3], "$pool");
    cr_expect_str_eq(pool->program, "/usr/bin/sh");
    cr_expect_str_eq(pool->listen.host, "::1");
    cr_expect_str_eq(pool->listen.port, "9000");
    cr_expect_eq(pool->listen_backlog, 511);
    cr_expect_eq(pool->listen_allowed_clients.count, 2);
    cr_expect_eq(pool->pm, DIRECTIVE_PM_STATIC);
    cr_expect_eq(pool->pm_max_children, 7);
    cr_expect_eq(pool->post_response_max_children, 7);
    cr_expect_eq(pool->umask, 027);
    cr_expect_eq(pool->env.count, 2);
    cr_expect_str_eq(pool->env.items[0].value, "x ; y");
    cr_expect_str_eq(pool->env.items[1].value, "www");
    cr_expect_eq(pool->limit_params_size, 65536);
    cr_expect_eq(pool->bailout, OT_BAILOUT_EXIT);
    cr_expect_eq(pool->abort_detection, OT_ABORT_WRITE);
    cr_expect_eq(pool->max_execution_time, 30000);
    cr_expect_eq(pool->post_response_time_limit, 0);
    cr_expect_eq(pool->identity.change, geteuid() == 0);
    cr_expect_eq(pool->origins[DIRECTIVE_POOL_listen].line, geteuid() == 0 ? 13 : 12);
    cr_expect_null(pool->origins[DIRECTIVE_POOL_pm].file);
    config_free(&config);
    cr_assert_null(config);
}

/* Each case adds one bad line, the sixth, to a valid pool. */
Test(config, refuses_every_kind_of_value)
{
    static const struct {
        const char *line, *what;
    } cases[] = {
        {"frobnicate = 1", "[www] frobnicate is no directive; overtime.ini(5)"},
        {"pm.max_childern = 5", "did you mean pm.max_children?"},
        {"pm.max_children = 5", "pm.max_children is already given at"},
        {"log_level = debug", "[www] log_level belongs into [global]"},
        {"include = x.ini", "[www] include belongs into [global]"},
        {"listen.backlog = 0", "listen.backlog = 0: must be a whole number from 1 to 65535"},
        {"listen.backlog = 65536", "from 1 to 65535"},
        {"listen.backlog = -1", "from 1 to 65535"},
        {"listen.backlog = 5x", "from 1 to 65535"},
        {"listen.backlog = 99999999999999999999", "from 1 to 65535"},
        {"listen.backlog =", "has no value"},
        {"listen.backlog = ; nothing", "has no value"},
        {"max_execution_time = 5 s", "a number of seconds"},
        {"max_execution_time = 366d", "from 0 to 365d"},
        {"limit_params_size = 1", "from 4K to 1G"},
        {"limit_params_size = 64MB", "from 4K to 1G"},
        {"clear_env = maybe", "clear_env = maybe: must be yes or no"},
        {"umask = 08", "octal"},
        {"umask = 1777", "octal"},
        {"bailout = jump", "bailout = jump: must be auto, unwind, exit, none"},
        {"bailout = AUTO", "must be auto"},
        {"pm = sometimes", "pm = sometimes: must be static, dynamic, ondemand"},
        {"pm = dynamic\npm.max_spare_servers = 9", "must not be more than pm.max_children"},
        {"abort_detection = sometimes", "must be checkpoint, instant, write"},
        {"chdir = /nonexistent", "chdir = /nonexistent: cannot be used: No such file"},
        {"chdir = /bin/true", "is not a folder"},
        {"chdir = relative", "the absolute path of a folder"},
        {"listen.owner = nosuchuser_", "no such user"},
        {"listen.group = nosuchgroup_", "no such group"},
        {"rlimit_files = 1", "from 16 to"},
        {"rlimit_core = lots", "or unlimited"},
        {"listen.allowed_clients = 10.0.0.1, www.example.com", "www.example.com is neither"},
        {"listen.allowed_clients = 10.0.0.1,,10.0.0.2", "comma with nothing"},
        {"env[1A] = x", "a variable's name"},
        {"env[A B] = x", "a variable's name"},
        {"env[A] =", "env[A] =: has no value"},
        {"env[A] = ${OT_TEST_NONE}", "${OT_TEST_NONE} from the environment"},
        {"env[A] = ${OT_TEST_NONE", "has a ${ without its }"},
        {"env[A] = \"x", "quote that is never closed"},
        {"env[A] = \"x\" y", "goes on after its closing quote"},
        {"env[A] = x\nenv[A] = y", "env[A] = y: is already given at"},
        {"just words", "write NAME = VALUE"},
        {"name : value", "write NAME = VALUE"},
        {"= value", "write NAME = VALUE"},
        {"=", "write NAME = VALUE"},
        {"[open", "no closing bracket"},
        {"[]", "has no name"},
        {"[a] b", "text follows"},
        {"[global]\npid = run/pid", "[global] pid = run/pid: must be an absolute path"},
        {"[global]\ncontrol.listen = 80", "the absolute path of a unix socket"},
        {"[global]\ncontrol.listen = /run/", "must name a socket, not a folder"},
        {"[global]\nlog_limit = 1", "from 512 to 64K"},
        {"[global]\nlisten = 80", "[global] listen belongs into a pool's section"},
        {"[global]\nlogs = x", "[global] logs is no directive"},
        {"[global]\npid = $pool.pid", "$pool"},
        {"[global]\n[global]", "[global] stands twice, first at"},
        {"[global]\n[www]", "[www] stands twice, first at"},
    };
    char where[32];

    for (size_t i = 0; i < COUNT(cases); i++) {
        unsigned line = strchr(cases[i].line, '\n') != NULL ? 7 : 6;
        write_pool(cases[i].line);
        cr_assert(snprintf(where, sizeof where, "main.ini:%u: ", line) > 0);
        refused("main.ini", where, cases[i].what);
    }
}

Test(config, refuses_bad_commands_and_addresses)
{
    static const struct {
        const char *command, *listen, *what;
    } cases[] = {
        {"nosuchprogram_ -x", "9000", "no program of that name in PATH (/usr/bin:/bin)"},
        {"/nonexistent/app", "9000", "/nonexistent/app cannot be run: No such file"},
        {"/tmp", "9000", "/tmp cannot be run: Is a directory"},
        {"/etc/passwd", "9000", "/etc/passwd cannot be run: Permission denied"},
        {"./app", "9000", "must begin with an absolute path"},
        {"'app", "9000", "quote that is never closed"},
        {"\"\"", "9000", "names no program"},
        {"true \\", "9000", "backslash"},
        {"true", "0", "port from 1 to 65535"},
        {"true", "65536", "port from 1 to 65535"},
        {"true", "localhost:80", "names are not looked up"},
        {"true", "::1:80", "brackets"},
        {"true", "run/www.sock", "must be /path, port"},
        {"true", "unix:/tmp/www.sock", "must be the path alone: /tmp/www.sock"},
        {"true", "/nonexistent/www.sock", "the folder /nonexistent does not exist"},
        {"true", "/run/overtime/overtime.sock",
         "[global] control.listen = /run/overtime/overtime.sock is there already (by default)"},
        {"true",
         "/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
         "aaaaaaaaaaaaaaaaaaaa",
         "is too long for a unix socket: 108 bytes"},
    };

    for (size_t i = 0; i < COUNT(cases); i++) {
        bool command = strcmp(cases[i].command, "true") != 0;
        write_file("main.ini", "[www]\ncommand = %s\nlisten = %s\npm.max_children = 1\n%s",
                   cases[i].command, cases[i].listen, user());
        refused("main.ini",
                command ? "main.ini:2: [www] command = " : "main.ini:3: [www] listen = ",
                cases[i].what);
    }
}

Test(config, refuses_more_clients_than_a_worker_can_be_handed)
{
    char *text = NULL;
    size_t length;
    FILE *stream = open_memstream(&text, &length);
    cr_assert_not_null(stream);
    (void)fputs("listen.allowed_clients = ::1", stream);
    for (unsigned i = 0; i < DIRECTIVE_NETWORKS_MAX; i++)
        (void)fputs(",::", stream);
    cr_assert_eq(fclose(stream), 0);
    write_pool(text);
    refused("main.ini", "main.ini:6: ", "has 2049 entries; at most 2048 are allowed");
    free(text);
}

Test(config, refuses_variables_that_the_manager_sets)
{
    write_pool("env[FCGI_WEB_SERVER_ADDRS] = 127.0.0.1");
    refused("main.ini", "main.ini:6: ", "is set by the manager; use listen.allowed_clients");
    write_pool("env[" OT_CONTRACT_ENV "] = 99 7");
    refused("main.ini", "main.ini:6: ", "is set by the manager; remove the line");
}

Test(config, wants_a_name_for_the_system_log)
{
    write_file("main.ini", "[global]\nsyslog.ident = two words\n");
    refused("main.ini", "main.ini:2: ", "syslog.ident = two words: must be 1 to 63 visible");
}

/* With chroot, paths are looked up inside it. */
Test(config, looks_inside_a_chroot)
{
    struct config_report report = {0};
    char path[128];
    in_folder(path, sizeof path, "jail");
    cr_assert_eq(mkdir(path, 0755), 0);
    if (geteuid() != 0) {
        write_pool("chroot = /tmp");
        refused("main.ini", "main.ini:6: ", "only root can change the root folder");
        return;
    }
    write_pool("chroot = /nonexistent\nchdir = /nonexistent");
    refused("main.ini", "main.ini:6: ", "chroot = /nonexistent: cannot be used: No such file");
    write_file("main.ini",
               "[www]\ncommand = /bin/true\nlisten = 9000\npm.max_children = 1\nchroot = %s\n"
               "chdir = /tmp\n%s",
               path, user());
    cr_expect_null(load("main.ini", &report));
    cr_expect_eq(report.errors.count, 2);
    cr_expect(holds(&report.errors, "main.ini:2: ", "/bin/true cannot be run inside"));
    cr_expect(holds(&report.errors, "main.ini:6: ", "chdir = /tmp: cannot be used inside"));
    config_report_free(&report);
    write_file("main.ini",
               "[www]\ncommand = true\nlisten = 9000\npm.max_children = 1\nchroot = %s\n%s", path,
               user());
    refused("main.ini", "main.ini:2: ", "no program of that name in PATH (/usr/bin:/bin) inside ");
}

Test(config, misses_every_folder_at_once)
{
    struct config_report report = {0};
    write_file("main.ini",
               "[global]\nerror_log = %s/made/log\npid = %s/no/pid\ncontrol.listen = "
               "%s/made/ctl\n[www]\ncommand = true\nlisten = %s/made/www\n"
               "pm.max_children = 1\n%s",
               folder, folder, folder, folder, user());
    cr_expect_null(load("main.ini", &report));
    cr_expect_eq(report.errors.count, 2);
    cr_expect(holds(&report.errors, "main.ini:2: ", "made does not exist"), "opened too early");
    cr_expect(holds(&report.errors, "main.ini:3: ", "no does not exist"));
    config_report_free(&report);

    write_file("main.ini",
               "[global]\ncontrol.listen = %s/not/made/ctl\n[www]\ncommand = true\n"
               "listen = 9000\npm.max_children = 1\n%s",
               folder, user());
    refused("main.ini", "main.ini:2: ", "not/made does not exist");
}

Test(config, reports_all_errors_at_once)
{
    static const struct {
        const char *where, *what;
    } expected[] = {
        {"main.ini:1: ", "foo stands before the first section"},
        {"main.ini:3: ", "[global] loglevel is no directive; did you mean log_level?"},
        {"main.ini:4: ", "cannot be read: No such file"},
        {"pool.d/a.ini:2: ", "no closing bracket"},
        {"pool.d/b.ini:2: ", "[b] pm.max_children = 0: must be"},
        {"pool.d/b.ini:3: ", "[b] command = nosuchprogram_: no program"},
        {"pool.d/b.ini:1: ", "[b] listen is missing"},
        {"main.ini:6: ", "[c] command is missing"},
        {"main.ini:6: ", "[c] pm.max_children is missing"},
        {"main.ini:11: ", "[d] listen = 127.0.0.1:9000: [c] listen = 9000 is in its way, see "},
        {"main.ini:13: ", "write NAME = VALUE"},
        {"main.ini:14: ", "[c] stands twice"},
    };
    struct config_report report = {0};
    char path[256];

    in_folder(path, sizeof path, "pool.d");
    cr_assert_eq(mkdir(path, 0755), 0);
    write_file("pool.d/a.ini", "; nothing\n[open\nlisten = 1\nlisten = 2\n");
    write_file("pool.d/b.ini", "[b]\npm.max_children = 0\ncommand = nosuchprogram_\n%s", user());
    write_file("main.ini",
               "foo = 1\n[global]\nloglevel = x\ninclude = none.ini\ninclude = pool.d/*.ini\n"
               "[c]\nlisten = 9000\n%s[d]\ncommand = true\nlisten = 127.0.0.1:9000\n"
               "pm.max_children = 3\nwords\n[c]\nlisten = 5\n%s",
               geteuid() == 0 ? "user = nobody\n" : "\n", "");
    struct config *config = load("main.ini", &report);

    cr_assert_null(config);
    for (size_t i = 0; i < COUNT(expected); i++) {
        cr_expect(holds(&report.errors, expected[i].where, expected[i].what), "missing: %s%s",
                  expected[i].where, expected[i].what);
    }
    /* As root, [d] lacks a user as well. */
    if (report.errors.count != COUNT(expected) + (geteuid() == 0 ? 1 : 0)) {
        show(&report);
        cr_expect_fail("%zu errors", report.errors.count);
    }
    config_report_free(&report);
}

Test(config, includes_in_order_from_the_files_folder)
{
    char path[256];
    in_folder(path, sizeof path, "pool.d");
    cr_assert_eq(mkdir(path, 0755), 0);
    in_folder(path, sizeof path, "pool.d/more");
    cr_assert_eq(mkdir(path, 0755), 0);
    for (int i = 0; i < 3; i++) {
        const char name[] = {'p', 'o', 'o', 'l', '.', 'd', '/', (char)('c' - i), 0};
        write_file(name, "%s[%s]\ncommand = true\nlisten = 900%d\npm.max_children = 1\n%s",
                   i == 0 ? "include = more/x\n" : "", name + 7, i, user());
    }
    write_file("pool.d/more/x", "[x]\ncommand = true\nlisten = 9009\npm.max_children = 1\n%s",
               user());
    write_file("main.ini",
               "[global]\ninclude = pool.d/?\ninclude = none.d/*.ini\nlog_level = error\n");
    struct config *config = load_well("main.ini");

    cr_assert_eq(config->pool_count, 4);
    cr_expect_str_eq(config->pools[0].name, "a");
    cr_expect_str_eq(config->pools[1].name, "b");
    cr_expect_str_eq(config->pools[2].name, "x");
    cr_expect_str_eq(config->pools[3].name, "c");
    cr_expect_eq(config->global.log_level, LOG_LEVEL_ERROR);
    cr_expect_eq(config->files.count, 5);
    config_free(&config);
}

Test(config, refuses_loops_and_depths_of_includes)
{
    char name[16], next[16];
    write_file("main.ini", "include = main.ini\n");
    refused("main.ini", "main.ini:1: ", "would include itself");
    write_file("main.ini", "[global]\ninclude = a.ini\n");
    write_file("a.ini", "\ninclude = ./main.ini\n");
    refused("main.ini", "a.ini:2: ", "would include itself");

    for (int i = 0; i < 12; i++) {
        cr_assert(snprintf(name, sizeof name, "%d.ini", i) > 0);
        cr_assert(snprintf(next, sizeof next, "%d.ini", i + 1) > 0);
        write_file(name, "include = %s\n", next);
    }
    refused("0.ini", "7.ini:1: ", "would be the 9th file");
    write_file("main.ini", "[global]\ninclude = .\n");
    refused("main.ini", "main.ini:2: ", "it is a folder");
    write_file("main.ini", "[global]\ninclude =\n");
    refused("main.ini", "main.ini:2: ", "has no value");
}

Test(config, refuses_files_that_cannot_be_read)
{
    struct config_report report = {0};
    char path[256];
    refused("none.ini", "none.ini", "cannot be read: No such file");
    in_folder(path, sizeof path, "folder.ini");
    cr_assert_eq(mkdir(path, 0755), 0);
    refused("folder.ini", "folder.ini", "it is a folder");
    in_folder(path, sizeof path, "fifo.ini");
    cr_assert_eq(mkfifo(path, 0600), 0);
    refused("fifo.ini", "fifo.ini", "it is no regular file");
    if (geteuid() != 0) {
        write_file("secret.ini", "[www]\n");
        in_folder(path, sizeof path, "secret.ini");
        cr_assert_eq(chmod(path, 0), 0);
        refused("secret.ini", "secret.ini", "Permission denied");
    }
    write_file("empty.ini", "%s", "");
    refused("empty.ini", "empty.ini: ", "no pool");
    write_file("global.ini", "[global]\ninclude = *.none\n");
    refused("global.ini", "global.ini: ", "no pool");

    cr_assert_null(config_load("", 0, &report));
    config_report_free(&report);
}

/* Lines that inih would split, cut or ignore. */
Test(config, takes_lines_as_they_are)
{
    static const char bom_and_cr[] = "\xEF\xBB\xBF; bom\r\n[ www ]\r\ncommand = /bin/true -x\r\n"
                                     "  listen = 9000\r\n\tpm.max_children\t=\t1\r\n%s";
    char line[INI_LINES_LINE_MAX + 64];
    struct config *config;
    write_file("main.ini", bom_and_cr, user());
    config = load_well("main.ini");
    cr_expect_str_eq(config->pools[0].name, "www");
    cr_expect_str_eq(config->pools[0].command.argv[1], "-x");
    cr_expect_eq(config->pools[0].pm_max_children, 1);
    config_free(&config);

    write_pool("env[A] = x\r\ny");
    refused("main.ini", "main.ini:7: ", "write NAME = VALUE");
    write_pool("env[A] = x\ry");
    refused("main.ini", "main.ini:6: ", "control character");
    write_pool("env[A] = \x1b[1m");
    refused("main.ini", "main.ini:6: ", "control character");

    /* The longest line, whole; and one byte more. */
    memset(line, 'x', sizeof line);
    memcpy(line, "env[A] = ", 9);
    line[INI_LINES_LINE_MAX] = '\0';
    write_pool(line);
    config = load_well("main.ini");
    cr_expect_eq(strlen(config->pools[0].env.items[0].value), INI_LINES_LINE_MAX - 9);
    config_free(&config);
    line[INI_LINES_LINE_MAX] = 'x';
    line[INI_LINES_LINE_MAX + 1] = '\0';
    write_pool(line);
    refused("main.ini", "main.ini:6: ", "longer than 8192 bytes");

    write_bytes("main.ini", "[global]\npid = /a\0b\n[www", 23);
    struct config_report report = {0};
    cr_expect_null(load("main.ini", &report));
    cr_expect(holds(&report.errors, "main.ini:2: ", "NUL byte"));
    cr_expect_eq(report.errors.count, 1, "the rest is not read");
    config_report_free(&report);
}

Test(config, names_of_pools)
{
    static const struct {
        const char *name, *what; /* NULL: fine */
    } cases[] = {
        {"a", NULL},
        {"_a-1.b", NULL},
        {"A23456789A23456789A23456789A23456789A23456789A2345678", "longer than 49 bytes"},
        {"A23456789A23456789A23456789A23456789A23456789A234", NULL},
        {"two words", "cannot be a pool's name"},
        {"a/b", "cannot be a pool's name"},
        {".a", "cannot be a pool's name"},
        {"-a", "cannot be a pool's name"},
        {"caf\xC3\xA9", "cannot be a pool's name"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        write_file("main.ini", "[%s]\ncommand = true\nlisten = 9000\npm.max_children = 1\n%s",
                   cases[i].name, user());
        if (cases[i].what != NULL) {
            refused("main.ini", "main.ini:1: ", cases[i].what);
            continue;
        }
        struct config *config = load_well("main.ini");
        cr_expect_str_eq(config->pools[0].name, cases[i].name);
        config_free(&config);
    }
}

/* The value that `overtime -tt` prints for a directive, which must be a default. */
static char *dumped_default(const char *dump, const char *name)
{
    char line[128];
    cr_assert(snprintf(line, sizeof line, "\n%s = ", name) < (int)sizeof line);
    const char *found = strstr(dump, line);
    cr_assert_not_null(found, "%s", name);
    found += strlen(line);
    size_t length = strcspn(found, " ");
    cr_assert_eq(strncmp(found + strcspn(found, ";\n"), "; default", 9), 0, "%s", name);
    char *value = strndup(found, length);
    cr_assert_not_null(value);
    return value;
}

/* With no manager, this process is a worker of a plain spawner. */
Test(config, workers_without_a_manager_have_the_same_defaults)
{
    const struct ot_settings *settings = worker_slot_settings();
    const struct {
        const char *name;
        int64_t number;
    } seen[] = {
        {"ignore_user_abort", settings->ignore_user_abort},
        {"abort_detection", settings->abort_detection},
        {"drop_dead_on_arrival", settings->drop_dead_on_arrival},
        {"bailout", settings->bailout},
        {"max_execution_time", settings->max_execution_time},
        {"max_execution_cpu_time", settings->max_execution_cpu_time},
        {"hard_timeout", settings->hard_timeout},
        {"post_response.time_limit", settings->post_response_time_limit},
        {"shutdown_functions.time_limit", settings->shutdown_functions_time_limit},
        {"request_header_timeout", settings->request_header_timeout},
        {"keepalive_timeout", settings->keepalive_timeout},
        {"keepalive_max", (int64_t)settings->keepalive_max},
        {"limit_params_size", (int64_t)settings->limit_params_size},
        {"pm.max_requests", (int64_t)settings->max_requests},
        {"pm.max_requests_jitter", (int64_t)settings->max_requests_jitter},
        {"pm.max_memory", (int64_t)settings->max_memory},
    };
    write_pool("");
    struct config *config = load_well("main.ini");
    char *dump = NULL, error[256];
    size_t length;
    FILE *stream = open_memstream(&dump, &length);
    cr_assert_not_null(stream);
    cr_assert_eq(config_dump(config, stream), 0);
    cr_assert_eq(fclose(stream), 0);

    for (size_t i = 0; i < COUNT(seen); i++) {
        const struct directive *row =
            directive_find(directive_pool, DIRECTIVE_POOL_COUNT, seen[i].name);
        const struct value_parse_source source = {0};
        struct config_pool pool = {0};
        char *text = dumped_default(dump, seen[i].name);
        cr_assert_not_null(row);
        cr_assert_eq(directive_value_set(row, &pool, text, &source, error, sizeof error), 0, "%s",
                     error);
        const void *field = (const char *)&pool + row->offset;
        int64_t number = row->type == DIRECTIVE_BOOL     ? *(const bool *)field
                         : row->type == DIRECTIVE_CHOICE ? *(const int *)field
                                                         : *(const int64_t *)field;
        cr_expect_eq(number, seen[i].number, "%s: %lld without a manager, %s by -tt", seen[i].name,
                     (long long)seen[i].number, text);
        free(text);
    }
    free(dump);
    config_free(&config);
}

/* The same file of values again and again: the report stays small. */
Test(config, reports_are_bounded)
{
    struct config_report report = {0};
    char *text = NULL;
    size_t length;
    FILE *out = open_memstream(&text, &length);
    cr_assert_not_null(out);
    (void)fprintf(out, "[global]\n");
    for (int i = 0; i < 1000; i++)
        (void)fprintf(out, "x%d = 1\n", i);
    cr_assert_eq(fclose(out), 0);
    write_bytes("main.ini", text, length);
    free(text);
    cr_expect_null(load("main.ini", &report));
    cr_expect_eq(report.errors.count, CONFIG_REPORT_MAX + 1);
    cr_expect_eq(report.failed, CONFIG_REPORT_MAX);
    cr_expect_str_eq(report.errors.items[CONFIG_REPORT_MAX],
                     "... and perhaps more: the rest is not read");
    config_report_free(&report);
}

Test(config, users_of_workers)
{
    struct config_report report = {0};
    struct config *config;
    write_file("main.ini", "[www]\ncommand = true\nlisten = 9000\npm.max_children = 1\n%s",
               geteuid() == 0 ? "" : "user = root\n");
    if (geteuid() != 0) {
        config = load("main.ini", &report);
        cr_assert_not_null(config);
        cr_expect(holds(&report.warnings, "main.ini:5: ", "[www] user = root: ignored"));
        cr_expect_null(config->pools[0].user);
        cr_expect_not(config->pools[0].identity.change);
        config_free(&config);
        config_report_free(&report);
        return;
    }
    refused("main.ini", "main.ini:1: ", "[www] user is missing");
    write_pool("group = root");
    refused("main.ini", "main.ini:6: ", "workers in the group root are refused");
    write_file("main.ini", "[www]\ncommand = true\nlisten = 9000\npm.max_children = 1\n"
                           "user = 0\n");
    refused("main.ini", "main.ini:5: ", "workers as root are refused");
    char path[256];
    in_folder(path, sizeof path, "main.ini");
    config = config_load(path, CONFIG_ALLOW_ROOT, &report);
    cr_assert_not_null(config);
    cr_expect(config->pools[0].identity.change && config->pools[0].identity.uid == 0);
    config_free(&config);
    write_file("main.ini", "[www]\ncommand = true\nlisten = 9000\npm.max_children = 1\n"
                           "user = 54321\n");
    refused("main.ini", "main.ini:5: ", "name a group as well");
    write_file("main.ini", "[www]\ncommand = true\nlisten = 9000\npm.max_children = 1\n"
                           "user = 54321\ngroup = 54322\n");
    config = load_well("main.ini");
    cr_expect(config->pools[0].identity.uid == 54321 && config->pools[0].identity.gid == 54322);
    cr_expect_null(config->pools[0].identity.name);
    config_free(&config);
}

Test(config, warns_of_what_has_no_effect)
{
    struct config_report report = {0};
    struct config *config;
    write_pool("listen.allowed_clients = 10.0.0.1");
    config = load("main.ini", &report);
    cr_expect_not_null(config);
    cr_expect(holds(&report.warnings, "main.ini:6: ", "no effect on a unix socket"));
    config_free(&config);
    config_report_free(&report);
    write_file("main.ini",
               "[www]\ncommand = true\nlisten = 9000\npm.max_children = 1\n"
               "listen.mode = 0600\n%s",
               user());
    config = load("main.ini", &report);
    cr_expect_not_null(config);
    cr_expect(holds(&report.warnings, "main.ini:5: ", "listen.mode has no effect"));
    config_free(&config);
    config_report_free(&report);
}

static void expect_equal(const struct directive *table, size_t count, const void *a, const void *b)
{
    for (size_t i = 0; i < count; i++)
        if (table[i].type != DIRECTIVE_INCLUDE)
            cr_expect(directive_value_equal(&table[i], a, b), "%s", table[i].name);
}

Test(config, dump_reads_back_the_same)
{
    char path[256];
    write_file("pool",
               "[www]\n%scommand = sh -c \"a ; b\" '$x' it\\'s '' \"${OT_TEST_SOME}\"\n"
               "listen = /tmp/$pool.sock\npm.max_children = 3\nchdir = /tmp\n"
               "env[A] = \" x ; \\\"y\\\" \\$pool\"\nenv[B] = ''\nenv[C] = 'a\\b'\n"
               "max_execution_time = 90\nrlimit_as = unlimited\nrlimit_files = 64\n"
               "clear_env = off\numask = 022\n"
               "[api]\n%scommand = true\nlisten = 127.0.0.1:9000\npm.max_children = 1\n"
               "listen.allowed_clients = 10.0.0.0/8 ::1,192.0.2.1\n",
               user(), user());
    write_file("main.ini", "[global]\ninclude = poo*\nlog_limit = 2048\npid = \"/tmp/a ; b\"\n");
    struct config *first = load_well("main.ini");

    in_folder(path, sizeof path, "dump.ini");
    FILE *out = fopen(path, "w");
    cr_assert_not_null(out);
    cr_assert_eq(config_dump(first, out), 0);
    cr_assert_eq(fclose(out), 0);
    struct config *second = load_well("dump.ini");

    expect_equal(directive_global, DIRECTIVE_GLOBAL_COUNT, &first->global, &second->global);
    cr_assert_eq(first->pool_count, second->pool_count);
    for (size_t i = 0; i < first->pool_count; i++) {
        cr_expect_str_eq(first->pools[i].name, second->pools[i].name);
        expect_equal(directive_pool, DIRECTIVE_POOL_COUNT, &first->pools[i], &second->pools[i]);
    }
    config_free(&first);
    config_free(&second);
}

Test(config, dump_says_when_it_cannot_write)
{
    write_pool("");
    struct config *config = load_well("main.ini");
    FILE *full = fopen("/dev/full", "w");

    cr_assert_not_null(full);
    cr_expect_eq(config_dump(config, full), -1);
    (void)fclose(full);
    config_free(&config);
}

/* The origins stay valid whatever the working folder is. */
Test(config, finds_a_relative_file)
{
    struct config_report report = {0};
    write_pool("");
    cr_assert_eq(chdir(folder), 0);
    struct config *config = config_load("main.ini", 0, &report);
    cr_assert_eq(chdir("/"), 0);
    cr_assert_not_null(config);
    cr_expect_eq(config->file[0], '/');
    cr_expect_eq(strncmp(config->file, folder, strlen(folder)), 0);
    config_free(&config);
    config_report_free(&report);
}
