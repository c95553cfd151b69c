#include "base/program.h"

#include <spawn.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "base/undo.h"

namespace hutch {

namespace {

constexpr size_t kMostOutput = 64 << 20;

// Files in memory instead of pipes: nobody need read while another writes.
Result<UniqueFd> memory_for(const char* what) {
    UniqueFd memory(memfd_create(what, MFD_CLOEXEC));
    if (!memory) return errno_error(std::string("making a file in memory for the ") + what);
    return memory;
}

Result<std::string> read_from_start(const UniqueFd& memory, const std::string& what) {
    if (lseek(memory.get(), 0, SEEK_SET) != 0) return errno_error("reading " + what);
    return read_all(memory.get(), what, kMostOutput);
}

}  // namespace

Result<ProgramEnd> run_program(std::vector<std::string> words, const std::string& package, std::string_view input) {
    const std::string name = words.front();
    const UniqueFd in = TRY(sealed_memory("input", input));
    const UniqueFd out = TRY(memory_for("output"));
    const UniqueFd err = TRY(memory_for("complaints"));
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    const Undo destroy([&] { posix_spawn_file_actions_destroy(&actions); });
    posix_spawn_file_actions_adddup2(&actions, in.get(), STDIN_FILENO);
    posix_spawn_file_actions_adddup2(&actions, out.get(), STDOUT_FILENO);
    posix_spawn_file_actions_adddup2(&actions, err.get(), STDERR_FILENO);

    std::vector<char*> arguments;
    for (std::string& word : words) arguments.push_back(word.data());
    arguments.push_back(nullptr);
    char language[] = "LC_ALL=C";
    char* environment[] = {language, nullptr};
    ProgramEnd end;
    int failure = posix_spawnp(&end.process, name.c_str(), &actions, nullptr, arguments.data(), environment);
    if (failure == ENOENT) {  // su(1) and cron(8) leave it out of the PATH
        const std::string path = "/usr/sbin/" + name;
        failure = posix_spawn(&end.process, path.c_str(), &actions, nullptr, arguments.data(), environment);
    }
    if (failure != 0) return errno_error("running " + name + " (of the package " + package + ")", failure);
    while (waitpid(end.process, &end.status, 0) != end.process) {
        if (errno != EINTR) return errno_error("waiting for " + name);
    }
    end.output = TRY(read_from_start(out, "what " + name + " printed"));
    end.complaints = TRY(read_from_start(err, "what " + name + " complained of"));
    if (end.complaints.ends_with('\n')) end.complaints.pop_back();
    return end;
}

}  // namespace hutch
