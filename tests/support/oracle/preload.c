/* Preloaded into the real knockd: its network, clock and commands become data (see driver.py).
 * Each thing it does is a record "\x1e KIND TEXT \x1f" on its standard output, so that records and
 * knockd's own lines stay in the order in which they happened. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dlfcn.h>
#include <ifaddrs.h>
#include <netdb.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <sys/wait.h>

/* What <pcap.h> would say, so that its development package is not needed. */
struct program { unsigned length; void *instructions; };  /* of eight bytes each */
struct header { struct timeval ts; uint32_t caplen, len; };
typedef void handler(unsigned char *, const struct header *, const unsigned char *);
extern void *pcap_open_dead(int linktype, int snaplen);
extern int pcap_offline_filter(const struct program *, const struct header *, const void *);

struct packet { int64_t seconds; int32_t microseconds; uint32_t length; };  /* the frame follows */

static const unsigned char *packets, *end;  /* in memory: a child's exit would move a file's offset */
static struct program filter;
static int64_t now;

#define RECORD(...) \
    (fputc(0x1e, stdout), printf(__VA_ARGS__), fputc(0x1f, stdout), fflush(stdout))
#define REAL(name, ...) ((__typeof__(name) *)dlsym(RTLD_NEXT, #name))(__VA_ARGS__)

static const char *setting(const char *name) { const char *v = getenv(name); return v ? v : ""; }

__attribute__((constructor)) static void start(void) { setvbuf(stdout, NULL, _IOLBF, 0); }

void *pcap_open_live(const char *device, int snaplen, int promisc, int ms, char *error) {
    RECORD("open %d %d %d %s", snaplen, promisc, ms, device);
    FILE *file = REAL(fopen, setting("ORACLE_PACKETS"), "r");
    size_t size = atol(setting("ORACLE_SIZE"));
    packets = malloc(size + 1);
    end = packets + fread((void *)packets, 1, size, file);
    fclose(file);
    return pcap_open_dead(atoi(setting("ORACLE_LINKTYPE")), 65535);
}

int pcap_setfilter(void *handle, struct program *program) {  /* knockd frees it: keep a copy */
    filter = *program;
    filter.instructions = malloc(8 * program->length);
    memcpy(filter.instructions, program->instructions, 8 * program->length);
    return 0;
}

int pcap_dispatch(void *handle, int limit, handler *callback, unsigned char *user) {
    static int count;
    struct packet p;
    if (packets == end) {
        RECORD("end");
        exit(0);
    }
    memcpy(&p, packets, sizeof p);
    const unsigned char *frame = packets + sizeof p;
    packets = frame + p.length;
    struct header h = {{p.seconds, p.microseconds}, p.length, p.length};
    int passes = !filter.instructions || pcap_offline_filter(&filter, &h, frame) != 0;
    now = p.seconds;
    RECORD("packet %d %d", count++, passes);
    if (passes) callback(user, &h, frame);
    return passes;
}

int getifaddrs(struct ifaddrs **list) {
    char *rest = strdup(setting("ORACLE_ADDRESSES")), *text;
    for (*list = NULL; (text = strsep(&rest, ",")); list = &(*list)->ifa_next) {
        struct sockaddr_in6 *v6 = calloc(1, sizeof *v6);
        struct sockaddr_in *v4 = (struct sockaddr_in *)v6;
        v6->sin6_family = strchr(text, ':') ? AF_INET6 : AF_INET;
        inet_pton(v6->sin6_family, text,
                  v6->sin6_family == AF_INET6 ? (void *)&v6->sin6_addr : (void *)&v4->sin_addr);
        *list = calloc(1, sizeof **list);
        (*list)->ifa_name = (char *)setting("ORACLE_INTERFACE");
        (*list)->ifa_addr = *text ? (struct sockaddr *)v6 : NULL;
    }
    return 0;
}

void freeifaddrs(struct ifaddrs *list) { }

time_t time(time_t *out) { if (out) *out = now; return now; }

unsigned sleep(unsigned seconds) { RECORD("sleep %d", (int)seconds); return 0; }

int daemon(int nochdir, int noclose) { RECORD("daemon"); return 0; }

int system(const char *command) {  /* "#status=N" in the command: what wait() is to have said */
    const char *wish = strstr(command, "#status=");
    RECORD("system %s", command);
    return wish ? atoi(wish + 8) : 0;
}

pid_t fork(void) {  /* the child runs to its end at once, so the order of lines is repeatable */
    siginfo_t info;
    fflush(NULL);
    pid_t child = REAL(fork);
    if (child > 0) waitid(P_PID, child, &info, WEXITED | WNOWAIT);
    return child;
}

void __syslog_chk(int priority, int flag, const char *format, ...) {
    char text[16384];
    va_list values;
    va_start(values, format);
    vsnprintf(text, sizeof text, format, values);
    va_end(values);
    RECORD("syslog %s", text);
}

struct hostent *gethostbyaddr(const void *address, socklen_t length, int family) {
    static struct hostent host = {.h_name = "host.example"};
    return &host;
}

static int ours(const char *path) {
    return strncmp(path, setting("ORACLE_DIRECTORY"), strlen(setting("ORACLE_DIRECTORY"))) == 0;
}

FILE *fopen(const char *path, const char *mode) {  /* logs and pid files of the host: untouched */
    return REAL(fopen, *mode != 'r' && !ours(path) ? "/dev/null" : path, mode);
}

int unlink(const char *path) { return ours(path) ? REAL(unlink, path) : 0; }
