#include "daemon/api/command_input.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/file.h"
#include "daemon/fd_watch.h"
#include "daemon/run/pipe.h"

namespace hutch::daemon {
namespace {

Result<uint16_t> screen_size(const Fields& fields, const char* field, int64_t otherwise) {
    const int64_t value = TRY(fields.number(field)).value_or(otherwise);
    if (value < 1 || value > 10000) return invalid(std::string(field) + ": must be from 1 to 10000");
    return static_cast<uint16_t>(value);
}

}  // namespace

Result<runtime::RunSpec::Terminal> decode_screen(const Fields& fields) {
    return runtime::RunSpec::Terminal{TRY(screen_size(fields, "rows", 24)), TRY(screen_size(fields, "cols", 80))};
}

Result<UniqueFd> CommandInput::open(const Box& box, const Command& command) {
    terminal_ = command.terminal.has_value();
    if (terminal_) return UniqueFd();
    auto pipe = TRY(make_pipe(PipeOf::kInput, box.uid_base() + command.user.uid));
    fd_ = std::move(pipe[1]);
    return std::move(pipe[0]);
}

Result<void> CommandInput::attach(Run& run) {
    if (terminal_) fd_ = TRY(duplicate(run.terminal()));
    fcntl(fd_.get(), F_SETFL, O_NONBLOCK);
    return {};
}

Task<> CommandInput::feed(const asio::any_io_executor& executor, std::string_view data) {
    if (!fd_) co_return;
    FdWatch watch(executor, fd_.get());
    while (!data.empty()) {
        const ssize_t n = ::write(fd_.get(), data.data(), data.size());
        if (n >= 0) {
            data.remove_prefix(static_cast<size_t>(n));
        } else if (errno == EAGAIN) {
            if (!co_await watch.writable()) co_return close();
        } else if (errno != EINTR) {
            co_return close();
        }
    }
}

void CommandInput::finish() {
    if (!terminal_) return close();
    if (!fd_) return;
    constexpr char kEndOfTransmission = 4;
    [[maybe_unused]] const ssize_t n = ::write(fd_.get(), &kEndOfTransmission, 1);
}

Result<void> CommandInput::resize(const runtime::RunSpec::Terminal& size) const {
    if (!terminal_ || !fd_) return {};
    const winsize window{size.rows, size.cols, 0, 0};
    if (ioctl(fd_.get(), TIOCSWINSZ, &window) != 0) return errno_error("resizing the terminal");
    return {};
}

}  // namespace hutch::daemon
