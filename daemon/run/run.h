#pragma once

#include <cstdint>
#include <memory>
#include <optional>

#include "cgroups/leaf.h"
#include "daemon/box/box.h"
#include "daemon/lap.h"
#include "daemon/run/command.h"
#include "daemon/run/stream.h"
#include "daemon/store/records.h"

namespace hutch::daemon {

/// Time each step of a command took, in nanoseconds.
struct RunTimes {
    int64_t leaf = 0;     ///< making its leaf and its pipes
    int64_t record = 0;   ///< writing its record
    int64_t started = 0;  ///< until init says that it started
    int64_t exited = 0;   ///< until it has ended and its output is taken
    int64_t finish = 0;   ///< reading its CPU time
};

/// How a command ended, and what it took.
struct Outcome {
    int64_t exit_code = 0;  ///< 128 + signal for a killed one, as shells say it
    int64_t cpu_ns = 0;
    int64_t duration_ms = 0;
    RunTimes times;
    std::string reason = "exited";  ///< exit_reason_of its record
    int64_t signal = 0;             ///< that ended it; 0: it exited
    std::string sentence{};         ///< sentence_of its record
};

/// Of a command that has ended. kConflict, with the reason, when its exit code is not known.
Result<Outcome> outcome_of(const RunRecord& run);

/// How much of each of its streams somebody has already, in bytes.
struct Offsets {
    uint64_t output = 0;
    uint64_t errors = 0;
};

/// One execution in a box, from the cgroup leaf to the exit status. It goes on whoever listens, or nobody. Made by
/// Runs.
class Run : public std::enable_shared_from_this<Run> {
  public:
    Run(const std::shared_ptr<Box>& box, RunRecord record, cgroups::Leaf leaf, Records& records, bool recorded);

    /// As it is now: of one under way, what it has used so far.
    [[nodiscard]] RunRecord record() const;
    [[nodiscard]] Stream& output() { return *output_; }
    [[nodiscard]] Stream* errors() { return errors_ ? &*errors_ : nullptr; }
    /// The terminal's master side, for input and window size; -1 without one.
    [[nodiscard]] int terminal() const { return terminal_.get(); }

    /// Both streams to their ends, then the outcome. A sink's error means that nobody listens any more, and ends this,
    /// not the run; as does the box's end, which leaves the exit code unknown.
    Task<Result<Outcome>> follow(Sink output, Sink errors, Reader reader = Reader::kDaemon, Offsets from = {});
    /// Waits for the end. kConflict, with the reason, when the exit code is not known.
    Task<Result<Outcome>> outcome();
    /// Sends a signal to the command's process group, as a terminal does; nothing when it has ended. If it has not
    /// ended so much later, it is cancelled: zero is never.
    Result<void> signal(int signal, std::chrono::milliseconds cancel_after = {});
    /// The same to the command and all that it started.
    Result<void> signal_all(int signal, std::chrono::milliseconds cancel_after = {});
    /// Of the command, as its box sees it.
    [[nodiscard]] int pid() const { return pid_; }
    /// Kills the command and all that it started, and is remembered as cancelled. Nothing when it has ended.
    void cancel();
    /// The same for a command that the daemon itself can serve no longer: it is told as failed.
    void abandon();

  private:
    friend class Runs;

    /// Follows the command until it and its output have come to their end.
    Task<> carry(std::shared_ptr<ReadingTurns::Share> share);
    void start_deadline(asio::steady_timer& timer);
    void kill(KillReason reason);
    void kill_tree();
    /// From now on the end of the last process in its control group is its end too.
    void watch_leaf();
    static Task<> await_empty(std::shared_ptr<Run> self);
    void give_up_after(std::chrono::milliseconds wait);
    static Task<> cancel_later(std::shared_ptr<Run> self, std::chrono::milliseconds wait);
    void note_exit(int wait_status);
    void note_killed();
    Task<Result<void>> follow_both(const Sink& output, const Sink& errors, Reader reader, Offsets from);
    /// Its box has ended: whether the command had, and how, nobody can tell.
    void lose(const Error& reason);
    void conclude();
    /// Has ended, whatever is known of it: an exception came in the way of carry().
    void give_up(const Error& reason);

    std::shared_ptr<Box> box_;
    RunRecord record_;
    cgroups::Leaf leaf_;
    CustomerLimits::Hold place_;  ///< among its customer's commands, until it has ended
    Records& records_;
    bool recorded_;
    std::optional<Stream> output_, errors_;
    UniqueFd terminal_;
    Event started_;  ///< or failed to start
    std::optional<runtime::Reply> refusal_;
    int pid_ = 0;
    Event exited_;
    Event ended_;  ///< exited, its output taken, its record complete
    std::optional<Error> loss_;
    bool watched_ = false;  ///< its leaf is
    bool emptied_ = false;
    bool killed_ = false;
    bool given_up_ = false;  ///< it is cancelled soon, if it goes on
    Lap lap_;
    RunTimes times_;
};

}  // namespace hutch::daemon
