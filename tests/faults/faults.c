/* A fault at the nth call that changes files below a folder: loaded before the C library (LD_PRELOAD), set by set_fault.

   Reaches whatever calls the C library: Python, SQLite, pyarrow. Calls are counted in memory that is shared with children, so
   that a parent knows how far a killed child came. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

enum kind { NONE, KILL, TORN, ERROR_ONCE, ERROR_FROM };
enum room { NEEDS_ROOM = 1, OTHER = 0 };

static struct state {
    atomic_long count;
    long at;
    int kind, error, of_reads;
    char folder[PATH_MAX];
} *state;

__attribute__((constructor)) static void make_state(void) {
    void *page = mmap(NULL, sizeof(struct state), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    state = page == MAP_FAILED ? NULL : page;
}

/* A fault of this kind at call `at` (from 1; 0: calls are only counted) below `folder`; of reading or of changing calls. */
void set_fault(int kind, long at, int error, int of_reads, const char *folder) {
    state->kind = NONE;
    snprintf(state->folder, sizeof state->folder, "%s", folder);
    state->at = at, state->error = error, state->of_reads = of_reads;
    atomic_store(&state->count, 0);
    state->kind = kind;
}

long count_calls(void) { return atomic_load(&state->count); }

static int is_below(const char *path) {
    size_t length = strlen(state->folder);
    return length && !strncmp(path, state->folder, length) && (path[length] == '/' || !path[length]);
}

static int is_meant(int folder, const char *path) {
    char link[64], whole[PATH_MAX * 2];
    if (!state || !state->folder[0]) return 0;
    if (path && path[0] == '/') return is_below(path);
    int saved = errno;
    if (folder == AT_FDCWD) snprintf(link, sizeof link, "/proc/self/cwd");
    else snprintf(link, sizeof link, "/proc/self/fd/%d", folder);
    ssize_t length = readlink(link, whole, PATH_MAX - 1);
    errno = saved;
    if (length < 0) return 0;
    whole[length] = 0;
    if (path) snprintf(whole + length, PATH_MAX, "/%s", path);
    return is_below(whole);
}

static void die(void) { kill(getpid(), SIGKILL); pause(); }

/* Count a call; 0: go on, 1: die after it, -1: it fails with errno. */
static int fault(int folder, const char *path, int reads, enum room room) {
    if (!state || reads != state->of_reads || !is_meant(folder, path)) return 0;
    long number = atomic_fetch_add(&state->count, 1) + 1;
    if (!state->at || number < state->at) return 0;
    switch (state->kind) {
    case KILL: if (number == state->at) die(); return 0;
    case TORN: return number == state->at;
    case ERROR_ONCE: if (number > state->at) return 0; break;
    case ERROR_FROM: if (state->error == ENOSPC && !room) return 0; break;
    default: return 0;
    }
    errno = state->error;
    return -1;
}

#define REAL(name) \
    static __typeof__(&name) real; \
    if (!real) real = (__typeof__(&name))dlsym(RTLD_NEXT, #name)

#define CALL(folder, path, reads, room, failed, call) \
    int found = fault(folder, path, reads, room); \
    if (found < 0) return failed; \
    __typeof__(call) result = call; \
    if (found > 0) die(); \
    return result

#define CHANGES(flags) (((flags) & O_ACCMODE) != O_RDONLY || (flags) & (O_CREAT | O_TRUNC))

#define OPEN(name, PARAMETERS, FOLDER, ...) \
    int name PARAMETERS { \
        REAL(name); \
        va_list rest; \
        va_start(rest, flags); \
        mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, mode_t) : 0; \
        va_end(rest); \
        CALL(FOLDER, path, !CHANGES(flags), !!(flags & O_CREAT), -1, real(__VA_ARGS__, mode)); \
    }
OPEN(open, (const char *path, int flags, ...), AT_FDCWD, path, flags)
OPEN(open64, (const char *path, int flags, ...), AT_FDCWD, path, flags)
OPEN(openat, (int folder, const char *path, int flags, ...), folder, folder, path, flags)
OPEN(openat64, (int folder, const char *path, int flags, ...), folder, folder, path, flags)

FILE *fopen(const char *path, const char *mode) { REAL(fopen); CALL(AT_FDCWD, path, mode[0] == 'r' && !strchr(mode, '+'), NEEDS_ROOM, NULL, real(path, mode)); }
FILE *fopen64(const char *path, const char *mode) { REAL(fopen64); CALL(AT_FDCWD, path, mode[0] == 'r' && !strchr(mode, '+'), NEEDS_ROOM, NULL, real(path, mode)); }

/* A torn write has written half of what it was given. */
#define WRITE(name, PARAMETERS, whole, half) \
    ssize_t name PARAMETERS { \
        REAL(name); \
        int found = fault(file, NULL, 0, NEEDS_ROOM); \
        if (found < 0) return -1; \
        if (found > 0) { if (size > 1) half; die(); } \
        return whole; \
    }
