#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "daemon/box/active_run.h"
#include "daemon/lap.h"
#include "daemon/store/records.h"
#include "runtime/link.h"

namespace hutch::daemon {

class Box;

/// Who a command runs as, inside the box.
struct User {
    std::string name;
    uid_t uid = 0;
    gid_t gid = 0;
    std::string home;
};
/// root, and boxuser (1000), the one every image has.
Result<User> find_user(const std::string& name);

struct Command {
    std::vector<std::string> argv;
    std::string work_dir;
    Pairs env;
    User user;
    std::optional<runtime::RunSpec::Terminal> terminal;
    std::optional<std::chrono::milliseconds> timeout;  ///< then its whole tree is killed
};

/// Time each step of a command took, in nanoseconds.
struct RunTimes {
    int64_t leaf = 0;     ///< making its leaf and its pipes
    int64_t started = 0;  ///< until init says that it started
    int64_t exited = 0;   ///< until it has ended and what it wrote is delivered
    int64_t finish = 0;   ///< reading its CPU time, removing its leaf
};

struct Outcome {
    int exit_code = 0;  ///< 128 + signal for a killed one, as shells say it
    uint64_t cpu_ns = 0;
    int64_t duration_ms = 0;
    bool timed_out = false;
    RunTimes times;
};

/// Takes the next piece of output. An error means that nobody listens any more: the command goes on, its output is
/// read and dropped.
using Sink = std::function<Task<Result<void>>(std::string_view)>;

/// One command in one box, from the cgroup leaf to the exit status. Used by one coroutine at a time.
class Run {
  public:
    /// Starts it in a living box. kInvalid, naming the field, when the working directory or the command is not there.
    static Task<Result<Run>> start(std::shared_ptr<Box> box, Command command, bool merge_output, UniqueFd input);

    Run(Run&&) = default;
    Run& operator=(Run&&) = delete;
    ~Run();

    /// Streams until the command has ended and everything it wrote by then is delivered. What it left running in the
    /// background goes on. With merge_output or a terminal all comes through `out`, in the order it was written.
    Task<Result<Outcome>> finish(Sink out, Sink err);
    /// The terminal's master side, for input and window size; -1 without one.
    [[nodiscard]] int terminal() const { return active_->terminal.get(); }
    /// Kills the command and all it started.
    void kill();

  private:
    Run(std::shared_ptr<Box> box, uint64_t id, std::shared_ptr<ActiveRun> active);
    Task<> pump(int fd, const Sink& sink);

    std::shared_ptr<Box> box_;
    uint64_t id_;
    std::shared_ptr<ActiveRun> active_;
    UniqueFd out_, err_;
    std::chrono::steady_clock::time_point started_at_;
    Lap lap_;
    RunTimes times_;
    std::optional<std::chrono::milliseconds> timeout_;
};

}  // namespace hutch::daemon
