#include "client/process.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstring>
#include <utility>

#include "base/undo.h"

namespace hutch::client {

Result<Process> Process::start(const std::string& name, const std::vector<std::string>& words) {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) return errno_error("making a pipe");
    UniqueFd reader(ends[0]);
    UniqueFd writer(ends[1]);

    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attributes);
    const Undo free([&] {
        posix_spawn_file_actions_destroy(&actions);
        posix_spawnattr_destroy(&attributes);
    });
    posix_spawn_file_actions_adddup2(&actions, writer.get(), STDOUT_FILENO);
    // Our ignoring of SIGPIPE must not be inherited: a program whose pipe is gone is to end.
    sigset_t defaults;
    sigemptyset(&defaults);
    sigaddset(&defaults, SIGPIPE);
    posix_spawnattr_setsigdefault(&attributes, &defaults);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF);

    std::vector<char*> argv;
    argv.reserve(words.size() + 1);
    for (const std::string& word : words) argv.push_back(const_cast<char*>(word.c_str()));
    argv.push_back(nullptr);
    pid_t pid = -1;
    const int code = posix_spawnp(&pid, argv[0], &actions, &attributes, argv.data(), environ);
    if (code != 0) return errno_error("starting " + name, code);
    return Process(name, pid, std::move(reader));
}

Process::Process(Process&& other) noexcept
    : name_(std::move(other.name_)), pid_(std::exchange(other.pid_, -1)), pipe_(std::move(other.pipe_)) {}

Process::~Process() {
    if (pid_ < 0) return;
    (void)kill(pid_, SIGTERM);
    (void)finish();
}

Result<void> Process::finish() {
    pipe_.reset();
    int status = 0;
    while (waitpid(pid_, &status, 0) < 0) {
        if (errno != EINTR) return errno_error("waiting for " + name_);
    }
    pid_ = -1;
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return {};
    const std::string how = WIFSIGNALED(status) ? std::string("was ended by signal: ") + strsignal(WTERMSIG(status))
                                                : "failed with exit status " + std::to_string(WEXITSTATUS(status));
    return Error{ErrorKind::kSystem, 0, name_ + " " + how};
}

}  // namespace hutch::client
