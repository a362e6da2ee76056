/* LD_PRELOAD library that intercepts the file operations of a process below SHIM_WATCH.
 *
 * It appends each write, sync, creation, renaming and removal to the file SHIM_TRACE, in order; power_cut.py computes from
 * it the possible content of a disk after a power cut. A record: kind, lengths of path and data, offset, then path and
 * data.
 *
 * While the file SHIM_FAULT exists, operations fail with the errno in it: a write after half of its bytes; with "sync"
 * after the number, only syncs fail.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FILES 1024

static const char *watched_folder, *fault_file;
static int trace = -1;
static char *paths[FILES];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

#define REAL(result, name, ...) \
    static result (*real)(__VA_ARGS__); \
    if (!real) real = (result (*)(__VA_ARGS__))dlsym(RTLD_NEXT, name)

__attribute__((constructor)) static void read_environment(void) {
    const char *to = getenv("SHIM_TRACE");
    watched_folder = getenv("SHIM_WATCH");
    fault_file = getenv("SHIM_FAULT");
    if (watched_folder && to) trace = open(to, O_CREAT | O_WRONLY | O_APPEND | O_CLOEXEC, 0600);
}

static int is_watched(const char *path) {
    return watched_folder && path && strncmp(path, watched_folder, strlen(watched_folder)) == 0;
}

/* Returns whether the operation fails, with errno set. */
static int has_fault(int syncing) {
    FILE *file = fault_file ? fopen(fault_file, "re") : NULL;
    int number = 0;
    if (file) {
        char only[8] = "";
        if (fscanf(file, "%d %7s", &number, only) < 1 || (*only && !syncing)) number = 0;
        fclose(file);
    }
    if (number) errno = number;
    return number != 0;
}

static const char *find_path(int fd) {
    return fd >= 0 && fd < FILES ? paths[fd] : NULL;
}

static void write_trace(const void *data, size_t size) {
    static ssize_t (*real)(int, const void *, size_t);
    if (!real) real = (ssize_t (*)(int, const void *, size_t))dlsym(RTLD_NEXT, "write");
    for (const char *at = data; size > 0;) {
        ssize_t done = real(trace, at, size);
        if (done <= 0) abort();
        at += done, size -= done;
    }
}

/* Called under the lock, so that the trace has the order of the operations. */
static void append_record(char kind, const char *path, uint64_t offset, const void *data, uint32_t size) {
    uint32_t length = strlen(path);
    if (trace < 0) return;
    write_trace(&kind, 1), write_trace(&length, 4), write_trace(&size, 4), write_trace(&offset, 8), write_trace(path, length), write_trace(data, size);
}

static int register_file(int fd, const char *path, int flags) {
    if (fd >= 0 && fd < FILES) {
        free(paths[fd]);
        paths[fd] = is_watched(path) ? strdup(path) : NULL;
        if (paths[fd] && flags & O_CREAT) append_record(flags & O_TRUNC ? 'T' : 'C', path, 0, "", 0);
    }
    return fd;
}

#define OPEN(name) \
    int name(const char *path, int flags, ...) { \
        REAL(int, #name, const char *, int, ...); \
        va_list more; \
        va_start(more, flags); \
        int mode = va_arg(more, int); \
        va_end(more); \
        if (flags & O_CREAT && is_watched(path) && has_fault(0)) return -1; \
        pthread_mutex_lock(&lock); \
        int fd = register_file(real(path, flags, mode), path, flags); \
        pthread_mutex_unlock(&lock); \
        return fd; \
    }
OPEN(open)
OPEN(open64)

int close(int fd) {
    REAL(int, "close", int);
    pthread_mutex_lock(&lock);
    if (find_path(fd)) free(paths[fd]), paths[fd] = NULL;
    int result = real(fd);
    pthread_mutex_unlock(&lock);
    return result;
}

ssize_t write(int fd, const void *data, size_t size) {
    REAL(ssize_t, "write", int, const void *, size_t);
    if (!find_path(fd)) return real(fd, data, size);
    if (has_fault(0)) {
        if (size < 2) return -1;
        size /= 2;
    }
    pthread_mutex_lock(&lock);
    off_t offset = lseek(fd, 0, SEEK_CUR);
    ssize_t done = real(fd, data, size);
    if (done > 0) append_record('W', paths[fd], offset, data, done);
    pthread_mutex_unlock(&lock);
    return done;
}

#define SYNC(name) \
    int name(int fd) { \
        REAL(int, #name, int); \
        if (!find_path(fd)) return real(fd); \
        if (has_fault(1)) return -1; \
        pthread_mutex_lock(&lock); \
        int result = real(fd); \
        if (result == 0) append_record('S', paths[fd], 0, "", 0); \
        pthread_mutex_unlock(&lock); \
        return result; \
    }
SYNC(fsync)
SYNC(fdatasync)

int unlink(const char *path) {
    REAL(int, "unlink", const char *);
    pthread_mutex_lock(&lock);
    int result = real(path);
    if (result == 0 && is_watched(path)) append_record('U', path, 0, "", 0);
    pthread_mutex_unlock(&lock);
    return result;
}

int rename(const char *from, const char *to) {
    REAL(int, "rename", const char *, const char *);
    if (is_watched(from) && has_fault(0)) return -1;
    pthread_mutex_lock(&lock);
    int result = real(from, to);
    if (result == 0 && is_watched(from)) append_record('R', from, 0, to, strlen(to));
    pthread_mutex_unlock(&lock);
    return result;
}

int mkdir(const char *path, mode_t mode) {
    REAL(int, "mkdir", const char *, mode_t);
    if (is_watched(path) && has_fault(0)) return -1;
    pthread_mutex_lock(&lock);
    int result = real(path, mode);
    if (result == 0 && is_watched(path)) append_record('D', path, 0, "", 0);
    pthread_mutex_unlock(&lock);
    return result;
}
