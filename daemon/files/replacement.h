#pragma once

#include <sys/types.h>

#include <ctime>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/unique_fd.h"

namespace hutch::daemon {

/// What a file of a box is to hold: written beside it, and put in its place when it is whole. Given up before that it
/// leaves the file as it was. Blocks: for worker threads.
class Replacement {
  public:
    Replacement() = default;
    /// Of `name` in `directory`, owned by `owner` and of mode 0644 unless a file is there, whose owner, mode (but for
    /// set-uid bits, as each write takes them), attributes and access control list it gets. `what`: as errors call it.
    static Result<Replacement> begin(UniqueFd directory, std::string name, uid_t owner, gid_t group, std::string what);
    Replacement(Replacement&& other) noexcept = default;
    Replacement& operator=(Replacement&& other) noexcept;
    Replacement(const Replacement&) = delete;
    Replacement& operator=(const Replacement&) = delete;
    ~Replacement() { give_up(); }

    /// Blocks of zeros become holes.
    Result<void> write(std::string_view piece);
    /// What it is to have besides its content, whatever the old file had: bits of 0777, and when it was changed.
    void set_mode(mode_t mode) { mode_ = mode; }
    void set_time(timespec changed) { changed_ = changed; }
    /// For who has the old file open, and under its other names, that stays.
    Result<void> finish();

  private:
    Result<void> resemble_old();
    void give_up();

    UniqueFd directory_, file_;  ///< `file_` as long as it is not in its place
    std::string name_, aside_, what_;
    uid_t owner_ = 0;
    gid_t group_ = 0;
    std::optional<mode_t> mode_;
    std::optional<timespec> changed_;
};

}  // namespace hutch::daemon
