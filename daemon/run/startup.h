#pragma once

#include <functional>
#include <memory>
#include <string>

#include "daemon/box/manager.h"
#include "daemon/run/runs.h"

namespace hutch::daemon {

/// Parts what a command writes into lines, of which it keeps the first so many bytes, and the first so many lines.
class BoundedLines {
  public:
    static constexpr size_t kMaxLine = 1000;
    static constexpr size_t kMaxLines = 200;

    explicit BoundedLines(std::function<void(const std::string&)> keep) : keep_(std::move(keep)) {}
    void feed(std::string_view piece);
    /// What came after the last line feed, and whether lines were dropped.
    void finish();

  private:
    void end_line();

    std::function<void(const std::string&)> keep_;
    std::string line_;
    size_t lines_ = 0;
};

/// Runs the init command of a box that has just been started, to its end; what it writes, and how it ends, goes into
/// the box's log, its standard error as warnings.
Task<> run_init_command(Manager& manager, Runs& runs, std::shared_ptr<Box> box, Command command);

}  // namespace hutch::daemon
