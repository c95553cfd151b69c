#include "daemon/run/runs.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <boost/asio/post.hpp>
#include <set>

#include "base/file.h"
#include "base/ids.h"
#include "daemon/clock.h"
#include "daemon/log.h"

namespace hutch::daemon {
namespace {

constexpr int64_t kMostRuns = 200;       // ended ones, of one box
constexpr int64_t kMostKept = 64 << 20;  // bytes of what they said
constexpr std::chrono::milliseconds kSettleEvery{5};
constexpr uint64_t kPruneEvery = 16;  // ends, of all boxes
constexpr const char* kNotStarted = "hutchd ended before the command was started";

std::string leaf_name(uint64_t number) {
    return "r-" + std::to_string(number);
}

Result<std::array<UniqueFd, 2>> make_pipe() {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) return errno_error("making a pipe");
    std::array<UniqueFd, 2> pipe{UniqueFd(ends[0]), UniqueFd(ends[1])};
    // Only our end: the command's must block, which is the back pressure.
    if (fcntl(ends[0], F_SETFL, O_NONBLOCK) != 0) return errno_error("making a pipe");
    return pipe;
}

RunRecord new_record(const Box& box, const Command& command, uint64_t number) {
    RunRecord record;
    record.id = random_id();
    record.box = box.record.id;
    record.number = static_cast<int64_t>(number);
    record.prompt = prompt_of(command);
    record.separate_errors = !command.terminal && command.errors == Errors::kSeparate;
    record.terminal = command.terminal.has_value();
    record.timeout_ms = command.timeout ? command.timeout->count() : 0;
    record.started_ms = unix_now_ms();
    return record;
}

}  // namespace

Runs::Runs(asio::any_io_executor executor, Records& records, std::string directory)
    : executor_(std::move(executor)), records_(records), directory_(std::move(directory)), settling_(executor_) {}

Task<Result<std::shared_ptr<Run>>> Runs::start(std::shared_ptr<Box> box, Command command, UniqueFd input) {
    const Lap lap;
    const uint64_t number = ++last_number_;
    CO_TRY_LET(cgroups::Leaf leaf, box->make_leaf(leaf_name(number)));
    const Box::Work work(box);
    auto run = std::make_shared<Run>(box, new_record(*box, command, number), std::move(leaf), command.recorded);
    run->lap_ = lap;
    active_.emplace(number, run);
    const auto launched = co_await launch(run, command, std::move(input));
    if (!launched.ok()) {
        active_.erase(number);
        box->retire_leaf(std::move(run->leaf_));
        if (run->recorded_) (void)records_.drop_run(run->record_.id);  // nothing ran
        co_return launched.error();
    }
    carry(run);
    co_return run;
}

Task<Result<void>> Runs::launch(std::shared_ptr<Run> run, const Command& command, UniqueFd input) {
    std::array<UniqueFd, 2> out;
    std::array<UniqueFd, 2> err;
    runtime::RunSpec spec;
    spec.id = static_cast<uint64_t>(run->record_.number);
    spec.argv = command.argv;
    spec.env = environment_of(command);
    spec.work_dir = command.work_dir;
    spec.uid = command.user.uid;
    spec.gid = command.user.gid;
    spec.leaf = run->leaf_.fd();
    spec.terminal = command.terminal;
    if (!command.terminal) {
        if (!input) {
            CO_TRY_LET(input, open_at(AT_FDCWD, "/dev/null", O_RDONLY));
        }
        CO_TRY_LET(out, make_pipe());
        spec.in = input.get();
        spec.out = spec.err = out[1].get();
        spec.kept.push_back(out[0].get());
        if (command.errors == Errors::kSeparate) {
            CO_TRY_LET(err, make_pipe());
            spec.err = err[1].get();
            spec.kept.push_back(err[0].get());
        }
    }
    run->lap_.to(run->times_.leaf);
    CO_TRY(run->box_->life().link.send(spec));
    if (run->recorded_) record_start(*run);  // while init is at work
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
    run->take_sources(std::move(out[0]), std::move(err[0]), directory_of(run->record_.box));
    run->lap_.to(run->times_.started);
    co_return Result<void>();
}

// On a full disk one must be able to run commands, to begin with those that make room.
void Runs::record_start(Run& run) {
    const auto recorded = records_.add_run(run.record_);
    if (recorded.ok()) return;
    log_warning("run {}: goes without a record: {}", run.record_.id, recorded.error().message);
    run.recorded_ = false;
}

void Runs::carry(const std::shared_ptr<Run>& run) {
    (void)mkdir(directory_of(run->record_.box).c_str(), 0700);  // without it, the journal stays in memory
    asio::co_spawn(
        executor_,
        [this, run]() -> Task<> {
            co_await run->carry();
            settle_soon(run);
        },
        asio::detached);
}

// The answer to whoever waits for the end goes first, the bookkeeping after it and for many at once. Until then init
// holds everything that a daemon killed in between would have to know.
void Runs::settle_soon(const std::shared_ptr<Run>& run) {
    ended_.push_back(run);
    if (ended_.size() > 1) return;
    settling_.expires_after(kSettleEvery);
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
    if (!kept.ok()) log_error("ends of runs cannot be recorded, the next start tries again: {}", kept.error().message);
    for (const auto& run : runs) let_go(run, kept.ok());
}

void Runs::let_go(const std::shared_ptr<Run>& run, bool kept) {
    const auto number = static_cast<uint64_t>(run->record_.number);
    // What init has no ear for, it tells the next daemon again.
    if (kept && run->box_->alive()) (void)run->box_->life().link.forget(number);
    run->box_->retire_leaf(std::move(run->leaf_));
    active_.erase(number);
    if (number % kPruneEvery == 0) prune(run->record_.box);
}

