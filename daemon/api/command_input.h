#pragma once

#include <string_view>

#include "base/unique_fd.h"
#include "daemon/api/codec.h"
#include "daemon/run/run.h"

namespace hutch::daemon {

/// What a command is given to read by who talks with it: on its terminal, or through a pipe. Event loop thread only.
class CommandInput {
  public:
    /// Of a command that is to start. What is answered is its end of the pipe; none with a terminal.
    Result<UniqueFd> open(const Box& box, const Command& command);
    /// It has started.
    Result<void> attach(Run& run);
    /// Waits until the command has taken all of it; what nobody reads any more is dropped.
    Task<> feed(const asio::any_io_executor& executor, std::string_view data);
    /// There will be no more. A terminal is told that by a character, and takes more all the same.
    void finish();
    void close() { fd_.reset(); }
    /// Nothing without a terminal.
    [[nodiscard]] Result<void> resize(const runtime::RunSpec::Terminal& size) const;

  private:
    UniqueFd fd_;  ///< non-blocking
    bool terminal_ = false;
};

/// `rows` and `cols`: 24 and 80 where they are not said.
Result<runtime::RunSpec::Terminal> decode_screen(const Fields& fields);

}  // namespace hutch::daemon
