/* Records what a process does to the files under $TORTURE_ROOT, and fails a chosen call.
 *
 * LD_PRELOAD it. Every change is appended to $TORTURE_LOG, after it was done:
 * op, path length, second path length, offset, data length, then the three byte strings.
 * Memory-mapped writes are not seen: of our stores only SQLite's -shm uses them, which is derived.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

struct __attribute__((packed)) head { char op; uint32_t path, other; int64_t offset; uint64_t data; };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int log_fd = -1;
static const char *root;
static long calls, fail_at;
static int fail_with;

__attribute__((constructor)) static void begin(void) {
    const char *path = getenv("TORTURE_LOG");
    root = getenv("TORTURE_ROOT");
    if (path && root) log_fd = syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_CREAT | O_APPEND, 0600);
}

/* From now on the n-th change fails with `error`; 0 ends it. Returns the changes counted before. */
long torture_fail(long n, int error) {
    long before = calls;
    calls = 0; fail_at = n; fail_with = error;
    return before;
}

static int ours(const char *path) { return root && strncmp(path, root, strlen(root)) == 0; }

static int path_of(int fd, char *path) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = syscall(SYS_readlinkat, AT_FDCWD, link, path, PATH_MAX - 1);
    if (n <= 0) return 0;
    path[n] = 0;
    return ours(path) && !strstr(path, " (deleted)");
}

static int fails(void) {
    if (++calls != fail_at) return 0;
    errno = fail_with;
    return 1;
}

static void put(const void *bytes, size_t n) {
    while (n) {
        ssize_t done = syscall(SYS_write, log_fd, bytes, n);
        if (done <= 0) _exit(99);
        bytes = (const char *)bytes + done; n -= done;
    }
}

static void note(char op, const char *path, const char *other, int64_t offset, const void *data, size_t n) {
    if (log_fd < 0) return;
    int saved = errno;
    struct head head = {op, strlen(path), strlen(other), offset, n};
    pthread_mutex_lock(&lock);
    put(&head, sizeof head); put(path, head.path); put(other, head.other); put(data, n);
    pthread_mutex_unlock(&lock);
    errno = saved;
}

#define REAL(name) static __typeof__(name) *real; if (!real) real = dlsym(RTLD_NEXT, #name)

ssize_t write(int fd, const void *data, size_t n) {
    REAL(write);
    char path[PATH_MAX];
    if (!path_of(fd, path)) return real(fd, data, n);
    if (fails()) return -1;
    ssize_t done = real(fd, data, n);
    int64_t end = syscall(SYS_lseek, fd, 0, SEEK_CUR);  /* also right after O_APPEND */
    if (done > 0) note('w', path, "", end - done, data, done);
    return done;
}

#define PWRITE(name, type) ssize_t name(int fd, const void *data, size_t n, type offset) { \
    REAL(name); char path[PATH_MAX]; \
    if (!path_of(fd, path)) return real(fd, data, n, offset); \
    if (fails()) return -1; \
    ssize_t done = real(fd, data, n, offset); \
    if (done > 0) note('w', path, "", offset, data, done); \
    return done; }
PWRITE(pwrite, off_t)
PWRITE(pwrite64, off64_t)

#define TRUNCATE(name, type) int name(int fd, type size) { \
    REAL(name); char path[PATH_MAX]; \
    if (!path_of(fd, path)) return real(fd, size); \
    if (fails()) return -1; \
    int done = real(fd, size); \
    if (!done) note('t', path, "", size, "", 0); \
    return done; }
TRUNCATE(ftruncate, off_t)
TRUNCATE(ftruncate64, off64_t)

#define SYNC(name) int name(int fd) { \
    REAL(name); char path[PATH_MAX]; \
    if (!path_of(fd, path)) return real(fd); \
    if (fails()) return -1; \
    note('s', path, "", 0, "", 0); \
    return 0; }
SYNC(fsync)
SYNC(fdatasync)

int rename(const char *from, const char *to) {
    REAL(rename);
    if (!ours(to)) return real(from, to);
    if (fails()) return -1;
    int done = real(from, to);
    if (!done) note('r', from, to, 0, "", 0);
    return done;
}

int unlink(const char *path) {
    REAL(unlink);
    if (!ours(path)) return real(path);
    if (fails()) return -1;
    int done = real(path);
    if (!done) note('u', path, "", 0, "", 0);
    return done;
}

#define OPEN(name) int name(const char *path, int flags, ...) { \
    REAL(name); va_list rest; va_start(rest, flags); mode_t mode = va_arg(rest, mode_t); va_end(rest); \
    if (!ours(path) || !(flags & (O_CREAT | O_TRUNC))) return real(path, flags, mode); \
    if (fails()) return -1; \
    int fd = real(path, flags, mode); \
    if (fd >= 0) note(flags & O_TRUNC ? 'z' : 'o', path, "", 0, "", 0); \
    return fd; }
OPEN(open)
OPEN(open64)
