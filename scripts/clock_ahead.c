/* Sets a command's clock ahead, and that of every file it looks at: preloaded by scripts/clock_ahead.
 *
 * Only the time of day moves. What measures durations (CLOCK_MONOTONIC) stays as it is: libfaketime
 * 0.9.10 moves both or fails in clock_nanosleep, and Python's sleeps and waits end at once or never.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <time.h>

static time_t ahead;

__attribute__((constructor)) static void read_offset(void) {
    const char *seconds = getenv("CLOCK_AHEAD");
    ahead = seconds ? atol(seconds) : 0;
}

/* Calls the next library's function of this name, whose type is that of the one it stands in. */
#define NEXT(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

int clock_gettime(clockid_t clock, struct timespec *now) {
    static __typeof__(&clock_gettime) next;
    if (!next) next = NEXT(clock_gettime);
    int failed = next(clock, now);
    if (!failed && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) now->tv_sec += ahead;
    return failed;
}

int gettimeofday(struct timeval *now, void *zone) {
    struct timespec exact;
    (void)zone;
    if (clock_gettime(CLOCK_REALTIME, &exact)) return -1;
    now->tv_sec = exact.tv_sec;
    now->tv_usec = exact.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *now) {
    struct timespec exact;
    clock_gettime(CLOCK_REALTIME, &exact);
    if (now) *now = exact.tv_sec;
    return exact.tv_sec;
}

/* Each function goes by two names: Python and others call the one for large files. */
#define LOOK(name, parameters, ...)                             \
    int name parameters {                                       \
        int failed = NEXT(name)(__VA_ARGS__);                   \
        if (!failed) {                                          \
            found->st_atim.tv_sec += ahead;                     \
            found->st_mtim.tv_sec += ahead;                     \
            found->st_ctim.tv_sec += ahead;                     \
        }                                                       \
        return failed;                                          \
    }
LOOK(stat, (const char *path, struct stat *found), path, found)
LOOK(stat64, (const char *path, struct stat64 *found), path, found)
LOOK(lstat, (const char *path, struct stat *found), path, found)
LOOK(lstat64, (const char *path, struct stat64 *found), path, found)
LOOK(fstat, (int file, struct stat *found), file, found)
LOOK(fstat64, (int file, struct stat64 *found), file, found)
LOOK(fstatat, (int folder, const char *path, struct stat *found, int flags), folder, path, found, flags)
LOOK(fstatat64, (int folder, const char *path, struct stat64 *found, int flags), folder, path, found, flags)

int statx(int folder, const char *path, int flags, unsigned mask, struct statx *found) {
    int failed = NEXT(statx)(folder, path, flags, mask, found);
    if (!failed) {
        found->stx_atime.tv_sec += ahead;
        found->stx_btime.tv_sec += ahead;
        found->stx_ctime.tv_sec += ahead;
        found->stx_mtime.tv_sec += ahead;
    }
    return failed;
}

/* Times as the kernel is to have them: what holds no time (UTIME_NOW, UTIME_OMIT) ignores seconds. */
static const struct timespec *kernels(const struct timespec given[2], struct timespec real[2]) {
    for (int i = 0; given && i < 2; i++) {
        real[i] = given[i];
        real[i].tv_sec -= ahead;
    }
    return given ? real : NULL;
}

int utimensat(int folder, const char *path, const struct timespec times[2], int flags) {
    struct timespec real[2];
    return NEXT(utimensat)(folder, path, kernels(times, real), flags);
}

int futimens(int file, const struct timespec times[2]) {
    struct timespec real[2];
    return NEXT(futimens)(file, kernels(times, real));
}
