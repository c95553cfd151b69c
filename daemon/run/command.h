#pragma once

#include <sys/types.h>

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "daemon/store/records.h"
#include "runtime/link.h"

namespace hutch::daemon {

/// Who a command runs as, inside the box.
struct User {
    std::string name;
    uid_t uid = 0;
    gid_t gid = 0;
    std::string home;
};
/// root, and boxuser (1000), the one every image has.
Result<User> find_user(const std::string& name);

/// Where a command's standard error goes: with its output, in the order it was written, or to a stream of its own.
enum class Errors { kMerged, kSeparate };

struct Command {
    std::vector<std::string> argv;
    std::string work_dir;
    bool fall_back = false;  ///< to "/" where there is no such directory
    Pairs env;
    User user;
    Errors errors = Errors::kMerged;
    std::optional<runtime::RunSpec::Terminal> terminal;  ///< all of its output is the terminal's
    std::optional<std::chrono::milliseconds> timeout;    ///< then its whole tree is killed
    bool with_client = false;                            ///< cancelled when its client has gone, be it with the daemon
    bool detached = false;                               ///< nobody reads along: without a record it is not started
    std::string without_program{};                       ///< what to say where the box has no such program
    std::string prompt{};                                ///< how its record shows it, where that is not its argv
    std::string run_id{};               ///< of its record, where somebody had to know it before; else a new one is made
    std::string schedule{};             ///< whose firing it is; empty: somebody asked for it
    std::optional<RunRecord> waited{};  ///< its record, of one that has waited (Runs::line_up) and now begins
    bool recorded = true;  ///< false for what serves another call: no record of it is kept, its output only passes
};

/// Where a command's program is looked for, in its order, after ~/.local/bin and unless the box says otherwise.
const std::vector<std::string>& program_directories();
struct Environment {
    std::vector<std::string> list;  ///< "NAME=value"
    uint16_t defaults = 0;          ///< so many of the first are nobody's word: the box's own settings win
};
/// The variables every command finds in a box of so many CPUs, then the command's own, the later one winning.
Environment environment_of(const Command& command, uint32_t cpus);
/// "sh -c echo hi": how a record shows it.
std::string prompt_of(const Command& command);
/// Why init could not start it, in the words of the API's fields.
Error said_plainly(const runtime::Reply& failed, const Command& command);

}  // namespace hutch::daemon
