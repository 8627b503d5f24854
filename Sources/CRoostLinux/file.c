#define _GNU_SOURCE
#include "roost_file.h"

#include <fcntl.h>
#include <sys/stat.h>

int roost_file_lock(int fd) {
  struct flock all = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
  return fcntl(fd, F_OFD_SETLK, &all);
}

ssize_t roost_pwritev(int fd, const struct iovec *parts, int count, off_t offset) {
  return pwritev(fd, parts, count, offset);
}

ssize_t roost_read_cached(int fd, void *buffer, size_t count, off_t offset) {
  struct iovec part = {.iov_base = buffer, .iov_len = count};
  return preadv2(fd, &part, 1, offset, RWF_NOWAIT);
}

int roost_fallocate(int fd, off_t offset, off_t length) { return fallocate(fd, 0, offset, length); }

int roost_status(const char *path, struct roost_status *status) {
  struct stat found;
  if (stat(path, &found) != 0) return -1;
  status->size = found.st_size;
  status->modified_millis = found.st_mtim.tv_sec * 1000LL + found.st_mtim.tv_nsec / 1000000;
  status->is_directory = S_ISDIR(found.st_mode);
  return 0;
}
