#include "daemon/box/box.h"

#include <chrono>

#include "base/file.h"

#include "daemon/box/uid_slots.h"
#include "daemon/fd_watch.h"

namespace hutch::daemon {
namespace {

// Numbers of runs never repeat within a box, not even across daemons: init may still speak of an old one.
uint64_t next_run_number() {
    static uint64_t last = static_cast<uint64_t>(std::chrono::system_clock::now().time_since_epoch().count());
    return ++last;
}

}  // namespace

uid_t Box::uid_base() const {
    return UidSlots::base_of(record.uid_slot);
}

Situation Box::situation() const {
    return {.creating = record.phase == Phase::kCreating,
            .deleting = record.phase == Phase::kDeleting,
            .failed = failure.has_value(),
            .alive = alive(),
            .frozen = life_ && life_->sleep,
            .busy = busy(),
            .in_use = uses_ > 0,
            .keep_alive = record.keep_alive};
}

Result<void> Box::live(Life& life, std::function<void()> ended) {
    // The two coroutines of a life hold duplicates of its descriptors, so that they may end after it.
    UniqueFd link = TRY(duplicate(life.link.fd()));
    UniqueFd pidfd = TRY(duplicate(life.pidfd.get()));
    record.init_pid = life.pid;
    record.init_start = life.start;
    record.address = life.address.value;
    failure.reset();
    life_ = std::move(life);
    current_ = std::make_shared<bool>(true);
    const auto self = shared_from_this();
    asio::co_spawn(executor_, listen(self, current_, std::move(link)), asio::detached);
    asio::co_spawn(executor_, watch(self, current_, std::move(pidfd), std::move(ended)), asio::detached);
    return {};
}

std::optional<Life> Box::stop_living(const Error& reason) {
    if (!life_) return std::nullopt;
    record.past_cpu_ns = cpu_ns();
    record.init_pid = 0;
    *current_ = false;
    for (const auto& [id, run] : runs_) {
        run->failure = reason;
        run->started.set();
        run->exited.set();
    }
    lingering_.clear();
    return std::exchange(life_, std::nullopt);
}

Task<> Box::listen(std::shared_ptr<Box> self, std::shared_ptr<bool> current, UniqueFd socket) {
    FdWatch link(self->executor_, socket.get());
    while (co_await link.readable()) {
        for (;;) {
            if (!*current) co_return;
            auto message = self->life_->link.receive();
            if (!message.ok()) co_return;  // init is gone: watch() acts on it
            if (!message.value().has_value()) break;
            self->deliver(std::move(*message.value()));
        }
    }
}

Task<> Box::watch(std::shared_ptr<Box> self, std::shared_ptr<bool> current, UniqueFd pidfd,
                  std::function<void()> ended) {
    FdWatch init(self->executor_, pidfd.get());
    co_await init.readable();  // a pidfd becomes readable when its process has ended (pidfd_open(2))
    runtime::reap(pidfd.get());
    if (*current) ended();
}

void Box::deliver(runtime::Message message) {
    const auto found = runs_.find(message.reply.run_id);
    if (found == runs_.end()) return;  // of an earlier daemon's
    ActiveRun& run = *found->second;
    switch (message.reply.type) {
        case runtime::MessageType::kStarted:
            run.terminal = std::move(message.terminal);
            run.started.set();
            break;
        case runtime::MessageType::kFailed:
            run.failure = runtime::failure_of(message.reply);
            if (message.reply.stage == runtime::Stage::kWorkDir) run.failure->kind = ErrorKind::kInvalid;
            if (message.reply.stage == runtime::Stage::kCommand) run.failure->kind = ErrorKind::kNotFound;
            run.started.set();
            run.exited.set();
            break;
        case runtime::MessageType::kExited:
            run.wait_status = message.reply.code;
            run.exited.set();
            break;
        default:
            break;
    }
}

Result<std::pair<uint64_t, std::shared_ptr<ActiveRun>>> Box::begin_run() {
    if (!life_) return Error{ErrorKind::kConflict, 0, "the box stopped before the command began; try again"};
    const uint64_t id = next_run_number();
    cgroups::Leaf leaf = TRY(life_->group.make_leaf("r-" + std::to_string(id), uid_base()));
    auto run = std::make_shared<ActiveRun>(executor_, std::move(leaf));
    runs_.emplace(id, run);
    return std::pair{id, run};
}

void Box::forget_run(uint64_t id) {
    const auto found = runs_.find(id);
    if (found == runs_.end()) return;
    if (life_) {
        if (!found->second->leaf.remove().ok()) lingering_.insert(found->second->leaf.name());
        if (!lingering_.empty()) sweep_leaves();
    }
    runs_.erase(found);
}

void Box::sweep_leaves() {
    std::erase_if(lingering_, [this](const std::string& name) {
        auto leaf = life_->group.reopen_leaf(name);
        return !leaf.ok() || leaf->remove().ok();
    });
}

int64_t unix_now() {
    return std::chrono::duration_cast<std::chrono::seconds>(std::chrono::system_clock::now().time_since_epoch())
        .count();
}

Box::Use::Use(std::shared_ptr<Box> box) : box_(std::move(box)) {
    ++box_->uses_;
    box_->touch();
}

Box::Use::~Use() {
    --box_->uses_;
    box_->touch();
}

void Box::touch() {
    record.last_activity_at = unix_now();
    last_active_ = Moment::clock::now();
}

int64_t Box::cpu_ns() const {
    if (!life_) return record.past_cpu_ns;
    const auto stats = life_->group.stats();
    return record.past_cpu_ns + (stats.ok() ? static_cast<int64_t>(stats.value().cpu_ns) : 0);
}

}  // namespace hutch::daemon
