#include "client/afterwards.h"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>

#include "base/file.h"

namespace hutch::client {

Result<Afterwards> Afterwards::start(const std::function<int(const std::string&)>& act) {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) return errno_error("making a pipe");
    UniqueFd reading(ends[0]);
    UniqueFd writing(ends[1]);
    const pid_t pid = fork();
    if (pid < 0) return errno_error("starting a process");
    if (pid > 0) return Afterwards(pid, std::move(writing));
    writing.reset();
    setsid();
    const auto told = read_all(reading.get(), "what is to be done afterwards");
    _exit(told.ok() && !told.value().empty() ? act(told.value()) : 0);
}

Result<void> Afterwards::tell(const std::string& text) {
    return write_all(pipe_.get(), text);
}

Result<int> Afterwards::finish() {
    pipe_.reset();
    int status = 0;
    while (waitpid(pid_, &status, 0) < 0) {
        if (errno != EINTR) return errno_error("waiting for a process");
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

HeldSignals::HeldSignals() {
    sigset_t held;
    sigemptyset(&held);
    for (const int signal : {SIGINT, SIGTERM, SIGHUP}) sigaddset(&held, signal);
    sigprocmask(SIG_BLOCK, &held, &before_);
}

HeldSignals::~HeldSignals() {
    sigprocmask(SIG_SETMASK, &before_, nullptr);
}

}  // namespace hutch::client
