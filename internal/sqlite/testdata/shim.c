// A model of a disk that keeps only what was synced: after every fsync and fdatasync of the database and its -wal the
// file is copied to SHIM_SHADOW. After a kill the shadow is what a power cut would have left. Whole files as of their
// last sync: no torn or reordered blocks, no lost folder entries. While the file SHIM_FAIL exists, a sync fails.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int ends(const char *s, const char *end) {
  size_t n = strlen(s), m = strlen(end);
  return n >= m && strcmp(s + n - m, end) == 0;
}

// keep opens a file for reading once. It is never closed: closing any handle of a file drops the POSIX locks that SQLite
// holds on it. One writer syncs, so no lock is needed here.
static int keep(const char *path) {
  static int db = -1, wal = -1;
  int *fd = ends(path, "-wal") ? &wal : &db;
  if (*fd < 0) *fd = open(path, O_RDONLY | O_CLOEXEC);
  return *fd;
}

static void copy(const char *from) {
  const char *shadow = getenv("SHIM_SHADOW");
  if (!shadow || !(ends(from, ".db") || ends(from, ".db-wal"))) return;
  char to[PATH_MAX], tmp[PATH_MAX + 8], block[65536];
  snprintf(to, sizeof to, "%s%s", shadow, strrchr(from, '/'));
  snprintf(tmp, sizeof tmp, "%s.tmp", to);
  int in = keep(from), out = open(tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (in < 0 || out < 0) abort();
  ssize_t n;
  for (off_t at = 0; (n = pread(in, block, sizeof block, at)) > 0; at += n)
    if (write(out, block, n) != n) abort();
  if (n < 0) abort();
  close(out);
  if (rename(tmp, to) != 0) abort(); // a kill in the middle leaves the image before
}

static int synced(const char *name, int fd) {
  const char *fail = getenv("SHIM_FAIL");
  if (fail && access(fail, F_OK) == 0) {
    errno = EIO;
    return -1;
  }
  int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, name);
  int result = real(fd);
  char link[64], path[PATH_MAX];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t n = readlink(link, path, sizeof path - 1);
  if (result == 0 && n > 0) {
    path[n] = 0;
    copy(path);
  }
  return result;
}

int fsync(int fd) { return synced("fsync", fd); }
int fdatasync(int fd) { return synced("fdatasync", fd); }
