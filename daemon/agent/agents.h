#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>

#include "daemon/agent/harness.h"
#include "daemon/box/manager.h"
#include "daemon/memory_budget.h"
#include "daemon/run/runs.h"
#include "daemon/webhooks.h"

namespace hutch::daemon {

/// Has a worker thread read so many bytes of what an agent has written, where they would hold the event loop up.
template <typename Read>
Task<> read_aside(Workers& workers, size_t bytes, Read read) {
    constexpr size_t kMostOnLoop = 256 * 1024;  // some milliseconds
    if (bytes <= kMostOnLoop) {
        read();
    } else {
        co_await workers.run([&read] {
            read();
            return Unit{};
        });
    }
}

/// A prompt as it was asked for, where and as whom.
struct Asked {
    Prompt prompt;
    Command surroundings;
    std::string words;  ///< JSON, from which Agents::Read makes the two above once more
};

/// A prompt that waits for its turn or is under way, or one that has ended while somebody still looks at it. Its events
/// are read from its run's output, by everybody anew (Transcript).
struct PromptRun {
    PromptRun(const asio::any_io_executor& executor, PromptRecord its_record)
        : record(std::move(its_record)), begun(executor), ended(executor) {}

    PromptRecord record;
    const Harness* harness = nullptr;
    std::shared_ptr<Run> run;    ///< none before it has begun
    CustomerLimits::Hold place;  ///< among its customer's commands, while it waits
    Event begun;                 ///< or ended without that
    Event ended;                 ///< then `record` is complete
};

/// Agents in boxes: how each is configured, what it is asked, and what came of it. A prompt is a run like any other: it
/// goes on whoever listens, and over a restart of the daemon. Event loop thread only.
class Agents {
  public:
    /// Opens the way to a model for one run; its token is good until the run ends. Null where there is no gateway.
    using Access = std::function<Result<std::optional<ModelAccess>>(const Box&, const AgentRecord&, const Harness&,
                                                                    const std::string& run)>;
    /// That run has ended.
    using Close = std::function<void(const std::string& run)>;

    Agents(Manager& boxes, Runs& runs, Webhooks& webhooks, Access access, Close close);

    /// Makes of a waiting prompt's words what was asked, by what holds for its box then.
    using Read = std::function<Result<Asked>(const Box&, std::string words)>;
    void read_words_by(Read read) { read_ = std::move(read); }

    /// Reads the rows, and takes account of the prompts that an earlier daemon left under way, waiting or untold. After
    /// Runs::adopt, and read_words_by().
    Result<void> adopt();

    /// How a box or a snapshot is configured; an empty harness when it has no agent.
    [[nodiscard]] Result<AgentRecord> of(const std::string& owner) { return boxes_.records().agent(owner); }
    /// One of which nothing is said has no row.
    Result<void> configure(const AgentRecord& agent);
    /// What `from` was told, session included; its totals are not handed on.
    [[nodiscard]] Result<AgentRecord> heritage(const std::string& from);
    /// That holds for `to` as well.
    Result<void> inherit(const std::string& from, const std::string& to);

    /// Whom the box is at work for.
    std::shared_ptr<PromptRun> at_work(const std::string& box) const;
    /// Has the box go back to what `snapshot` holds, its session too: who is at work is killed by that, and who waits
    /// is cancelled, since that was asked of a box that there is no more.
    Task<Result<void>> go_back(std::string box, std::string snapshot, Task<Result<void>> roll_back);

    /// Gives the box's agent a prompt, which waits while that is at work on another (waiting.cpp). A model of the
    /// prompt's own is in place of the box's. kConflict when the box has no agent, kLimit when too many wait already.
    Task<Result<std::shared_ptr<PromptRun>>> start(std::shared_ptr<Box> box, Asked asked,
                                                   std::optional<Webhook> webhook);
    /// For a run that is on record and never began: it was to be a prompt. With an error it has failed, and the webhook
    /// is told.
    Result<void> note_unbegun(const Box& box, const std::string& run, const std::string& error,
                              std::optional<Webhook> webhook);
    /// One that waits or is under way; null for others.
    std::shared_ptr<PromptRun> find(const std::string& run) const;
    /// The run whose end this one waits for; nothing for one that does not wait.
    [[nodiscard]] std::optional<std::string> waits_for(const std::string& run) const;
    /// Ends one that waits. False for any other.
    Result<bool> cancel(const std::string& run);
    /// By the id of the run; nothing for a run that is no prompt.
    Result<std::optional<PromptRecord>> record(const std::string& run);

  private:
    Task<Result<void>> launch(std::shared_ptr<PromptRun> prompt, std::shared_ptr<Box> box, Asked asked);
    Task<Result<Command>> prepare(std::shared_ptr<Box> box, const Harness& harness, const Invocation& how,
                                  Command command);
    void account_for(const std::shared_ptr<PromptRun>& prompt, Task<> accounting);
    /// It is told as failed, and its run ended.
    void set_aside(PromptRun& prompt, const std::string& why);
    Task<> account(std::shared_ptr<PromptRun> prompt);
    /// What its program has said and will say comes to.
    Task<AgentResult> read_all(std::shared_ptr<PromptRun> prompt, Stream& said);
    void note_read(PromptRecord& record);
    Result<void> keep(const PromptRecord& record);
    /// It has ended, and the next one of its box begins.
    void leave(PromptRun& prompt);
    // waiting.cpp
    using Line = std::deque<std::shared_ptr<PromptRun>>;
    Result<void> wait_in_line(const Box& box, const std::shared_ptr<PromptRun>& prompt, const Asked& asked);
    void wait_on(PromptRecord record);
    void begin_next(const std::string& box);
    Task<> take_turn(std::shared_ptr<PromptRun> prompt);
    Task<Result<void>> begin(std::shared_ptr<PromptRun> prompt);
    Result<void> end_waiting(PromptRun& prompt, RunStatus status, const std::string& why);
    void cancel_line(const std::string& box, const std::string& why);
    // judge.cpp
    /// The last attempt has ended: has it made again, told what is wrong with its answer, or nothing more.
    Task<> judge(std::shared_ptr<PromptRun> prompt, const Transcript& transcript);
    /// What it came to, which is an error where the answer is not valid by the prompt's schema.
    Task<AgentResult> judged(const PromptRecord& record, const Transcript& transcript);
    Task<std::optional<std::string>> violation(const PromptRecord& record, std::string answer);
    void take_back(PromptRecord record);
    Task<> resume_account(std::shared_ptr<PromptRun> prompt, std::shared_ptr<Box> box);
    void conclude(PromptRun& prompt, const AgentResult& result, const std::string& error);
    Task<> tell(PromptRecord record);

    Manager& boxes_;
    Runs& runs_;
    Webhooks& webhooks_;
    Access access_;
    Close close_;
    Read read_;
    std::map<std::string, std::shared_ptr<PromptRun>> under_way_;  ///< by run; one of a box at most
    std::map<std::string, Line> waiting_;                          ///< by box, none of them empty
    std::multiset<std::string> held_;                              ///< boxes in which nobody is to begin
    static constexpr size_t kMostUntold = size_t{256} << 20;
    static constexpr size_t kPartUntold = 8;  // a customer's take a ninth of what the others leave
    /// What webhooks tell that wait.
    std::shared_ptr<MemoryBudget> untold_ = std::make_shared<MemoryBudget>(kMostUntold, kPartUntold);
};

}  // namespace hutch::daemon
