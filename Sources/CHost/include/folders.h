// System calls on files below a directory that Swift's Glibc module does not show. All return -1 and set errno
// where they fail.
#pragma once

#include <stddef.h>
#include <stdint.h>

/// What statx(2) says of a file; times in seconds and nanoseconds.
struct chost_status {
  uint64_t mount, device, inode, size, blocks;
  int64_t accessed, modified, changed, born;
  uint32_t accessed_nanoseconds, modified_nanoseconds, changed_nanoseconds, born_nanoseconds;
  uint32_t mode, links, user, group, special_device, block_size;
};

/// What statfs(2) says of a file system.
struct chost_volume {
  int64_t type;
  uint64_t blocks, free_blocks, available_blocks, files, free_files;
  uint32_t block_size, fragment_size, name_length;
};

/// Opens a path that says which file, not its contents (O_PATH), without following a link at its end.
int chost_folder_locate(int directory, const char *name);

/// The same for an open file.
int chost_folder_locate_open(int file);

/// The status of a name, without following a link; of `directory` itself where the name is empty.
int chost_folder_status(int directory, const char *name, struct chost_status *status);

int chost_folder_volume(int file, struct chost_volume *volume);

/// The target of the symbolic link that an O_PATH descriptor is of: returns its length.
long chost_folder_read_link(int link, char *buffer, size_t byte_count);

/// How a file is opened.
enum {
  chost_open_read = 0,
  chost_open_write = 1,
  chost_open_read_write = 2,
  chost_open_truncate = 1 << 3,
  chost_open_synchronous = 1 << 4,
  chost_open_data_synchronous = 1 << 5,
};

/// Opens the file that a descriptor of `chost_folder_locate` is of, by way of /proc/self/fd.
int chost_folder_reopen(int file, int flags);

/// Makes a regular file, which must not be there, and opens it.
int chost_folder_create(int directory, const char *name, int flags, uint32_t mode);

int chost_folder_rename(int from, const char *name, int to, const char *new_name, uint32_t flags);

/// Gives the file of a descriptor another name.
int chost_folder_link(int file, int directory, const char *name);

int chost_folder_set_mode(int file, uint32_t mode);

/// An id of UINT32_MAX stays.
int chost_folder_set_owner(int file, uint32_t user, uint32_t group);

/// A count of nanoseconds of -1 stands for now, one of -2 for leaving the time as it is.
int chost_folder_set_times(int file, int64_t accessed, int64_t accessed_nanoseconds, int64_t modified,
                           int64_t modified_nanoseconds);

/// Extended attributes of a descriptor's file. Return sizes, or 0.
long chost_folder_get_attribute(int file, const char *name, void *buffer, size_t byte_count);
long chost_folder_list_attributes(int file, char *buffer, size_t byte_count);
int chost_folder_set_attribute(int file, const char *name, const void *value, size_t byte_count,
                               int flags);
int chost_folder_remove_attribute(int file, const char *name);

/// Entries of a directory from a position on, as getdents64(2) gives them.
long chost_folder_entries(int directory, int64_t position, void *buffer, size_t byte_count);

/// Writes at the end of a file.
long chost_folder_append(int file, const void *bytes, size_t byte_count);

int chost_folder_allocate(int file, int mode, int64_t offset, int64_t byte_count);

/// The next data (0) or hole (1) at or after an offset.
int64_t chost_folder_seek(int file, int64_t offset, int for_hole);

long chost_folder_copy(int from, int64_t offset, int to, int64_t target, size_t byte_count);

/// Writes back the file system that a directory is on.
int chost_folder_sync_volume(int file);

/// Gives the calling thread a file mode creation mask of its own, and clears it.
int chost_folder_clear_mask(void);

/// Raises the limit of open files as far as an unprivileged process may; returns it.
int64_t chost_folder_raise_limit(void);