WRITE(write, (int file, const void *from, size_t size), real(file, from, size), (void)!real(file, from, size / 2))
WRITE(pwrite, (int file, const void *from, size_t size, off_t at), real(file, from, size, at), (void)!real(file, from, size / 2, at))
WRITE(pwrite64, (int file, const void *from, size_t size, off64_t at), real(file, from, size, at), (void)!real(file, from, size / 2, at))

ssize_t writev(int file, const struct iovec *parts, int count) { REAL(writev); CALL(file, NULL, 0, NEEDS_ROOM, -1, real(file, parts, count)); }
ssize_t copy_file_range(int source, off64_t *from, int file, off64_t *to, size_t size, unsigned flags) { REAL(copy_file_range); CALL(file, NULL, 0, NEEDS_ROOM, -1, real(source, from, file, to, size, flags)); }
ssize_t sendfile(int file, int source, off_t *from, size_t size) { static ssize_t (*real)(int, int, off_t *, size_t); if (!real) real = dlsym(RTLD_NEXT, "sendfile"); CALL(file, NULL, 0, NEEDS_ROOM, -1, real(file, source, from, size)); }
ssize_t sendfile64(int file, int source, off64_t *from, size_t size) { static ssize_t (*real)(int, int, off64_t *, size_t); if (!real) real = dlsym(RTLD_NEXT, "sendfile64"); CALL(file, NULL, 0, NEEDS_ROOM, -1, real(file, source, from, size)); }

ssize_t read(int file, void *to, size_t size) { REAL(read); CALL(file, NULL, 1, OTHER, -1, real(file, to, size)); }
ssize_t pread64(int file, void *to, size_t size, off64_t at) { REAL(pread64); CALL(file, NULL, 1, OTHER, -1, real(file, to, size, at)); }

int fsync(int file) { REAL(fsync); CALL(file, NULL, 0, NEEDS_ROOM, -1, real(file)); }
int fdatasync(int file) { REAL(fdatasync); CALL(file, NULL, 0, NEEDS_ROOM, -1, real(file)); }
int ftruncate(int file, off_t size) { REAL(ftruncate); CALL(file, NULL, 0, NEEDS_ROOM, -1, real(file, size)); }
int ftruncate64(int file, off64_t size) { REAL(ftruncate64); CALL(file, NULL, 0, NEEDS_ROOM, -1, real(file, size)); }
int fchmod(int file, mode_t mode) { REAL(fchmod); CALL(file, NULL, 0, OTHER, -1, real(file, mode)); }
int chmod(const char *path, mode_t mode) { REAL(chmod); CALL(AT_FDCWD, path, 0, OTHER, -1, real(path, mode)); }
int fchmodat(int folder, const char *path, mode_t mode, int flags) { REAL(fchmodat); CALL(folder, path, 0, OTHER, -1, real(folder, path, mode, flags)); }
int mkdir(const char *path, mode_t mode) { REAL(mkdir); CALL(AT_FDCWD, path, 0, NEEDS_ROOM, -1, real(path, mode)); }
int mkdirat(int folder, const char *path, mode_t mode) { REAL(mkdirat); CALL(folder, path, 0, NEEDS_ROOM, -1, real(folder, path, mode)); }
int rmdir(const char *path) { REAL(rmdir); CALL(AT_FDCWD, path, 0, OTHER, -1, real(path)); }
int unlink(const char *path) { REAL(unlink); CALL(AT_FDCWD, path, 0, OTHER, -1, real(path)); }
int unlinkat(int folder, const char *path, int flags) { REAL(unlinkat); CALL(folder, path, 0, OTHER, -1, real(folder, path, flags)); }
int rename(const char *from, const char *to) { REAL(rename); CALL(AT_FDCWD, to, 0, OTHER, -1, real(from, to)); }
int renameat(int source, const char *from, int folder, const char *to) { REAL(renameat); CALL(folder, to, 0, OTHER, -1, real(source, from, folder, to)); }
int renameat2(int source, const char *from, int folder, const char *to, unsigned flags) { REAL(renameat2); CALL(folder, to, 0, OTHER, -1, real(source, from, folder, to, flags)); }
int link(const char *from, const char *to) { REAL(link); CALL(AT_FDCWD, to, 0, NEEDS_ROOM, -1, real(from, to)); }
int symlink(const char *from, const char *to) { REAL(symlink); CALL(AT_FDCWD, to, 0, NEEDS_ROOM, -1, real(from, to)); }
int utimensat(int folder, const char *path, const struct timespec times[2], int flags) { REAL(utimensat); CALL(folder, path, 0, OTHER, -1, real(folder, path, times, flags)); }
