#pragma once

#include <functional>
#include <string>
#include <vector>

#include "archives/pack.h"
#include "base/unique_fd.h"
#include "client/build/digest.h"
#include "client/build/patterns.h"
#include "client/http.h"

namespace hutch::client {

/// The directory whose files COPY and ADD take. A link in it leads no further than the directory itself, which is its
/// root: what it says is perhaps a stranger's.
class BuildContext {
  public:
    /// With its .dockerignore or .containerignore, of which `FILE.dockerignore` beside the Containerfile comes first.
    static Result<BuildContext> open(const std::string& directory, const std::string& containerfile);

    struct Entry {
        std::string path;  ///< below the context, as it was asked for
        std::string real;  ///< the same without links
        bool directory = false;
    };
    /// What a source names; kNotFound for nothing. In the order of their names.
    [[nodiscard]] Result<std::vector<Entry>> find(const std::string& source) const;
    /// The entry as an archive: of a directory what is in it, a file as `name`.
    [[nodiscard]] Result<archives::Pack> pack(const Entry& entry, const std::string& name, bool times = true) const;
    [[nodiscard]] Result<void> add_to(Digest& digest, const Entry& entry) const;
    [[nodiscard]] Result<UniqueFd> open_file(const Entry& entry) const;
    [[nodiscard]] const std::string& directory() const { return directory_; }

  private:
    [[nodiscard]] Result<Entry> entry_at(const std::string& path) const;
    [[nodiscard]] Result<std::vector<std::string>> names_at(const std::string& path) const;

    std::string directory_;
    std::string real_directory_;
    UniqueFd root_;
    IgnoreList ignored_;
};

/// The names in a directory of a tree; kNotFound for one that is none.
using ListNames = std::function<Result<std::vector<std::string>>(const std::string& path)>;
/// Paths of a tree that fit a pattern, part by part; a text that is none is answered as it is.
Result<std::vector<std::string>> fitting_paths(const std::string& pattern, const ListNames& names_in);
/// The archive's bytes, as a request's body.
BodySource pack_source(archives::Pack pack);

}  // namespace hutch::client
