#include "daemon/run/command.h"

#include <cstring>
#include <map>
#include <thread>

namespace hutch::daemon {

Result<User> find_user(const std::string& name) {
    if (name == "root") return User{"root", 0, 0, "/root"};
    if (name == "boxuser") return User{"boxuser", 1000, 1000, "/home/boxuser"};
    return invalid("user: \"" + name + "\" is not one of root, boxuser");
}

const std::vector<std::string>& program_directories() {
    static const std::vector<std::string> kAll = {"/usr/local/sbin", "/usr/local/bin", "/usr/sbin",
                                                  "/usr/bin",        "/sbin",          "/bin"};
    return kAll;
}

Environment environment_of(const Command& command, uint32_t cpus) {
    std::string path = command.user.home + "/.local/bin";
    for (const std::string& directory : program_directories()) path += ":" + directory;
    std::map<std::string, std::string> defaults = {
        {"PATH", path},       {"HOME", command.user.home}, {"USER", command.user.name}, {"LOGNAME", command.user.name},
        {"SHELL", "/bin/sh"}, {"LANG", "C.UTF-8"},
    };
    // nproc(1) and OpenMP go by it. The kernel would have a box stay on some CPUs, where another one may be at work.
    static const unsigned online = std::thread::hardware_concurrency();
    if (cpus < online) defaults["OMP_NUM_THREADS"] = std::to_string(cpus);
    std::map<std::string, std::string> variables;
    for (const auto& [name, value] : command.env) {
        variables[name] = value;
        defaults.erase(name);
    }
    Environment environment;
    environment.defaults = static_cast<uint16_t>(defaults.size());
    for (const auto* part : {&defaults, &variables}) {
        for (const auto& [name, value] : *part) environment.list.push_back(name + "=" + value);
    }
    return environment;
}

std::string prompt_of(const Command& command) {
    if (!command.prompt.empty()) return command.prompt;
    std::string prompt;
    for (const std::string& argument : command.argv) prompt += (prompt.empty() ? "" : " ") + argument;
    return prompt;
}

Error said_plainly(const runtime::Reply& failed, const Command& command) {
    Error failure = runtime::failure_of(failed);
    if (failed.stage == runtime::Stage::kWorkDir) {
        failure.kind = ErrorKind::kInvalid;
        failure.message =
            "folder: cannot enter \"" + command.work_dir + "\" in the box: " + std::strerror(failure.code);
    } else if (failed.stage == runtime::Stage::kCommand) {
        failure.kind = ErrorKind::kInvalid;
        failure.message =
            failure.code == ENOENT && !command.without_program.empty()
                ? command.without_program
                : "command: cannot run \"" + command.argv[0] + "\" in the box: " +
                      (failure.code == ENOENT ? "no such program in its PATH" : std::strerror(failure.code));
    }
    if (failed.code == EAGAIN || failed.code == EMFILE) {
        failure.kind = ErrorKind::kLimit;
        failure.message = "the box runs as much as it may; end something, and try again (" + failure.message + ")";
    }
    return failure;
}

}  // namespace hutch::daemon
