// What Swift's Glibc overlay lacks of the file calls: variadic fcntl locks and GNU extensions.
#ifndef ROOST_FILE_H
#define ROOST_FILE_H

#include <sys/types.h>
#include <sys/uio.h>

// Takes an exclusive lock on the whole file without waiting, owned by the open file description. It excludes the
// POSIX locks that other programs (Kafka among them) take. 0, or -1 with errno (EAGAIN: somebody else has it).
int roost_file_lock(int fd);

// pwritev(2).
ssize_t roost_pwritev(int fd, const struct iovec *parts, int count, off_t offset);

// preadv2(2) of one part with RWF_NOWAIT: what is in the page cache. -1 with errno EAGAIN: nothing at `offset` is.
ssize_t roost_read_cached(int fd, void *buffer, size_t count, off_t offset);

// fallocate(2) with mode 0: reserves the blocks and grows the file.
int roost_fallocate(int fd, off_t offset, off_t length);

// The modification time in milliseconds since the epoch of what lstat filled.
struct roost_status {
  off_t size;
  long long modified_millis;
  int is_directory;
};

// stat(2) of a path, reduced to what the storage needs. 0, or -1 with errno.
int roost_status(const char *path, struct roost_status *status);

#endif
