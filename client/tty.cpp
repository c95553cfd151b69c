#include "client/tty.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <utility>

namespace hutch::client {

WindowSize window_size() {
    winsize size{};
    for (const int fd : {STDOUT_FILENO, STDIN_FILENO}) {
        if (ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_row > 0 && size.ws_col > 0) return {size.ws_row, size.ws_col};
    }
    return {};
}

// TCSANOW: TCSAFLUSH would throw away what was typed ahead, and TCSADRAIN waits for a reader of the terminal's output
// who may be gone, so that we could not end.
Result<RawMode> RawMode::enter(int fd) {
    termios before{};
    if (tcgetattr(fd, &before) != 0) return errno_error("reading the terminal's settings");
    termios raw = before;
    cfmakeraw(&raw);
    if (tcsetattr(fd, TCSANOW, &raw) != 0) return errno_error("setting the terminal");
    return RawMode(fd, before);
}

RawMode::RawMode(RawMode&& other) noexcept : fd_(std::exchange(other.fd_, -1)), before_(other.before_) {}

RawMode::~RawMode() {
    if (fd_ >= 0) (void)tcsetattr(fd_, TCSANOW, &before_);
}

}  // namespace hutch::client
