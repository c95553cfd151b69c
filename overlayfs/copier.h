#pragma once

#include <sys/stat.h>

#include <map>
#include <stop_token>
#include <string>
#include <utility>

#include "base/result.h"
#include "base/unique_fd.h"
#include "overlayfs/layer.h"

namespace hutch::overlayfs {

/// Copies files into an import, one by one and exactly: content (see copy_content), owner, mode, extended attributes,
/// times to the nanosecond, and which names are of one file. The import lives longer.
class Copier {
  public:
    enum class Attributes { kAll, kNotOverlays };  ///< whether xattrs that overlayfs itself reads are copied
    Copier(const Import& import, Attributes attributes, std::stop_token stop)
        : import_(import), attributes_(attributes), stop_(std::move(stop)) {}

    /// The file `from`/`name`, anything but a directory, as `status` of fstatat() shows it, into the directory `to`.
    Result<void> copy(int from, const std::string& name, const struct stat& status, int to);
    /// Gives the directory `to` what `from` has; after all in it is made, since that changes its times.
    Result<void> copy_attributes(int from, const struct stat& status, int to);
    /// Must be called before the import is sealed.
    Result<void> finish();

  private:
    Result<void> make(int from, const std::string& name, const struct stat& status, int to);
    Result<void> make_file(int from, const std::string& name, const struct stat& status, int to);
    Result<void> dress(int from, const std::string& name, const struct stat& status, int to);
    Result<bool> link(const struct stat& status, int to, const std::string& name);
    Result<void> remember(const struct stat& status, int to, const std::string& name);

    const Import& import_;
    const Attributes attributes_;
    const std::stop_token stop_;
    // Copies of files of several names, each under one more name beside the tree: any depth, and no descriptor each.
    UniqueFd links_;
    std::map<std::pair<dev_t, ino_t>, std::string> linked_;
};

}  // namespace hutch::overlayfs
