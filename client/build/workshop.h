#pragma once

#include <optional>
#include <string>
#include <vector>

#include "client/afterwards.h"
#include "client/api.h"
#include "client/build/words.h"

namespace hutch::client {

/// Files as they are at the end of a step: those of a snapshot, else of an image.
struct BuildFiles {
    std::string image;
    std::string snapshot{};
};

/// An owner and a mode for what is copied, in the words of the wire; see files/upload.
struct CopiedAs {
    std::string owner = "0:0";  ///< or "archive"
    std::string mode{};         ///< empty: as it is
};

/// A command of a step.
struct StepCommand {
    std::vector<std::string> argv;
    std::string user, folder;
    std::vector<Pair> env;
};

/// A box in which steps are made. It is deleted at the end, and by `afterwards` should we be killed; should that be
/// too, it expires.
class Workshop {
  public:
    Workshop(const Api& api, Afterwards& afterwards) : api_(api), afterwards_(afterwards) {}
    Workshop(const Workshop&) = delete;
    Workshop& operator=(const Workshop&) = delete;
    ~Workshop() { (void)close(); }

    /// With these files; nothing where it is open already.
    Result<void> open(const BuildFiles& files);
    Result<void> close();
    [[nodiscard]] bool is_open() const { return !box_.empty(); }
    [[nodiscard]] const std::string& box() const { return box_; }

    /// What it says goes to standard error as it comes. The exit code.
    Result<int> run(const StepCommand& command);
    /// Unpacks an archive in a directory, which is made where it is missing.
    Result<void> unpack(const std::string& folder, BodySource archive, const CopiedAs& as);
    Result<void> make_directory(const std::string& path);
    enum class Kind { kNone, kFile, kDirectory, kOther };
    Result<Kind> kind_of(const std::string& path);
    Result<std::vector<std::string>> names_in(const std::string& path);
    Result<void> remove(const std::string& path);
    /// A file's content, or an archive of a directory's.
    Result<Response> download(const std::string& path);
    /// "user:group", "user" or numbers, by the box's own /etc/passwd and /etc/group, as "UID:GID".
    Result<std::string> owner_of(const std::string& text);
    Result<std::string> snapshot(const std::string& name);

  private:
    Result<std::string> number_of(const std::string& name, const char* file, size_t field);

    const Api& api_;
    Afterwards& afterwards_;
    std::string box_;
};

/// The part of `afterwards` that is done then: deletes boxes named a line each.
int remove_workshops(const Api& api, const std::string& boxes);

}  // namespace hutch::client
