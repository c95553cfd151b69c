#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "archives/tar.h"

namespace hutch::archives {

/// A regular file of an archive: where its content is in another file.
struct Member {
    uint64_t offset = 0;
    uint64_t size = 0;
};

/// What an archive holds.
struct Spooled {
    std::map<std::string, Member> members;     ///< by tree_path()
    std::map<std::string, std::string> links;  ///< to other paths of the archive; those out of it are left out

    /// The content of what is called so, be it by a link; nothing where there is none.
    [[nodiscard]] std::optional<Member> find(const std::string& path) const;
};

/// Takes the content of a tar archive's regular files, one after the other, into the empty file `file`. Of two of one
/// name the later counts. The archive is a stranger's, plain or packed by gzip, xz or zstd, and read to its end.
/// kInvalid or kTooLarge where it is to blame.
Result<Spooled> spool(const Pull& packed, int file, const TreeLimits& limits);

}  // namespace hutch::archives
