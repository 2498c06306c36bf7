#define _GNU_SOURCE
#include "folders.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <sys/xattr.h>
#include <unistd.h>

// Where an O_PATH descriptor's file can be opened or changed by calls that take no such descriptor: a magic link,
// which leads to that file and nowhere else.
struct place {
  char path[32];
};

static struct place place(int file) {
  struct place place;
  snprintf(place.path, sizeof place.path, "/proc/self/fd/%d", file);
  return place;
}

int chost_folder_locate(int directory, const char *name) {
  return openat(directory, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
}

int chost_folder_locate_open(int file) { return open(place(file).path, O_PATH | O_CLOEXEC); }

int chost_folder_status(int directory, const char *name, struct chost_status *status) {
  struct statx s;
  int flags = AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | AT_STATX_SYNC_AS_STAT | (*name ? 0 : AT_EMPTY_PATH);
  if (statx(directory, name, flags, STATX_BASIC_STATS | STATX_BTIME | STATX_MNT_ID, &s) != 0) return -1;
  *status = (struct chost_status){
      .mount = s.stx_mask & STATX_MNT_ID ? s.stx_mnt_id : 0,
      .device = makedev(s.stx_dev_major, s.stx_dev_minor),
      .inode = s.stx_ino,
      .size = s.stx_size,
      .blocks = s.stx_blocks,
      .accessed = s.stx_atime.tv_sec,
      .modified = s.stx_mtime.tv_sec,
      .changed = s.stx_ctime.tv_sec,
      .born = s.stx_mask & STATX_BTIME ? s.stx_btime.tv_sec : 0,
      .accessed_nanoseconds = s.stx_atime.tv_nsec,
      .modified_nanoseconds = s.stx_mtime.tv_nsec,
      .changed_nanoseconds = s.stx_ctime.tv_nsec,
      .born_nanoseconds = s.stx_mask & STATX_BTIME ? s.stx_btime.tv_nsec : 0,
      .mode = s.stx_mode,
      .links = s.stx_nlink,
      .user = s.stx_uid,
      .group = s.stx_gid,
      .special_device = (s.stx_rdev_minor & 0xff) | (s.stx_rdev_major & 0xfff) << 8 | (s.stx_rdev_minor & ~0xffu) << 12,
      .block_size = s.stx_blksize,
  };
  return 0;
}

int chost_folder_volume(int file, struct chost_volume *volume) {
  struct statfs s;
  if (fstatfs(file, &s) != 0) return -1;
  *volume = (struct chost_volume){
      .type = s.f_type,
      .blocks = s.f_blocks,
      .free_blocks = s.f_bfree,
      .available_blocks = s.f_bavail,
      .files = s.f_files,
      .free_files = s.f_ffree,
      .block_size = (uint32_t)s.f_bsize,
      .fragment_size = (uint32_t)s.f_frsize,
      .name_length = (uint32_t)s.f_namelen,
  };
  return 0;
}

long chost_folder_read_link(int link, char *buffer, size_t byte_count) {
  return readlinkat(link, "", buffer, byte_count);
}

static int open_flags(int flags) {
  return (flags & 3) | (flags & chost_open_truncate ? O_TRUNC : 0) |
         (flags & chost_open_synchronous ? O_SYNC : 0) | (flags & chost_open_data_synchronous ? O_DSYNC : 0) |
         O_NONBLOCK | O_NOCTTY | O_CLOEXEC;
}

int chost_folder_reopen(int file, int flags) {
  return open(place(file).path, open_flags(flags));
}

int chost_folder_create(int directory, const char *name, int flags, uint32_t mode) {
  return openat(directory, name, open_flags(flags) | O_CREAT | O_EXCL | O_NOFOLLOW, mode);
}

int chost_folder_rename(int from, const char *name, int to, const char *new_name, uint32_t flags) {
  return renameat2(from, name, to, new_name, flags);
}

int chost_folder_link(int file, int directory, const char *name) {
  return linkat(AT_FDCWD, place(file).path, directory, name, AT_SYMLINK_FOLLOW);
}

int chost_folder_set_mode(int file, uint32_t mode) {
  return chmod(place(file).path, mode);
}

int chost_folder_set_owner(int file, uint32_t user, uint32_t group) {
  return fchownat(file, "", user, group, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW);
}

static long nanoseconds(int64_t count) { return count == -1 ? UTIME_NOW : count == -2 ? UTIME_OMIT : (long)count; }

int chost_folder_set_times(int file, int64_t accessed, int64_t accessed_nanoseconds, int64_t modified,
                           int64_t modified_nanoseconds) {
  struct timespec times[2] = {
      {.tv_sec = accessed, .tv_nsec = nanoseconds(accessed_nanoseconds)},
      {.tv_sec = modified, .tv_nsec = nanoseconds(modified_nanoseconds)},
  };
  return utimensat(file, "", times, AT_EMPTY_PATH);
}

long chost_folder_get_attribute(int file, const char *name, void *buffer, size_t byte_count) {
  return getxattr(place(file).path, name, buffer, byte_count);
}

long chost_folder_list_attributes(int file, char *buffer, size_t byte_count) {
  return listxattr(place(file).path, buffer, byte_count);
}

int chost_folder_set_attribute(int file, const char *name, const void *value, size_t byte_count,
                               int flags) {
  return setxattr(place(file).path, name, value, byte_count, flags);
}

int chost_folder_remove_attribute(int file, const char *name) {
  return removexattr(place(file).path, name);
}

long chost_folder_entries(int directory, int64_t position, void *buffer, size_t byte_count) {
  if (lseek(directory, position, SEEK_SET) < 0) return -1;
  return syscall(SYS_getdents64, directory, buffer, byte_count);
}

long chost_folder_append(int file, const void *bytes, size_t byte_count) {
  struct iovec vector = {.iov_base = (void *)bytes, .iov_len = byte_count};
  return pwritev2(file, &vector, 1, 0, RWF_APPEND);
}

int chost_folder_allocate(int file, int mode, int64_t offset, int64_t byte_count) {
  return fallocate(file, mode, offset, byte_count);
}

int64_t chost_folder_seek(int file, int64_t offset, int for_hole) {
  return lseek(file, offset, for_hole ? SEEK_HOLE : SEEK_DATA);
}

long chost_folder_copy(int from, int64_t offset, int to, int64_t target, size_t byte_count) {
  off64_t source = offset, destination = target;
  return copy_file_range(from, &source, to, &destination, byte_count, 0);
}

int chost_folder_sync_volume(int file) { return syncfs(file); }

int chost_folder_clear_mask(void) {
  if (unshare(CLONE_FS) != 0) return -1;
  umask(0);
  return 0;
}

int64_t chost_folder_raise_limit(void) {
  struct rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return -1;
  if (limit.rlim_cur < limit.rlim_max) {
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0) return -1;
  }
  return limit.rlim_cur > INT32_MAX ? INT32_MAX : (int64_t)limit.rlim_cur;
}
