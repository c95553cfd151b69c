#include "daemon/run/runs.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <boost/asio/post.hpp>
#include <limits>

#include "base/file.h"
#include "base/ids.h"
#include "daemon/clock.h"
#include "daemon/log.h"
#include "daemon/run/ending.h"
#include "daemon/run/pipe.h"
#include "daemon/spawn.h"

namespace hutch::daemon {
namespace {

constexpr int64_t kMostRuns = 200;       // ended ones, of one box
constexpr int64_t kMostKept = 32 << 20;  // bytes of what they said; those under way have as much (ReadingTurns::Share)
constexpr int64_t kPruneAt = 16 << 20;   // such bytes since the last time
constexpr size_t kMostPromptKept = 16 << 10;  // bytes of their words, which may be a megabyte each
constexpr size_t kMostNoted = 120;            // of these, in the box's log
constexpr std::chrono::milliseconds kSettleEvery{5};
constexpr std::chrono::milliseconds kSettleAgain{5000};  // after a full disk
constexpr uint64_t kPruneEvery = 16;                     // ends, of all boxes

RunRecord new_record(const Box& box, const Command& command, uint64_t number) {
    RunRecord record;
    record.id = command.run_id.empty() ? random_id() : command.run_id;
    record.box = box.record.id;
    record.number = static_cast<int64_t>(number);
    record.prompt = prompt_of(command).substr(0, kMostPromptKept);
    record.separate_errors = !command.terminal && command.errors == Errors::kSeparate;
    record.terminal = command.terminal.has_value();
    record.timeout_ms = command.timeout ? command.timeout->count() : 0;
    record.started_ms = unix_now_ms();
    record.schedule = command.schedule;
    record.oom_kills = oom_kills_of(box).value_or(std::numeric_limits<int64_t>::max());
    if (command.waited) {
        record.schedule = command.waited->schedule;
        record.waited_ms = std::max<int64_t>(0, record.started_ms - command.waited->started_ms);
    }
    return record;
}

}  // namespace

Runs::Runs(asio::any_io_executor executor, Records& records, EventLog& events, CustomerLimits& limits,
           std::string directory)
    : executor_(std::move(executor)),
      records_(records),
      events_(events),
      limits_(limits),
      directory_(std::move(directory)),
      turns_(std::make_shared<ReadingTurns>(executor_)),
      settling_(executor_) {}

Task<Result<std::shared_ptr<Run>>> Runs::start(std::shared_ptr<Box> box, Command command, UniqueFd input) {
    const Lap lap;
    CO_TRY_LET(auto place, limits_.take(box->record.customer, Resource::kCommands));
    const uint64_t number = command.waited ? static_cast<uint64_t>(command.waited->number) : ++last_number_;
    CO_TRY_LET(cgroups::Leaf leaf, box->make_leaf(leaf_of(number)));
    const Box::Work work(box);
    auto run =
        std::make_shared<Run>(box, new_record(*box, command, number), std::move(leaf), records_, command.recorded);
    run->lap_ = lap;
    run->place_ = std::move(place);
    active_.emplace(number, run);
    const auto launched = co_await caught(launch(run, command, std::move(input)));
    if (!launched.ok()) {
        if (run->started_.is_set() && !run->refusal_ && box->alive()) {  // it runs, and could not be taken on
            (void)run->leaf_.kill();
            (void)box->life().link.forget(number);
        }
        active_.erase(number);
        box->retire_leaf(std::move(run->leaf_));
        // Nothing ran; of one that has waited somebody knows, and writes down why it does not run.
        if (run->recorded_ && !command.waited) (void)records_.drop_run(run->record_.id);
        co_return launched.error();
    }
    if (run->recorded_) events_.publish(EventType::kRunStarted, box->record, run->record_);
    carry(run);
    co_return run;
}

Task<Result<void>> Runs::launch(std::shared_ptr<Run> run, const Command& command, UniqueFd input) {
    std::array<UniqueFd, 2> out;
    std::array<UniqueFd, 2> err;
    runtime::RunSpec spec;
    spec.id = static_cast<uint64_t>(run->record_.number);
    spec.argv = command.argv;
    Environment environment = environment_of(command, find_size(run->box_->record.size)->cpus);
    spec.env = std::move(environment.list);
    spec.defaults = environment.defaults;
    spec.work_dir = command.work_dir;
    spec.fall_back = command.fall_back;
    spec.uid = command.user.uid;
    spec.gid = command.user.gid;
    spec.leaf = run->leaf_.fd();
    spec.terminal = command.terminal;
    if (!command.terminal) {
        const uid_t owner = run->box_->uid_base() + command.user.uid;
        CO_TRY_LET(out, make_pipe(PipeOf::kOutput, owner));
        spec.in = input.get();
        spec.out = spec.err = out[1].get();
        spec.kept.push_back(out[0].get());
        if (command.errors == Errors::kSeparate) {
            CO_TRY_LET(err, make_pipe(PipeOf::kOutput, owner));
            spec.err = err[1].get();
            spec.kept.push_back(err[0].get());
        }
    }
    run->lap_.to(run->times_.leaf);
    if (command.detached) CO_TRY(record_first(run->record_, command));  // else nobody could ever read what it says
    CO_TRY(run->box_->life().link.send(spec));
    if (run->recorded_ && !command.detached) record_start(*run, command);  // while init is at work
    run->lap_.to(run->times_.record);
    out[1].reset();
    err[1].reset();
    input.reset();
    co_await run->started_.wait();
    if (run->refusal_) co_return said_plainly(*run->refusal_, command);
    if (run->loss_) co_return *run->loss_;
    if (command.terminal) {
        CO_TRY_LET(out[0], duplicate(run->terminal_.get()));
        fcntl(out[0].get(), F_SETFL, O_NONBLOCK);
    }
    open_streams(*run, std::move(out[0]), std::move(err[0]));
    run->lap_.to(run->times_.started);
    co_return Result<void>();
}

// Before init hears of it: a daemon that is killed in between leaves one that is told as lost, not one that runs twice.
Result<void> Runs::record_first(const RunRecord& run, const Command& command) {
    return command.waited ? records_.begin_run(run) : records_.add_run(run);
}

Result<RunRecord> Runs::line_up(const Box& box, const Command& command) {
    RunRecord run = new_record(box, command, ++last_number_);
    run.status = RunStatus::kWaiting;
    TRY(records_.add_run(run));
    return run;
}

Result<void> Runs::end_waiting(const Box* box, RunRecord run, RunStatus status, const std::string& why) {
    run.duration_ms = std::max<int64_t>(0, unix_now_ms() - run.started_ms);
    run.status = status;
    run.error = why;
    TRY(records_.end_run(run));
    if (box != nullptr) events_.publish(EventType::kRunEnded, box->record, run);
    return {};
}

// On a full disk one must be able to run commands, to begin with those that make room.
void Runs::record_start(Run& run, const Command& command) {
    RunRecord record = run.record_;
    if (command.with_client) record.kill_reason = KillReason::kCancelled;  // by a next daemon: this one ends it itself
    const auto recorded = records_.add_run(record);
    if (recorded.ok()) return;
    log_warning("run {}: goes without a record: {}", run.record_.id, recorded.error().message);
    run.recorded_ = false;
}

void Runs::carry(const std::shared_ptr<Run>& run) {
    (void)mkdir(directory_of(run->record_.box).c_str(), 0700);  // without it, the journal stays in memory
    spawn(executor_, "carrying run " + run->record_.id, run->carry(turns_->share(run->record_.box)),
          [this, run](const Result<void>& how) {
              run->place_ = {};
              if (!how.ok()) run->give_up(how.error());
              note_end(*run);
              if (run->recorded_) events_.publish(EventType::kRunEnded, run->box_->record, run->record_);
              settle_soon(run);
          });
}

// What its output does not tell, where the box's own log is looked at.
void Runs::note_end(const Run& run) {
    const RunRecord& record = run.record_;
    const std::string how = sentence_of(record);
    if (!run.recorded_ || how.empty() || record.kill_reason == KillReason::kCancelled) return;
    const std::string prompt = record.prompt.substr(0, kMostNoted);
    const auto noted =
        records_.add_log(record.box, {unix_now(), "error", "system", "run " + record.id + " (" + prompt + "): " + how});
    if (!noted.ok()) log_warning("box {}: cannot keep a log line: {}", record.box, noted.error().message);
}

// The answer to whoever waits for the end goes first, the bookkeeping after it and for many at once. Until then init
// holds everything that a daemon killed in between would have to know.
void Runs::settle_soon(const std::shared_ptr<Run>& run) {
    ended_.push_back(run);
    if (ended_.size() == 1) settle_after(kSettleEvery);
}

void Runs::settle_after(std::chrono::milliseconds wait) {
    settling_.expires_after(wait);
    settling_.async_wait([this](const boost::system::error_code& cancelled) {
        if (!cancelled) settle();
    });
}

void Runs::settle() {
    const auto runs = std::exchange(ended_, {});
    const auto kept = records_.together([&]() -> Result<void> {
        for (const auto& run : runs) {
            if (run->recorded_) TRY(records_.end_run(run->record_));
        }
        return {};
    });
    if (!kept.ok()) log_error("ends of runs cannot be recorded, tried again: {}", kept.error().message);
    for (const auto& run : runs) {
        if (kept.ok() || !run->recorded_) {
            let_go(run);
        } else {
            ended_.push_back(run);
        }
    }
    if (!ended_.empty()) settle_after(kSettleAgain);
    settled_since_prune_ += runs.size();
    prune_in_time();
}

void Runs::prune_in_time() {
    if (settled_since_prune_ < kPruneEvery && kept_since_prune_ < kPruneAt) return;
    settled_since_prune_ = 0;
    kept_since_prune_ = 0;
    for (const std::string& box : std::exchange(to_prune_, {})) prune(box);
}

Result<void> Runs::add_unbegun(const Box& box, const Command& command, RunStatus status, const std::string& why) {
    RunRecord run = new_record(box, command, ++last_number_);
    TRY(records_.add_run(run));
    run.status = status;
    run.error = why;
    TRY(records_.end_run(run));
    to_prune_.insert(box.record.id);
    ++settled_since_prune_;
    prune_in_time();
    return {};
}

void Runs::let_go(const std::shared_ptr<Run>& run) {
    const auto number = static_cast<uint64_t>(run->record_.number);
    // What init has no ear for, it tells the next daemon again.
    if (run->box_->alive()) (void)run->box_->life().link.forget(number);
    run->box_->retire_leaf(std::move(run->leaf_));
    active_.erase(number);
    kept_since_prune_ += run->record_.kept_bytes;
    if (run->recorded_) to_prune_.insert(run->record_.box);
}

// Files first: one without a record would be found by nobody.
void Runs::prune(const std::string& box) {
    auto old = records_.old_runs(box, kMostRuns, kMostKept);
    if (!old.ok()) return log_warning("box {}: its oldest runs are not known: {}", box, old.error().message);
    if (old.value().empty()) return;
    remover_.run_behind([this, box, ids = std::move(old).value()]() mutable {
        std::erase_if(ids, [&](const std::string& id) { return !remove_journal(box, id); });
        asio::post(executor_, [this, box, gone = std::move(ids)] { forget(box, gone); });
    });
}

void Runs::forget(const std::string& box, const std::vector<std::string>& runs) {
    const auto forgotten = records_.together([&]() -> Result<void> {
        for (const std::string& id : runs) TRY(records_.drop_run(id));
        return {};
    });
    if (!forgotten.ok()) {
        log_warning("box {}: its oldest runs cannot be forgotten: {}", box, forgotten.error().message);
    }
}

bool Runs::remove_journal(const std::string& box, const std::string& run) const {
    for (const bool errors : {false, true}) {
        const std::string path = path_of(box, run, errors);
        if (unlink(path.c_str()) == 0 || errno == ENOENT) continue;
        log_warning("{}", errno_error("removing " + path).message);
        return false;
    }
    return true;
}

Result<std::vector<RunRecord>> Runs::list(const Box& box) {
    std::vector<RunRecord> records = TRY(records_.runs(box.record.id));
    for (RunRecord& record : records) {
        const auto active = active_.find(static_cast<uint64_t>(record.number));
        if (active != active_.end()) record = active->second->record();
    }
    return records;
}

std::shared_ptr<Run> Runs::find(const Box& box, const std::string& id) {
    const auto is_it = [&](const auto& entry) {
        const Run& run = *entry.second;
        return run.output_ && run.record_.id == id && run.record_.box == box.record.id;  // without: not started yet
    };
    const auto found = std::find_if(active_.begin(), active_.end(), is_it);
    return found == active_.end() ? nullptr : found->second;
}

Result<RunRecord> Runs::record(const Box& box, const std::string& id) {
    if (const auto active = find(box, id)) return active->record();
    auto record = TRY(records_.run(box.record.id, id));
    if (!record) {
        return Error{ErrorKind::kNotFound, 0, "run: the box has none with the id \"" + id + "\" (or no longer)"};
    }
    return *std::move(record);
}

Result<Journal> Runs::journal(const RunRecord& run, bool errors) {
    return Journal::reopen(path_of(run.box, run.id, errors));
}

void Runs::open_streams(Run& run, UniqueFd output, UniqueFd errors) {
    const auto open = [&](std::optional<Stream>& stream, UniqueFd source, bool of_errors) {
        auto kept = run.recorded_ ? journal(run.record_, of_errors) : Result<Journal>(Journal());
        // An unreadable one cannot be added to.
        stream.emplace(executor_, std::move(source), kept.ok() ? std::move(kept).value() : Journal());
    };
    open(run.output_, std::move(output), false);
    if (run.record_.separate_errors) open(run.errors_, std::move(errors), true);
}

std::string Runs::path_of(const std::string& box, const std::string& run, bool errors) const {
    return directory_of(box) + "/" + run + (errors ? ".err" : ".out");
}

void Runs::on_gone(const Box& box) {
    remover_.run_behind([this, id = box.record.id] { remove_journals(id); });
}

void Runs::on_message(Box& box, runtime::Message message) {
    using runtime::MessageType;
    const runtime::Reply& reply = message.reply;
    if (reply.type == MessageType::kHeld) {
        take_over(box.shared_from_this(), reply.run_id, std::move(message));
        return;
    }
    if (reply.type == MessageType::kReportEnd) {
        note_report_end(box, reply.run_id);
        return;
    }
    if (reply.type == MessageType::kFailed && reply.run_id == 0) {
        end_report(box, "its box was made by an earlier hutchd");  // whose init holds nothing
        return;
    }
    const auto found = active_.find(reply.run_id);
    if (found == active_.end()) return;  // of an earlier daemon's
    Run& run = *found->second;
    if (reply.type == MessageType::kStarted) {
        run.terminal_ = std::move(message.fds[0]);
        run.pid_ = reply.pid;
        run.started_.set();
    } else if (reply.type == MessageType::kFailed) {
        run.refusal_ = reply;
        run.started_.set();
    } else if (reply.type == MessageType::kExited) {
        run.note_exit(reply.code);
    }
}

void Runs::on_end(Box& box, const Error& reason) {
    for (const auto& [number, run] : active_) {
        if (run->box_.get() == &box) run->lose(reason);
    }
    end_report(box, reason.message);
}

}  // namespace hutch::daemon
