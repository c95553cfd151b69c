#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <string>

namespace hutch::daemon {

/// Lines on their way to a reader who may not read: adding one never waits. What does not fit is dropped, and counted.
class LogQueue {
  public:
    /// Writes a line, for as long as that takes.
    using Writer = std::function<void(const std::string&)>;
    /// The line that says how many were dropped.
    using Gap = std::function<std::string(uint64_t dropped)>;

    /// `most`: bytes of lines that wait.
    LogQueue(size_t most, Gap gap) : most_(most), gap_(std::move(gap)) {}

    void add(std::string line);
    /// For a thread of its own: gives each line to `writer`, for ever.
    [[noreturn]] void write_all(const Writer& writer);
    /// Waits until every line is written, but no longer than that.
    void flush(std::chrono::milliseconds patience);

  private:
    const size_t most_;
    const Gap gap_;
    std::mutex mutex_;
    std::condition_variable changed_;
    std::deque<std::string> lines_;
    size_t bytes_ = 0;
    uint64_t dropped_ = 0;  ///< after the last of `lines_`
    bool writing_ = false;
};

}  // namespace hutch::daemon
