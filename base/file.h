#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"

namespace hutch {

/// Opens `path` (absolute, or relative to `dir`). Always CLOEXEC. For paths of our own making; see open_beneath.
Result<UniqueFd> open_at(int dir, const std::string& path, int flags, mode_t mode = 0);
/// Whether a walk may enter what is mounted on its way; if not, it ends there with EXDEV.
enum class Mounts { kEntered, kRefused };
/// As open_at, but the walk never leaves `dir`: no "..", no absolute link, no link at all (openat2(2),
/// RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS).
Result<UniqueFd> open_beneath(int dir, const std::string& path, int flags, Mounts mounts = Mounts::kEntered);
/// Whole content; fails with EFBIG above `limit` bytes.
Result<std::string> read_file_at(int dir, const std::string& path, size_t limit = 1 << 20);
/// The same of an open file, from where it stands; `path` is for the message.
Result<std::string> read_all(int fd, const std::string& path, size_t limit = 1 << 20);
/// One write(2) of a small value into an existing (kernel) file; the error names path and value.
Result<void> write_value_at(int dir, const std::string& path, std::string_view value);
/// Memory without a name that holds `content` and that nobody can change any more, at its beginning. `flags`: more of
/// memfd_create(2)'s; EINVAL for one that the kernel does not know.
Result<UniqueFd> sealed_memory(const char* name, std::string_view content, unsigned flags = 0);
/// Writes all of `data`, going on after short writes and EINTR.
Result<void> write_all(int fd, std::string_view data);
/// mkdir -p below `dir`; an existing directory is fine.
Result<void> make_dirs_at(int dir, const std::string& path, mode_t mode = 0755);
/// As make_dirs_at, in a tree of somebody else's making: no link is followed and nothing above `dir` is reached. The
/// innermost directory, opened.
Result<UniqueFd> make_dirs_beneath(int dir, const std::string& path, mode_t mode = 0755);
Result<UniqueFd> duplicate(int fd);
/// What the directory `dir` (a descriptor) holds, in no order, without "." and "..".
Result<std::vector<std::string>> names_in(int dir);
/// Whether that is nothing; looks no further than the first.
Result<bool> holds_nothing(int dir);
/// Deletes the tree `name` in `dir` beneath its own fd: links are removed, never followed, and other mounts in it not
/// entered (EXDEV). A missing one is fine. EFBIG once it has removed `most` entries, and there are more.
Result<void> remove_tree_at(int dir, const std::string& name, uint64_t most = UINT64_MAX);

}  // namespace hutch
