#pragma once

#include <termios.h>

#include <string>

#include "base/result.h"

namespace hutch::client {

struct WindowSize {
    unsigned rows = 24;
    unsigned columns = 80;
};

/// Of the terminal on standard output or input; 24 x 80 without one.
WindowSize window_size();

/// The terminal passes every key as it is (no echo, no lines, no signals) while this lives, and is as before after.
/// Who holds one must see to it that signals unwind the stack instead of ending the process.
class RawMode {
  public:
    /// Borrows `fd`, a terminal.
    static Result<RawMode> enter(int fd);
    RawMode(RawMode&& other) noexcept;
    RawMode& operator=(RawMode&&) = delete;
    RawMode(const RawMode&) = delete;
    RawMode& operator=(const RawMode&) = delete;
    ~RawMode();

  private:
    RawMode(int fd, const termios& before) : fd_(fd), before_(before) {}
    int fd_;
    termios before_;
};

/// A line from standard input, without its end. On a terminal it is asked for with `prompt` on standard error, and not
/// echoed; the terminal is as before on every way out, an interrupt included.
Result<std::string> read_secret(const std::string& prompt);

}  // namespace hutch::client
