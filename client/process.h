#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"

namespace hutch::client {

/// A program of this machine with its standard output on a pipe of ours. Ends with its owner: one that was
/// not waited for is terminated and reaped.
class Process {
  public:
    /// Looks words[0] up in PATH, as execvp(3); the other streams are ours. `name`: what errors call it.
    static Result<Process> start(const std::string& name, const std::vector<std::string>& words);
    Process(Process&& other) noexcept;
    Process& operator=(Process&&) = delete;
    Process(const Process&) = delete;
    Process& operator=(const Process&) = delete;
    ~Process();

    [[nodiscard]] int pipe() const { return pipe_.get(); }
    /// Closes the pipe and waits for the end; anything but exit status 0 is an error that names the program.
    Result<void> finish();

  private:
    Process(std::string name, pid_t pid, UniqueFd pipe) : name_(std::move(name)), pid_(pid), pipe_(std::move(pipe)) {}
    std::string name_;
    pid_t pid_;
    UniqueFd pipe_;
};

}  // namespace hutch::client
