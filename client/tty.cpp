#include "client/tty.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <iterator>
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

namespace {

volatile sig_atomic_t g_interrupted = 0;

void note_signal(int signal) {
    g_interrupted = signal;
}

/// To the end of the line or of the input, or until a signal comes.
std::string read_line() {
    std::string line;
    for (char c = 0; g_interrupted == 0 && ::read(STDIN_FILENO, &c, 1) == 1 && c != '\n';) line += c;
    return line;
}

}  // namespace

Result<std::string> read_secret(const std::string& prompt) {
    termios before{};
    if (tcgetattr(STDIN_FILENO, &before) != 0) return read_line();
    // Without SA_RESTART, so that a signal ends the read.
    struct sigaction noting {};
    struct sigaction old[3];
    constexpr int kSignals[] = {SIGINT, SIGTERM, SIGHUP};
    noting.sa_handler = note_signal;
    for (size_t i = 0; i < std::size(kSignals); ++i) sigaction(kSignals[i], &noting, &old[i]);
    termios quiet = before;
    quiet.c_lflag &= ~static_cast<tcflag_t>(ECHO);
    (void)tcsetattr(STDIN_FILENO, TCSANOW, &quiet);
    (void)fputs(prompt.c_str(), stderr);
    std::string line = read_line();
    (void)tcsetattr(STDIN_FILENO, TCSANOW, &before);
    (void)fputs("\n", stderr);
    for (size_t i = 0; i < std::size(kSignals); ++i) sigaction(kSignals[i], &old[i], nullptr);
    if (g_interrupted != 0) (void)raise(g_interrupted);
    return line;
}

RawMode::~RawMode() {
    if (fd_ >= 0) (void)tcsetattr(fd_, TCSANOW, &before_);
}

}  // namespace hutch::client
