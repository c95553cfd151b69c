#include "daemon/box/box.h"

#include "base/file.h"

#include "daemon/clock.h"
#include "daemon/fd_watch.h"
#include "daemon/spawn.h"
#include "daemon/uid_slots.h"

namespace hutch::daemon {

Box::Box(const asio::any_io_executor& executor, BoxRecord its_record, BoxListener& listener)
    : record(std::move(its_record)),
      booked_at(record.booked_ms == 0 ? Moment::clock::now() : moment_of(record.booked_ms)),
      upper_bytes(record.disk_bytes),
      executor_(executor),
      listener_(listener) {}

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
    const auto link = std::make_shared<const UniqueFd>(TRY(duplicate(life.link.fd())));
    const auto pidfd = std::make_shared<const UniqueFd>(TRY(duplicate(life.pidfd.get())));
    record.init_pid = life.pid;
    record.init_start = life.start;
    record.address = life.address.value;
    holds_address = true;
    failure.reset();
    life_ = std::move(life);
    current_ = std::make_shared<bool>(true);
    const auto self = shared_from_this();
    spawn_lasting(executor_, "listening to the init of box " + record.id,
                  [self, current = current_, link] { return listen(self, current, link); });
    spawn_lasting(
        executor_, "watching the init of box " + record.id,
        [self, current = current_, pidfd, ended = std::move(ended)] { return watch(self, current, pidfd, ended); });
    return {};
}

std::optional<Life> Box::stop_living(const Error& reason) {
    if (!life_) return std::nullopt;
    ending_cpu_ns = cpu_ns() - record.past.cpu_ns;
    *current_ = false;
    for (auto told = life_->link.receive(); told.ok() && told.value(); told = life_->link.receive()) {
        listener_.on_message(*this, std::move(*told.value()));  // ends that were told before it ended itself
    }
    listener_.on_end(*this, reason);
    lingering_.clear();
    return std::exchange(life_, std::nullopt);
}

Task<> Box::listen(std::shared_ptr<Box> self, std::shared_ptr<bool> current, std::shared_ptr<const UniqueFd> socket) {
    FdWatch link(self->executor_, socket->get());
    while (co_await link.readable()) {
        for (;;) {
            if (!*current) co_return;
            auto message = self->life_->link.receive();
            if (!message.ok()) co_return;  // init is gone: watch() acts on it
            if (!message.value().has_value()) break;
            self->listener_.on_message(*self, std::move(*message.value()));
        }
    }
}

Task<> Box::watch(std::shared_ptr<Box> self, std::shared_ptr<bool> current, std::shared_ptr<const UniqueFd> pidfd,
                  std::function<void()> ended) {
    FdWatch init(self->executor_, pidfd->get());
    // A wait may be over too soon: Asio hands an event that it had fetched for a descriptor to the next of its number.
    while (!runtime::has_ended(pidfd->get())) {
        if (!co_await init.readable()) co_return;
    }
    runtime::reap(pidfd->get());
    if (*current) ended();
}

Result<cgroups::Leaf> Box::make_leaf(const std::string& name) {
    if (!life_) return Error{ErrorKind::kConflict, 0, "the box stopped before the command began; try again"};
    return life_->group.make_leaf(name, uid_base());
}

Result<cgroups::Leaf> Box::reopen_leaf(const std::string& name) {
    if (!life_) return Error{ErrorKind::kConflict, 0, "the box has stopped"};
    return life_->group.reopen_leaf(name);
}

void Box::retire_leaf(cgroups::Leaf leaf) {
    if (!life_) return;  // it goes with the group
    sweep_leaves();
    if (!leaf.remove().ok()) lingering_.push_back(leaf.name());
}

Box::Work::~Work() {
    if (!box_) return;
    --box_->work_;
    box_->touch();
}

// One wait may not be enough: somebody else may have begun the next change meanwhile.
Task<> Box::unchanged() {
    const auto self = shared_from_this();
    while (changing) co_await std::shared_ptr<Event>(changing)->wait();
}

Box::Change::Change(std::shared_ptr<Box> box) : box_(std::move(box)) {
    box_->changing = std::make_shared<Event>(box_->executor());
}

Box::Change::~Change() {
    if (box_) std::exchange(box_->changing, nullptr)->set();
}

// A few at a time, in turns: however much a box has left behind, its next command takes no longer for it.
void Box::sweep_leaves() {
    constexpr size_t kAtATime = 2;
    for (size_t left = std::min(kAtATime, lingering_.size()); left > 0; --left) {
        const std::string name = std::move(lingering_.front());
        lingering_.pop_front();
        auto leaf = life_->group.reopen_leaf(name);
        if (leaf.ok() && !leaf->remove().ok()) lingering_.push_back(name);
    }
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
    if (!life_) return record.past.cpu_ns + ending_cpu_ns;
    const auto now = life_->group.cpu_ns();
    return record.past.cpu_ns + (now.ok() ? static_cast<int64_t>(now.value()) : 0);
}

int64_t Box::memory_bytes() const {
    if (!life_) return 0;
    const auto now = life_->group.stats();
    return now.ok() ? static_cast<int64_t>(now.value().memory_bytes) : 0;
}

}  // namespace hutch::daemon
