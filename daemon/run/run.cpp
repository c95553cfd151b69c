#include "daemon/run/run.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>

#include <boost/asio/experimental/awaitable_operators.hpp>

#include "cgroups/events.h"
#include "daemon/clock.h"
#include "daemon/fd_watch.h"
#include "daemon/log.h"
#include "daemon/run/ending.h"
#include "daemon/spawn.h"

namespace hutch::daemon {
namespace {

// Most commands end with their output, and init says so within a millisecond: only what is later is looked at.
constexpr std::chrono::milliseconds kUsualEnd{50};
// For init to tell how a command ended that has left its control group.
constexpr std::chrono::seconds kWord{5};
constexpr std::chrono::seconds kWordOfKilled{1};

int exit_code_of(int wait_status) {
    return WIFSIGNALED(wait_status) ? 128 + WTERMSIG(wait_status) : WEXITSTATUS(wait_status);
}

}  // namespace

Run::Run(const std::shared_ptr<Box>& box, RunRecord record, cgroups::Leaf leaf, Records& records, bool recorded)
    : box_(box->shared_from_this()),  // not what the request holds, which keeps the box in use
      record_(std::move(record)),
      leaf_(std::move(leaf)),
      records_(records),
      recorded_(recorded),
      started_(box_->executor()),
      exited_(box_->executor()),
      ended_(box_->executor()) {}

RunRecord Run::record() const {
    if (ended_.is_set()) return record_;
    RunRecord now = record_;
    const auto cpu = leaf_.cpu_ns();
    if (cpu.ok()) now.cpu_ns = static_cast<int64_t>(cpu.value());
    now.duration_ms = std::max<int64_t>(0, unix_now_ms() - now.started_ms);
    return now;
}

void Run::start_deadline(asio::steady_timer& timer) {
    if (record_.timeout_ms == 0) return;
    const auto passed =
        std::chrono::milliseconds(unix_now_ms() - record_.started_ms);  // by an earlier daemon's time too
    timer.expires_after(std::chrono::milliseconds(record_.timeout_ms) - std::max(passed, passed.zero()));
    timer.async_wait([self = shared_from_this()](const boost::system::error_code& cancelled) {
        if (!cancelled) self->kill(KillReason::kTimeout);
    });
}

Task<> Run::carry(std::shared_ptr<ReadingTurns::Share> share) {
    using namespace asio::experimental::awaitable_operators;
    const auto self = shared_from_this();
    const Box::Work work(box_);
    asio::steady_timer deadline(box_->executor());
    start_deadline(deadline);
    if (errors_) {
        co_await (output_->fill(exited_, share) && errors_->fill(exited_, share));
    } else {
        co_await output_->fill(exited_, share);
    }
    if (!exited_.is_set()) {
        asio::steady_timer late(box_->executor(), kUsualEnd);
        late.async_wait([self](const boost::system::error_code& cancelled) {
            if (!cancelled) self->watch_leaf();
        });
        co_await exited_.wait();
    }
    deadline.cancel();
    lap_.to(times_.exited);
    conclude();
    lap_.to(times_.finish);
    ended_.set();
}

Result<void> Run::signal(int signal, std::chrono::milliseconds cancel_after) {
    if (exited_.is_set() || !box_->alive()) return {};
    TRY(box_->life().link.signal(static_cast<uint64_t>(record_.number), signal));
    give_up_after(cancel_after);
    return {};
}

Result<void> Run::signal_all(int signal, std::chrono::milliseconds cancel_after) {
    if (exited_.is_set() || !box_->alive()) return {};
    TRY(signal == SIGKILL ? leaf_.kill() : leaf_.signal(signal));
    give_up_after(cancel_after);
    return {};
}

void Run::give_up_after(std::chrono::milliseconds wait) {
    if (wait.count() == 0 || std::exchange(given_up_, true)) return;
    spawn(box_->executor(), "cancelling run " + record_.id + " if it goes on", cancel_later(shared_from_this(), wait));
}

Task<> Run::cancel_later(std::shared_ptr<Run> self, std::chrono::milliseconds wait) {
    using namespace asio::experimental::awaitable_operators;
    asio::steady_timer patience(self->box_->executor(), wait);
    co_await (patience.async_wait(kAwait) || self->exited_.wait());
    self->cancel();
}

void Run::cancel() {
    kill(KillReason::kCancelled);
}

void Run::abandon() {
    if (!exited_.is_set()) kill_tree();
}

// Who cancels it is told so, at its timeout too.
void Run::kill(KillReason reason) {
    if (exited_.is_set()) return;
    if (record_.kill_reason != KillReason::kCancelled) {
        record_.kill_reason = reason;
        const auto marked = recorded_ ? records_.mark_run(record_) : Result<void>();
        if (!marked.ok())
            log_warning("run {}: why it is killed is not on record: {}", record_.id, marked.error().message);
    }
    kill_tree();
}

void Run::kill_tree() {
    killed_ = true;
    (void)leaf_.kill();
    watch_leaf();
    if (emptied_) note_exit(SIGKILL);
}

// Of a process that another one of its box traces, init hears when the tracer lets go of it, which may be never. Its
// control group tells that it is dead.
void Run::watch_leaf() {
    if (exited_.is_set() || std::exchange(watched_, true)) return;
    spawn(box_->executor(), "watching the control group of run " + record_.id, await_empty(shared_from_this()));
}

Task<> Run::await_empty(std::shared_ptr<Run> self) {
    using namespace asio::experimental::awaitable_operators;
    const auto events = self->leaf_.open_events();
    if (!events.ok()) co_return;  // init's word is all there is
    FdWatch watch(self->box_->executor(), events.value().get());
    for (;;) {
        const auto empty = cgroups::is_empty(events.value().get());
        if (!empty.ok()) co_return;
        if (empty.value()) break;
        co_await (watch.changed() || self->exited_.wait());
        if (self->exited_.is_set()) co_return;
    }
    self->emptied_ = true;
    // Init's word comes right after, with what it has reaped, unless a tracer keeps that from it.
    asio::steady_timer word(self->box_->executor());
    do {  // an init that stands still tells nothing
        word.expires_after(self->killed_ ? kWordOfKilled : kWord);
        co_await (word.async_wait(kAwait) || self->exited_.wait());
    } while (!self->exited_.is_set() && !self->killed_ && self->box_->sleep());
    if (self->killed_) {
        self->note_exit(SIGKILL);
        co_return;
    }
    self->lose({ErrorKind::kConflict, 0, "the command has ended, and a process that traces it keeps its exit code"});
}

void Run::note_exit(int wait_status) {
    if (exited_.is_set()) return;
    record_.exit_code = exit_code_of(wait_status);
    record_.signal = WIFSIGNALED(wait_status) ? WTERMSIG(wait_status) : 0;
    exited_.set();
}

void Run::note_killed() {
    record_.exit_code = 128 + SIGKILL;
    record_.signal = SIGKILL;
}

void Run::lose(const Error& reason) {
    if (exited_.is_set()) return;
    loss_ = reason;
    const auto cpu = leaf_.cpu_ns();  // while the group is still there
    if (cpu.ok()) record_.cpu_ns = static_cast<int64_t>(cpu.value());
    started_.set();
    exited_.set();
}

void Run::conclude() {
    const auto cpu = leaf_.cpu_ns();
    if (cpu.ok()) record_.cpu_ns = static_cast<int64_t>(cpu.value());
    record_.duration_ms = std::max<int64_t>(0, unix_now_ms() - record_.started_ms);
    record_.status = record_.exit_code == 0 ? RunStatus::kCompleted : RunStatus::kFailed;
    // What had ended by itself, and was held until the kill, is no success for that.
    if (record_.kill_reason != KillReason::kNone && record_.exit_code == 0) note_killed();
    note_memory(*box_, record_);
    if (record_.kill_reason == KillReason::kTimeout) {
        record_.status = RunStatus::kFailed;
        record_.error = "killed at its timeout of " + std::to_string(record_.timeout_ms) + " ms";
    }
    if (record_.kill_reason == KillReason::kCancelled) record_.status = RunStatus::kCancelled;
    if (loss_) record_.error = loss_->message + "; its exit code is not known";
    for (const auto* stream : {&output_, &errors_}) {
        if (stream->has_value()) record_.kept_bytes += (*stream)->journal().kept();
    }
}

// The reason first: a kill may find the control group empty at once, and would then pass for the end.
void Run::give_up(const Error& reason) {
    const bool lives = !exited_.is_set();
    lose(reason);
    if (lives) kill_tree();
    if (ended_.is_set()) return;
    conclude();
    ended_.set();
}

Result<Outcome> outcome_of(const RunRecord& run) {
    if (!run.exit_code) return Error{ErrorKind::kConflict, 0, run.error};
    return Outcome{.exit_code = *run.exit_code,
                   .cpu_ns = run.cpu_ns,
                   .duration_ms = run.duration_ms,
                   .times = {},
                   .reason = exit_reason_of(run),
                   .signal = run.signal,
                   .sentence = sentence_of(run)};
}

Task<Result<Outcome>> Run::outcome() {
    const auto self = shared_from_this();
    co_await ended_.wait();
    if (loss_) co_return *loss_;
    CO_TRY_LET(Outcome outcome, outcome_of(record_));
    outcome.times = times_;
    co_return outcome;
}

Task<Result<Outcome>> Run::follow(Sink output, Sink errors, Reader reader, Offsets from) {
    const auto self = shared_from_this();
    if (errors_) {
        CO_TRY(co_await follow_both(output, errors, reader, from));
    } else {
        CO_TRY(co_await output_->follow(from.output, output, reader));
    }
    co_return co_await outcome();
}

// Who does not listen to one of them listens to neither: the other may be silent for ever.
Task<Result<void>> Run::follow_both(const Sink& output, const Sink& errors, Reader reader, Offsets from) {
    using namespace asio::experimental::awaitable_operators;
    Result<void> told;
    Event failed(box_->executor());
    const auto side = [&](Stream& stream, uint64_t begin, const Sink& sink) -> Task<> {
        auto how = co_await stream.follow(begin, sink, reader);
        if (how.ok()) co_return;
        if (told.ok()) told = std::move(how);
        failed.set();
    };
    const auto both = [&]() -> Task<> {
        co_await (side(*output_, from.output, output) && side(*errors_, from.errors, errors));
    };
    (void)co_await ends_before(both(), failed.wait());
    co_return told;
}

}  // namespace hutch::daemon
