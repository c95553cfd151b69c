#pragma once

#include <array>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "daemon/agent/agents.h"
#include "daemon/alarm.h"
#include "daemon/clock_watch.h"
#include "daemon/histogram.h"
#include "daemon/run/runs.h"
#include "daemon/webhooks.h"
#include "daemon/wire/cron.h"

namespace hutch::daemon {

/// What boxes do by the clock. A firing wakes its box and is a run like any other; only one of a schedule is under way,
/// and what is due meanwhile is skipped. Each firing stands in its schedule's row, with the id of its run, before it
/// begins: a start after a crash knows what to look for, and what nobody has begun is due still.
///
/// One alarm for all, at the earliest that is due, and one watch of the host's clock. Firings begin a few at a time,
/// customer by customer, however many are due in the same minute. Event loop thread only.
class Schedules {
  public:
    static constexpr size_t kMostOfBox = 100;

    Schedules(Manager& boxes, Runs& runs, Agents& agents, Webhooks& webhooks);

    /// What a firing runs, or asks: all but what makes a run of a schedule of it.
    using ReadCommand = std::function<Result<Command>(const Box&, const ScheduleRecord&)>;
    using ReadPrompt = std::function<Result<Asked>(const Box&, const ScheduleRecord&)>;
    /// Before the event loop runs.
    void read_by(ReadCommand command, ReadPrompt prompt) {
        command_of_ = std::move(command);
        prompt_of_ = std::move(prompt);
    }
    /// Reads the rows, and takes on what an earlier daemon has begun, or missed.
    Result<void> adopt();

    /// `schedule` without an id, times and totals. kLimit when the box or its customer has as many as it may.
    Task<Result<ScheduleRecord>> add(std::shared_ptr<Box> box, ScheduleRecord schedule);
    using Edit = std::function<Result<void>(ScheduleRecord&)>;
    /// What its customer may say of it; a firing under way stays as it was begun.
    Task<Result<ScheduleRecord>> change(std::shared_ptr<Box> box, std::string id, Edit edit);
    /// A firing under way goes on.
    Task<Result<void>> remove(std::shared_ptr<Box> box, std::string id);
    /// kNotFound names what was asked for.
    [[nodiscard]] Result<ScheduleRecord> find(const Box& box, const std::string& id) const;
    /// Oldest first.
    [[nodiscard]] Result<std::vector<ScheduleRecord>> of(const Box& box) const;

    /// How firings have gone since the start.
    struct Figures {
        uint64_t completed = 0;
        uint64_t failed = 0;
        uint64_t skipped = 0;
        Histogram lag{kLags};  ///< from when they were due to when they began
        static constexpr std::array kLags = {0.01, 0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 600.0, 3600.0};  ///< seconds
    };
    [[nodiscard]] const Figures& figures() const { return figures_; }
    [[nodiscard]] size_t size() const { return all_.size(); }

  private:
    /// One schedule, without what it says: that stays in its row.
    struct Entry {
        std::string id, box, customer;
        std::optional<Cron> cron;  ///< none: its row cannot be read any more
        int64_t due = 0;           ///< Unix seconds; 0: it is paused
        bool at_work = false;      ///< a firing is under way, or about to be
        std::string run{};         ///< of that
        bool gone = false;
        CustomerLimits::Hold place{};
    };
    using One = std::shared_ptr<Entry>;
    /// What came of a firing.
    struct End {
        bool ok = false;
        int64_t at = 0;              ///< when its run began, Unix seconds
        std::string not_begun = {};  ///< why it could not
    };
    /// One of the two, as its type is.
    struct Begun {
        std::shared_ptr<Run> run{};
        std::shared_ptr<PromptRun> prompt{};
    };

    One enlist(const ScheduleRecord& schedule, const std::string& customer);
    void strike(const One& one);
    void forget(const Box& box);
    void set_due(Entry& one, int64_t due);
    [[nodiscard]] std::optional<Moment> look_at_clock(Moment now);
    void take_over(const ScheduleRecord& schedule, const std::shared_ptr<Box>& box);
    void mend_due(int64_t now);
    Task<> watch_clock();

    // firing.cpp
    void begin(const One& one, int64_t due);
    Task<> fire(One one, int64_t due);
    Task<> skip(One one);
    /// Nothing when it has come to its end thereby: it could not begin, is due again at the next start, or is gone.
    Task<std::optional<Begun>> begin_run(One one, int64_t due);
    Task<Result<Begun>> start(std::shared_ptr<Box> box, const ScheduleRecord& schedule);
    Task<End> end_of(Begun begun);
    void conclude(const Entry& one, const End& end);
    Result<void> note_unbegun(const Box& box, const ScheduleRecord& schedule, const std::string& run, RunStatus status,
                              const std::string& why);
    Task<> resume(One one, std::shared_ptr<Box> box);
    Task<std::optional<End>> end_of_earlier(One one, std::shared_ptr<Box> box);
    // told.cpp
    void tell(const WebhookRecord& webhook, const std::shared_ptr<Box>& box);
    Task<> tell_to_end(WebhookRecord webhook, std::shared_ptr<Box> box);
    [[nodiscard]] bool may_tell(const Box& box, const WebhookRecord& webhook);

    Manager& boxes_;
    Runs& runs_;
    Agents& agents_;
    Webhooks& webhooks_;
    ReadCommand command_of_;
    ReadPrompt prompt_of_;
    std::map<std::string, One> all_;                         ///< by id
    std::map<std::string, std::set<std::string>> of_boxes_;  ///< ids, by box
    std::set<std::pair<int64_t, std::string>> queue_;        ///< when which is due
    std::map<std::string, size_t> untold_;                   ///< webhooks under way, by schedule
    int64_t clock_ms_ = 0;  ///< how far the host's clock is ahead of the monotonic one, when last looked at
    Alarm alarm_;
    std::optional<ClockWatch> clock_;
    static constexpr size_t kMostBeginning = 16;
    static constexpr size_t kMostBeginningEach = 4;
    Turns beginning_{kMostBeginning, kMostBeginningEach};
    Figures figures_;
};

}  // namespace hutch::daemon
