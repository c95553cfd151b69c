#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/unique_fd.h"

namespace hutch::daemon {

/// What one stream of a run has said, kept in a file whose offsets are those of the stream. Bounded by who fills it
/// (fit): the oldest bytes are given back to the disk (fallocate(2), FALLOC_FL_PUNCH_HOLE). The file is made with the
/// first byte.
///
/// Pipes are spliced into it: what leaves the pipe is in the file in the same system call, so that a daemon killed in
/// between loses nothing. Where the disk refuses (full), or with no path at all, the latest kWindow bytes are kept in
/// memory instead: a command must be able to go on, and somebody to read what it says, on a full disk too.
class Journal {
  public:
    static constexpr uint64_t kKept = 16 << 20;  ///< bytes, at most
    static constexpr uint64_t kWindow = 2 << 20;

    /// A new one. With an empty path in memory only.
    explicit Journal(std::string path = "") : path_(std::move(path)) {}
    /// What an earlier one of this path kept; an empty one when there is no file.
    static Result<Journal> reopen(std::string path);

    /// Takes what is there now of a non-blocking pipe or terminal, up to `limit` bytes: their number, 0 at its end,
    /// nothing when there is none now (EAGAIN).
    std::optional<size_t> absorb(int source, size_t limit);
    /// Keeps the latest `room` bytes, and what is not before `unread`. May keep a quarter more of them: giving back is
    /// done for many at a time.
    void fit(uint64_t room, uint64_t unread);
    /// Up to `limit` bytes at `offset`, which is before end() and not before begin().
    Result<std::string> read(uint64_t offset, size_t limit) const;

    [[nodiscard]] uint64_t begin() const { return begin_; }  ///< the oldest byte that is kept
    [[nodiscard]] uint64_t end() const { return end_; }      ///< bytes said in all
    [[nodiscard]] int64_t kept() const { return static_cast<int64_t>(end_ - begin_); }

  private:
    std::optional<size_t> splice_into_file(int source, size_t limit);
    std::optional<size_t> copy_piece(int source, size_t limit);
    size_t write_to_file(std::string_view piece);
    void remember(std::string_view piece);
    void forget_before(uint64_t offset);
    void go_into_memory();

    std::string path_;
    UniqueFd file_;
    uint64_t begin_ = 0;
    uint64_t file_end_ = 0;
    bool in_memory_ = false;
    uint64_t window_begin_ = 0;
    std::string window_;
    uint64_t end_ = 0;
};

}  // namespace hutch::daemon
