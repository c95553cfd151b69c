#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "archives/tree_writer.h"
#include "base/result.h"

namespace hutch::archives {

/// Gives the next bytes of an archive: how many of at most `size` it put into `buffer`, 0 at the end.
using Pull = std::function<Result<size_t>(char* buffer, size_t size)>;
/// Reads from `fd`, which stays the caller's.
Pull pull_from(int fd);

struct TarReport {
    uint64_t entries = 0;
    uint64_t bytes = 0;
    uint64_t skipped_nodes = 0;  ///< devices, FIFOs and sockets
    uint64_t blocked = 0;        ///< of a copy: files where there is a directory, and further names of what was skipped
    uint64_t dropped_xattrs = 0;  ///< those of no meaning in a box (see xattr_rule)
    std::string first_left_out;   ///< which of these came first, and why
};

/// Unpacks a tar archive of an image beneath the directory `root`, plain or packed by gzip, xz or zstd, with owners,
/// modes and the attributes that mean something in a box. Refused: "..", paths through links, whiteouts, overlayfs
/// xattrs, owners beyond a box's ids. Leading '/' and the attributes of the root are ignored.
///
/// Of both: the archive may be hostile. What lies outside `root` is neither read nor changed, nothing of it is run, and
/// the limits bound what it unpacks to. An error is kInvalid or kTooLarge where the archive is to blame, else kSystem;
/// what was unpacked by then stays.
Result<TarReport> unpack_layer(const Pull& pull, int root, const TreeLimits& limits);

/// Of the archive as they are, or as the umask has it.
enum class Modes { kWhole, kNarrowed };

/// Whose a copy's files become, and what they may: as a builder of images has it.
struct Ownership {
    uid_t base = 0;                   ///< the host's id of what is 0 in the tree
    std::optional<Owner> owner = {};  ///< of all, 0 to 65535; nothing: each has the archive's
    std::optional<mode_t> mode = {};  ///< of all but links; nothing: each has the archive's, set-uid bits too
};

/// Unpacks a plain tar archive that a box made of files of its own, into `into`, a name in the directory `root` ("" is
/// `root` itself), over what is there: links are replaced, never followed. All is the caller's, with the modes asked
/// for, without set-uid bits and attributes. Devices, FIFOs, sockets, and files where there is a directory are left
/// out; refused are "..", absolute names, paths through links, and with Mounts::kRefused what is mounted in `root`.
/// With an `ownership` that says whose all is, and directories that are there keep their own attributes.
Result<TarReport> unpack_copy(const Pull& pull, int root, const std::string& into, Modes modes = Modes::kNarrowed,
                              Mounts mounts = Mounts::kEntered, const std::optional<Ownership>& ownership = {});

}  // namespace hutch::archives