void Runs::prune(const std::string& box) {
    const auto forgotten = records_.prune_runs(box, kMostRuns, kMostKept);
    if (!forgotten.ok()) {
        log_warning("box {}: its oldest runs cannot be forgotten: {}", box, forgotten.error().message);
        return;
    }
    for (const std::string& id : forgotten.value()) {
        for (const char* ending : {".out", ".err"}) (void)unlink((directory_of(box) + "/" + id + ending).c_str());
    }
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
    return Journal::reopen(directory_of(run.box) + "/" + run.id + (errors ? ".err" : ".out"));
}

void Runs::remove_journals(const std::string& box) {
    const auto gone = remove_tree_at(AT_FDCWD, directory_of(box));
    if (!gone.ok()) log_warning("box {}: what its runs said cannot be removed: {}", box, gone.error().message);
}

void Runs::on_gone(const Box& box) {
    remove_journals(box.record.id);
}

void Runs::on_message(Box& box, runtime::Message message) {
    using runtime::MessageType;
    const runtime::Reply& reply = message.reply;
    if (reply.type == MessageType::kHeld) {
        take_over(box.shared_from_this(), reply.run_id, std::move(message));
        return;
    }
    if (reply.type == MessageType::kReportEnd) {
        const auto waiting = unclaimed_.find(box.record.id);
        const bool ours = waiting != unclaimed_.end() && waiting->second->report == reply.run_id;
        if (ours) end_report(box, kNotStarted);
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

Result<void> Runs::adopt(const std::vector<std::shared_ptr<Box>>& boxes) {
    TRY(make_dirs_at(AT_FDCWD, directory_, 0700));
    // Numbers go up from one daemon to the next, even over a clock that was set back: init may speak of old ones.
    last_number_ = std::max(static_cast<uint64_t>(TRY(records_.last_run_number())),
                            static_cast<uint64_t>(unix_now_ms()) * 1'000'000);
    std::map<std::string, std::shared_ptr<Box>> living;
    std::set<std::string> known;
    for (const auto& box : boxes) {
        known.insert(box->record.id);
        if (!box->alive()) continue;
        living[box->record.id] = box;
        unclaimed_[box->record.id] = std::make_shared<Unclaimed>(executor_);
    }
    for (RunRecord& run : TRY(records_.running())) {
        if (living.contains(run.box)) {
            unclaimed_[run.box]->runs.emplace(run.number, std::move(run));
        } else {
            lose(std::move(run), "the box stopped before the command ended");
        }
    }
    for (const auto& [id, box] : living) {
        unclaimed_[id]->report = ++last_number_;
        const auto asked = box->life().link.ask_report(last_number_);
        if (!asked.ok()) end_report(*box, asked.error().message);
    }
    const UniqueFd directory = TRY(open_at(AT_FDCWD, directory_, O_RDONLY | O_DIRECTORY));
    for (const std::string& name : TRY(names_in(directory.get()))) {
        if (!known.contains(name)) remove_journals(name);
    }
    return {};
}

void Runs::take_over(const std::shared_ptr<Box>& box, uint64_t number, runtime::Message message) {
    const auto waiting = unclaimed_.find(box->record.id);
    const auto known = waiting == unclaimed_.end() ? std::map<uint64_t, RunRecord>::node_type()
                                                   : waiting->second->runs.extract(number);
    auto leaf = box->reopen_leaf(leaf_name(number));
    if (active_.contains(number)) return;  // told twice: an earlier daemon had asked too
    if (known.empty() || !leaf.ok()) {
        // Its end is recorded, and only init has not heard of that; or the daemon was killed before its start was
        // recorded, and nobody has been told of it.
        if (!known.empty()) lose(known.mapped(), leaf.error().message);
        if (leaf.ok() && message.reply.pid != 0) (void)leaf->kill();
        (void)box->life().link.forget(number);
        return;
    }
    const auto run = std::make_shared<Run>(box, known.mapped(), std::move(leaf).value(), true);
    if (run->record_.terminal) {
        auto master = duplicate(message.fds[0].get());
        if (master.ok()) run->terminal_ = std::move(master).value();
    }
    run->started_.set();
    run->take_sources(std::move(message.fds[0]), std::move(message.fds[1]), directory_of(box->record.id));
    active_.emplace(number, run);
    carry(run);
}

void Runs::end_report(Box& box, const std::string& reason) {
    const auto ended = unclaimed_.extract(box.record.id);
    if (ended.empty()) return;
    for (auto& [number, run] : ended.mapped()->runs) lose(std::move(run), reason);
    ended.mapped()->reported.set();
}

Task<> Runs::settled(std::shared_ptr<Box> box) {
    const auto waiting = unclaimed_.find(box->record.id);
    if (waiting == unclaimed_.end()) co_return;
    const auto held = waiting->second;
    co_await held->reported.wait();
}

void Runs::lose(RunRecord run, const std::string& reason) {
    run.status = RunStatus::kFailed;
    run.error = reason + "; its exit code is not known";
    for (const bool errors : {false, true}) {
        const auto kept = journal(run, errors);
        if (kept.ok()) run.kept_bytes += static_cast<int64_t>(kept.value().end() - kept.value().begin());
    }
    const auto recorded = records_.end_run(run);
    if (!recorded.ok()) log_error("run {}: its end cannot be recorded: {}", run.id, recorded.error().message);
}

}  // namespace hutch::daemon
