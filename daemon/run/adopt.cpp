// What an earlier daemon left running: each record that says "running" meets what the box's init tells of.
//
//   record     init holds it          then
//   running    and it runs            taken over: output read on, exit status awaited
//   running    and it has ended       taken over: the rest of the output, and the exit status, are there
//   running    it does, and we have no descriptors to take it over with: left with init, and asked for again
//   running    not (box gone, reboot) failed; its exit code is not known, and not invented
//   ended      yes                    forgotten: the last daemon was killed before it could say so
//   (none)     yes                    killed and forgotten: nobody had been told of it
//
// Idempotent: a crash in here leaves everything with init, and the next daemon asks again.

#include <fcntl.h>

#include <map>

#include "base/file.h"
#include "daemon/clock.h"
#include "daemon/log.h"
#include "daemon/run/runs.h"
#include "daemon/spawn.h"

namespace hutch::daemon {

namespace {

constexpr std::chrono::seconds kAskAgainAfter{1};

/// Whether it failed for want of what may be there again later.
template <typename T>
bool lacks_means(const Result<T>& result) {
    if (result.ok()) return false;
    const int code = result.error().code;
    return code == EMFILE || code == ENFILE || code == ENOMEM || code == ENOBUFS;
}

}  // namespace

Result<void> Runs::adopt(const std::vector<std::shared_ptr<Box>>& boxes) {
    TRY(make_dirs_at(AT_FDCWD, directory_, 0700));
    // Numbers go up from one daemon to the next, even over a clock that was set back: init may speak of old ones.
    last_number_ = std::max(static_cast<uint64_t>(TRY(records_.last_run_number())),
                            static_cast<uint64_t>(unix_now_ms()) * 1'000'000);
    std::map<std::string, std::shared_ptr<Box>> living;
    std::map<std::string, std::shared_ptr<Box>> known;
    for (const auto& box : boxes) {
        known[box->record.id] = box;
        if (!box->alive()) continue;
        living[box->record.id] = box;
        unclaimed_[box->record.id] = std::make_shared<Unclaimed>(executor_);
    }
    for (RunRecord& run : TRY(records_.running())) {
        if (living.contains(run.box)) {
            Unclaimed& unclaimed = *unclaimed_[run.box];
            unclaimed.work.emplace(living[run.box]);
            unclaimed.runs.emplace(run.number, std::move(run));
        } else {
            const auto box = known.find(run.box);
            lose(box == known.end() ? nullptr : box->second.get(), std::move(run),
                 "the box stopped before the command ended");
        }
    }
    for (const auto& [id, box] : living) {
        unclaimed_[id]->report = ++last_number_;
        const auto asked = box->life().link.ask_report(last_number_);
        if (asked.ok()) continue;
        const int code = asked.error().code;
        const bool told = code == EPIPE || code == ECONNRESET || code == EAGAIN;  // it is gone, or does not listen
        if (!told) return Error(asked.error()).in("box " + id + ": asking for its runs");
        end_report(*box, asked.error().message);
    }
    const UniqueFd directory = TRY(open_at(AT_FDCWD, directory_, O_RDONLY | O_DIRECTORY));
    for (const std::string& name : TRY(names_in(directory.get()))) {
        if (!known.contains(name)) remove_journals(name);
    }
    return {};
}

void Runs::take_over(const std::shared_ptr<Box>& box, uint64_t number, runtime::Message message) {
    if (active_.contains(number)) return;  // told twice: an earlier daemon had asked too
    const auto waiting = unclaimed_.find(box->record.id);
    auto leaf = box->reopen_leaf(leaf_of(number));
    // What it has said is there and cannot be opened now: its offsets would begin anew.
    const auto hides = [this](const RunRecord& run) {
        return lacks_means(journal(run, false)) || (run.separate_errors && lacks_means(journal(run, true)));
    };
    if (waiting != unclaimed_.end()) {
        const auto& runs = waiting->second->runs;
        const auto told = runs.find(number);
        if (message.fds_lost || lacks_means(leaf) || (told != runs.end() && hides(told->second))) {
            waiting->second->incomplete = true;
            return;
        }
    }
    const auto known = waiting == unclaimed_.end() ? std::map<uint64_t, RunRecord>::node_type()
                                                   : waiting->second->runs.extract(number);
    if (known.empty() || !leaf.ok()) {
        // Its end is recorded, and only init has not heard of that; or the daemon was killed before its start was
        // recorded, and nobody has been told of it.
        if (!known.empty()) lose(box.get(), known.mapped(), leaf.error().message);
        if (leaf.ok() && message.reply.pid != 0) (void)leaf->kill();
        if (leaf.ok()) box->retire_leaf(std::move(leaf).value());
        (void)box->life().link.forget(number);
        return;
    }
    const auto run = std::make_shared<Run>(box, known.mapped(), std::move(leaf).value(), records_, true);
    if (run->record_.terminal) {
        auto master = duplicate(message.fds[0].get());
        if (master.ok()) run->terminal_ = std::move(master).value();
        fcntl(message.fds[0].get(), F_SETFL, O_NONBLOCK);  // an init of an earlier build had left that to us
    }
    run->place_ = limits_.note(box->record.customer, Resource::kCommands);
    run->started_.set();
    open_streams(*run, std::move(message.fds[0]), std::move(message.fds[1]));
    active_.emplace(number, run);
    carry(run);
    // The last daemon may not have come to it.
    if (run->record_.kill_reason != KillReason::kNone) run->kill_tree();
}

void Runs::end_report(Box& box, const std::string& reason) {
    const auto ended = unclaimed_.extract(box.record.id);
    if (ended.empty()) return;
    for (auto& [number, run] : ended.mapped()->runs) lose(&box, std::move(run), reason);
    ended.mapped()->work.reset();
    ended.mapped()->reported.set();
}

Task<> Runs::settled(std::shared_ptr<Box> box) {
    const auto waiting = unclaimed_.find(box->record.id);
    if (waiting == unclaimed_.end()) co_return;
    const auto held = waiting->second;
    co_await held->reported.wait();
}

void Runs::lose(const Box* box, RunRecord run, const std::string& reason) {
    run.status = run.kill_reason == KillReason::kCancelled ? RunStatus::kCancelled : RunStatus::kFailed;
    run.error = reason + "; its exit code is not known";
    for (const bool errors : {false, true}) {
        const auto kept = journal(run, errors);
        if (kept.ok()) run.kept_bytes += kept.value().kept();
    }
    if (box != nullptr) events_.publish(EventType::kRunEnded, box->record, run);
    const auto recorded = records_.end_run(run);
    if (!recorded.ok()) log_error("run {}: its end cannot be recorded: {}", run.id, recorded.error().message);
}

void Runs::remove_journals(const std::string& box) const {
    const auto gone = remove_tree_at(AT_FDCWD, directory_of(box));
    if (!gone.ok()) log_warning("box {}: what its runs said cannot be removed: {}", box, gone.error().message);
}

// The end of a report that an earlier daemon had asked for is not ours: what is told after it may be missing in it.
void Runs::note_report_end(Box& box, uint64_t report) {
    const auto waiting = unclaimed_.find(box.record.id);
    if (waiting == unclaimed_.end() || waiting->second->report != report) return;
    if (waiting->second->incomplete) {
        spawn(executor_, "asking box " + box.record.id + " for its runs again", ask_again(box.shared_from_this()));
    } else {
        end_report(box, "hutchd ended before the command was started");
    }
}

// What was lacking may be there when others have let go of it.
Task<> Runs::ask_again(std::shared_ptr<Box> box) {
    log_warning("box {}: its runs cannot all be taken over; tried again", box->record.id);
    asio::steady_timer pause(executor_, kAskAgainAfter);
    co_await pause.async_wait(kAwait);
    const auto waiting = unclaimed_.find(box->record.id);
    if (waiting == unclaimed_.end() || !box->alive()) co_return;
    waiting->second->incomplete = false;
    waiting->second->report = ++last_number_;
    const auto asked = box->life().link.ask_report(last_number_);
    if (!asked.ok()) end_report(*box, asked.error().message);
}

}  // namespace hutch::daemon
