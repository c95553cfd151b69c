#pragma once

#include <functional>
#include <map>
#include <memory>
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

/// A prompt under way, or one that has ended while somebody still looks at it. Its events are read from its run's
/// output, by everybody anew (Transcript).
struct PromptRun {
    PromptRun(const asio::any_io_executor& executor, PromptRecord its_record)
        : record(std::move(its_record)), ended(executor) {}

    PromptRecord record;
    const Harness* harness = nullptr;
    std::shared_ptr<Run> run;
    Event ended;  ///< then `record` is complete
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

    /// Reads the rows, and takes account of the prompts that an earlier daemon left under way or untold. After
    /// Runs::adopt.
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
    /// The box is as `snapshot` was, and so is the session that its agent goes on with. `killed` is who was at work
    /// then.
    Task<Result<void>> go_back(std::string box, std::string snapshot, std::shared_ptr<PromptRun> killed);

    /// Gives the box's agent a prompt; `surroundings` say where and as whom. A model of the prompt's own is in place of
    /// the box's. kConflict when the box has no agent, or is busy with a prompt already.
    Task<Result<std::shared_ptr<PromptRun>>> start(std::shared_ptr<Box> box, Prompt prompt, Command surroundings,
                                                   std::optional<Webhook> webhook);
    /// For a run that is on record and never began: it was to be a prompt. With an error it has failed, and the webhook
    /// is told.
    Result<void> note_unbegun(const Box& box, const std::string& run, const std::string& error,
                              std::optional<Webhook> webhook);
    /// One that is under way; null for others.
    std::shared_ptr<PromptRun> find(const std::string& run) const;
    /// By the id of the run; nothing for a run that is no prompt.
    Result<std::optional<PromptRecord>> record(const std::string& run);

  private:
    Task<Result<Command>> prepare(std::shared_ptr<Box> box, const Harness& harness, const Invocation& how,
                                  Command command);
    void account_for(const std::shared_ptr<PromptRun>& prompt, Task<> accounting);
    /// It is told as failed, and its run ended.
    void set_aside(PromptRun& prompt, const std::string& why);
    Task<> account(std::shared_ptr<PromptRun> prompt);
    /// What its program has said and will say comes to.
    Task<AgentResult> read_all(std::shared_ptr<PromptRun> prompt, Stream& said);
    void note_read(PromptRecord& record);
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
    std::map<std::string, std::shared_ptr<PromptRun>> under_way_;  ///< by run
    static constexpr size_t kMostUntold = size_t{256} << 20;
    static constexpr size_t kPartUntold = 8;  // a customer's take a ninth of what the others leave
    /// What webhooks tell that wait.
    std::shared_ptr<MemoryBudget> untold_ = std::make_shared<MemoryBudget>(kMostUntold, kPartUntold);
};

}  // namespace hutch::daemon
