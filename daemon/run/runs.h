#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "daemon/event_log.h"
#include "daemon/run/run.h"
#include "daemon/workers.h"

namespace hutch::daemon {

/// The executions of all boxes: starts them, hears from the boxes' inits how they fare, keeps their records and what
/// they said, and takes them over from an earlier daemon. Event loop thread only.
class Runs : public BoxListener {
  public:
    /// Output is kept below `directory`, in a directory per box.
    Runs(asio::any_io_executor executor, Records& records, EventLog& events, CustomerLimits& limits,
         std::string directory);

    /// Starts it in a living box. kInvalid, naming the field, when the working directory or the program is not there.
    Task<Result<std::shared_ptr<Run>>> start(std::shared_ptr<Box> box, Command command, UniqueFd input);

    /// Puts one on record that was due and did not begin: failed or skipped, and why. Its caller has the transaction.
    Result<void> add_unbegun(const Box& box, const Command& command, RunStatus status, const std::string& why);
    /// Writes down a run that is to be started later, as `command` names it, and tells its record.
    Result<RunRecord> line_up(const Box& box, const Command& command);
    /// Writes down that such a one will not be, and how that is told. `box`: null when it is gone.
    Result<void> end_waiting(const Box* box, RunRecord run, RunStatus status, const std::string& why);

    /// How many are under way.
    [[nodiscard]] size_t active() const { return active_.size() - ended_.size(); }
    /// Newest first, those under way among them.
    Result<std::vector<RunRecord>> list(const Box& box);
    /// kNotFound names what was asked for.
    Result<RunRecord> record(const Box& box, const std::string& id);
    /// One that is under way; null for one that has ended.
    std::shared_ptr<Run> find(const Box& box, const std::string& id);
    /// What an ended run has said: "out" or "err". An empty journal when it said nothing, or nothing is kept.
    Result<Journal> journal(const RunRecord& run, bool errors);

    /// Takes over the runs of an earlier daemon in these boxes, as the boxes' inits report them. Files that belong to
    /// no box are removed.
    Result<void> adopt(const std::vector<std::shared_ptr<Box>>& boxes);
    /// Waits until the box's init has reported what it holds, if that was asked.
    Task<> settled(std::shared_ptr<Box> box);
    void on_message(Box& box, runtime::Message message) override;
    void on_end(Box& box, const Error& reason) override;
    void on_gone(const Box& box) override;

  private:
    /// Runs that the records tell of and init has not told of yet.
    struct Unclaimed {
        explicit Unclaimed(const asio::any_io_executor& executor) : reported(executor) {}
        std::map<uint64_t, RunRecord> runs;
        std::optional<Box::Work> work;  ///< while there are some, the box is busy
        uint64_t report = 0;            ///< the number of the one that was asked for
        bool incomplete = false;        ///< it told of a run that could not be taken over, so it is asked for again
        Event reported;
    };

    Task<Result<void>> launch(std::shared_ptr<Run> run, const Command& command, UniqueFd input);
    void take_over(const std::shared_ptr<Box>& box, uint64_t number, runtime::Message message);
    void note_report_end(Box& box, uint64_t report);
    void end_report(Box& box, const std::string& reason);
    Task<> ask_again(std::shared_ptr<Box> box);
    void open_streams(Run& run, UniqueFd output, UniqueFd errors);
    void carry(const std::shared_ptr<Run>& run);
    void record_start(Run& run, const Command& command);
    Result<void> record_first(const RunRecord& run, const Command& command);
    void note_end(const Run& run);
    void settle_soon(const std::shared_ptr<Run>& run);
    void settle();
    void settle_after(std::chrono::milliseconds wait);
    void let_go(const std::shared_ptr<Run>& run);
    /// `box`: null when it is being deleted, and its events are told.
    void lose(const Box* box, RunRecord run, const std::string& reason);
    void prune_in_time();
    void prune(const std::string& box);
    void forget(const std::string& box, const std::vector<std::string>& runs);
    // These two block, and may be called by any thread.
    void remove_journals(const std::string& box) const;
    /// Of one run. False, said in the log, when a file of it is still there.
    [[nodiscard]] bool remove_journal(const std::string& box, const std::string& run) const;
    /// The name of its control group.
    static std::string leaf_of(uint64_t number) { return "r-" + std::to_string(number); }
    /// Of the file that keeps what a run has said.
    [[nodiscard]] std::string path_of(const std::string& box, const std::string& run, bool errors) const;
    [[nodiscard]] std::string directory_of(const std::string& box) const { return directory_ + "/" + box; }

    asio::any_io_executor executor_;
    Records& records_;
    EventLog& events_;
    CustomerLimits& limits_;
    std::string directory_;
    uint64_t last_number_ = 0;
    std::map<uint64_t, std::shared_ptr<Run>> active_;              ///< by number
    std::map<std::string, std::shared_ptr<Unclaimed>> unclaimed_;  ///< by box
    std::vector<std::shared_ptr<Run>> ended_;                      ///< of which init has yet to be told
    std::shared_ptr<ReadingTurns> turns_;
    asio::steady_timer settling_;
    std::set<std::string> to_prune_;  ///< boxes
    size_t settled_since_prune_ = 0;
    int64_t kept_since_prune_ = 0;
    Workers remover_{1, 0, Urgency::kBehind};  ///< of files; last, since it uses the others
};

}  // namespace hutch::daemon
