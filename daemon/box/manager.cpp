#include "daemon/box/manager.h"

#include <fcntl.h>

#include <algorithm>
#include <chrono>

#include "base/ids.h"
#include "base/undo.h"
#include "daemon/box/network.h"
#include "daemon/box/sleep.h"
#include "daemon/clock.h"
#include "daemon/host_room.h"
#include "daemon/lap.h"
#include "daemon/log.h"
#include "daemon/spawn.h"

namespace hutch::daemon {

namespace {

// What is told of an action that was carried out, or not.
std::optional<EventType> event_of(Action action, const Result<void>& result) {
    switch (action) {
        case Action::kFreeze:
            return result.ok() ? std::optional(EventType::kBoxPaused) : std::nullopt;
        case Action::kThaw:
            return result.ok() ? std::optional(EventType::kBoxResumed) : std::nullopt;
        case Action::kStart:
            return result.ok() ? EventType::kBoxStarted : EventType::kBoxFailed;
        case Action::kStop:
            return EventType::kBoxStopped;
        case Action::kNothing:
        case Action::kRemove:
            break;
    }
    return std::nullopt;
}

const char* reason_of(Trigger trigger) {
    switch (trigger) {
        case Trigger::kWork:
            return "work arrived";
        case Trigger::kIdle:
            return "nobody needed it";
        case Trigger::kInitGone:
            return "its init ended";
        case Trigger::kResume:
        case Trigger::kPause:
        case Trigger::kDelete:
            break;
    }
    return "";
}

}  // namespace

Manager::Manager(asio::any_io_executor executor, Mechanisms& mechanisms, Records& records, Workers& workers,
                 Layers& layers, Meter& meter, BoxListener& listener, EventLog& events, CustomerLimits& limits)
    : executor_(std::move(executor)),
      mechanisms_(mechanisms),
      records_(records),
      workers_(workers),
      layers_(layers),
      meter_(meter),
      listener_(listener),
      events_(events),
      limits_(limits),
      noted_(executor_),
      awake_(executor_),
      work_(executor_),
      alarm_(executor_, [this](Moment now) { return look_at_clock(now); }),
      stock_(executor_, mechanisms_, [this](const auto& unneeded) { layers_.drop_unused(unneeded); }) {
    limits_.on_change([this] { awake_.notify(); });
    limits_.add_measure(Resource::kDisk, [this](const std::string& customer) {
        int64_t sum = 0;
        for (const auto& [id, box] : boxes_) {
            if (box->record.customer == customer) sum += box->upper_bytes + box->layer_bytes;
        }
        return sum;
    });
    layers_.set_boxes([this](const std::string& layer) { return uses_layer(layer); },
                      [this](const std::string& layer) { return count_on_layer(layer); });
    layers_.set_stock([this](const std::string& layer) { return stock_.clear(layer); });
}

Result<void> Manager::save(Box& box) {
    box.record.updated_at = unix_now();
    return records_.put_box(box.record);
}

void Manager::enlist(const std::shared_ptr<Box>& box) {
    boxes_[box->record.id] = box;
    if (!box->record.name.empty()) names_[{box->record.customer, box->record.name}] = box->record.id;
}

void Manager::strike(const Box& box) {
    boxes_.erase(box.record.id);
    if (!box.record.name.empty()) names_.erase({box.record.customer, box.record.name});
    if (deleted_) deleted_(box);
    if (registry_.release && !box.record.internal) registry_.release(box.record);
    noted_.notify();
}

void Manager::note(const Box& box, const std::string& level, const std::string& message, const char* source) {
    const auto noted = records_.add_log(box.record.id, {unix_now(), level, source, message});
    if (!noted.ok()) log_warning("box {}: cannot keep a log line: {}", box.record.id, noted.error().message);
    noted_.notify();
}

static Error no_box(const std::string& id_or_name) {
    return {ErrorKind::kNotFound, 0, "no box has the id or name \"" + id_or_name + "\""};
}

Result<std::shared_ptr<Box>> Manager::find(const std::string& customer, const std::string& id_or_name) {
    const auto named = names_.find({customer, id_or_name});
    auto box = find_of_any(named == names_.end() ? id_or_name : named->second);
    if (box.ok() && box.value()->record.customer == customer) return box;
    return no_box(id_or_name);
}

Result<std::shared_ptr<Box>> Manager::find_of_any(const std::string& id) {
    const auto found = boxes_.find(id);
    if (found == boxes_.end() || found->second->record.internal) return no_box(id);
    return found->second;
}

std::string Manager::owner_of(netns::Ipv4 address) const {
    const auto owner = std::find_if(boxes_.begin(), boxes_.end(), [address](const auto& entry) {
        const Box& box = *entry.second;
        return box.holds_address && !box.record.internal && box.record.address == address.value;
    });
    return owner == boxes_.end() ? "" : owner->first;
}

Result<void> Manager::change(Box& box, const Edit& edit) {
    BoxRecord old = box.record;
    edit(box.record);
    auto saved = save(box);
    if (!saved.ok()) box.record = std::move(old);
    return saved;
}

Task<Result<void>> Manager::intend(std::shared_ptr<Box> box, Edit edit, Edit back) {
    edit(box->record);
    const auto written = records_.put_box(box->record);
    if (!written.ok()) {
        back(box->record);
        co_return written;
    }
    const auto safe = co_await records_.synced();
    if (!safe.ok()) take_back(box->record, edit, back);
    co_return safe;
}

// Of a row that was written, and that the disk may not have.
void Manager::take_back(BoxRecord& record, const Edit& edit, const Edit& back) {
    back(record);
    if (!records_.put_box(record).ok()) edit(record);
}

// The record first, and safe from a power cut: what was closed must not be open again because the host went down. With
// a disk that fails it is closed all the same.
Task<Result<void>> Manager::change_network(std::shared_ptr<Box> box, std::function<Result<void>()> make,
                                           std::function<void()> take_back) {
    CO_TRY_LET(auto claim, co_await this->claim(box));
    const netns::Policy old = firewall_policy(box->record);
    bool recorded = false;
    std::function<void()> follow = [&] { recorded = true; };
    const Result<void> safe = co_await records_.durably(std::move(make), std::move(follow));
    Result<void> done = recorded ? Result<void>() : safe;
    const netns::Policy policy = firewall_policy(box->record);
    if (done.ok() && box->alive() && policy != old) {
        const netns::Ipv4 address = box->life().address;  // the life may end meanwhile
        const UniqueFd init(fcntl(box->life().pidfd.get(), F_DUPFD_CLOEXEC, 0));
        done = co_await workers_.run([&] { return set_policy(mechanisms_, init.get(), address, policy); });
    }
    if (!done.ok()) take_back();
    release(box, std::move(claim), false);
    co_return done.ok() ? safe : done;
}

Task<Result<void>> Manager::set_network(std::shared_ptr<Box> box, NetworkPolicy policy) {
    const auto old = std::make_shared<NetworkPolicy>();
    std::function<Result<void>()> make = [this, box, policy, old] {
        *old = std::exchange(box->record.network, policy);
        return save(*box);
    };
    std::function<void()> take_back = [this, box, old] {
        box->record.network = *old;
        (void)save(*box);
    };
    co_return co_await change_network(box, std::move(make), std::move(take_back));
}

Task<Result<void>> Manager::set_attached(std::shared_ptr<Box> box, AttachedRecord wanted, AttachedRecord old) {
    std::function<Result<void>()> make = [this, box, wanted] {
        box->record.attaches = wanted.active;
        return records_.put_attached(wanted);
    };
    std::function<void()> take_back = [this, box, old] {
        box->record.attaches = old.active;
        (void)records_.put_attached(old);
    };
    co_return co_await change_network(box, std::move(make), std::move(take_back));
}

std::vector<std::shared_ptr<Box>> Manager::list() {
    std::vector<std::shared_ptr<Box>> found;
    for (const auto& [id, box] : boxes_) {
        if (!box->record.internal) found.push_back(box);
    }
    std::stable_sort(found.begin(), found.end(),
                     [](const auto& a, const auto& b) { return a->record.created_at < b->record.created_at; });
    return found;
}

std::vector<std::shared_ptr<Box>> Manager::on_layer(const std::string& layer) {
    std::vector<std::shared_ptr<Box>> found;
    for (const auto& [id, box] : boxes_) {
        if (contains(box->record.layers, layer)) found.push_back(box);
    }
    return found;
}

bool Manager::uses_layer(const std::string& layer) const {
    const auto uses = [&layer](const auto& entry) {
        const BoxRecord& record = entry.second->record;
        return contains(record.layers, layer) || contains(record.mounted, layer);
    };
    return std::any_of(boxes_.begin(), boxes_.end(), uses) || std::any_of(leaving_.begin(), leaving_.end(), uses);
}

size_t Manager::count_on_layer(const std::string& layer) const {
    return static_cast<size_t>(std::count_if(boxes_.begin(), boxes_.end(), [&layer](const auto& entry) {
        return contains(entry.second->record.layers, layer);
    }));
}

void Manager::weigh_those_on(const std::vector<std::string>& layers) {
    for (const auto& [id, box] : boxes_) {
        const auto held = [&layers](const std::string& layer) { return contains(layers, layer); };
        if (std::any_of(box->record.layers.begin(), box->record.layers.end(), held)) meter_.weigh(box);
    }
}

Result<Gate::Pass> Manager::enter() {
    if (work_.closed()) return Error{ErrorKind::kLimit, 0, "hutchd is shutting down; try again in a moment"};
    return work_.enter();
}

Result<std::shared_ptr<Admission>> Manager::admit(const CreateBox& command) {
    const auto most = static_cast<int64_t>(mechanisms_.config.max_boxes);
    if (limits_.used_by_all(Resource::kBoxes) >= most) {
        return Error{
            ErrorKind::kLimit, 0,
            "this host is set to hold at most " + std::to_string(most) + " boxes; delete some, or raise max_boxes"};
    }
    if (command.nesting) TRY(limits_.check_nesting(command.customer));
    const HostRoom room = TRY(host_room());
    TRY(check_room(room));
    TRY(limits_.check(command.customer, Resource::kDisk, 1));
    auto admission = std::make_shared<Admission>();
    admission->place = TRY(limits_.take(command.customer, Resource::kBoxes));
    const auto memory = static_cast<int64_t>(find_size(command.size)->memory_bytes);
    admission->memory = TRY(limits_.take(command.customer, Resource::kMemory, memory));
    awake_.notify();
    return admission;
}

Result<void> Manager::admit(std::vector<CreateBox>& commands) {
    std::vector<std::shared_ptr<Admission>> admitted;  // those so far are given back if one is refused
    for (const CreateBox& command : commands) admitted.push_back(TRY(admit(command)));
    for (size_t i = 0; i < commands.size(); ++i) commands[i].admission = std::move(admitted[i]);
    return {};
}

// For who wakes or starts it; one that is awake has it.
Result<void> Manager::take_memory(Box& box) {
    const Size* size = find_size(box.record.size);
    if (box.memory || size == nullptr) return {};
    box.memory = TRY(limits_.take(box.record.customer, Resource::kMemory, static_cast<int64_t>(size->memory_bytes)));
    awake_.notify();
    return {};
}

Task<> Manager::drain() {
    co_await work_.close();
    co_await stock_.close();
}

std::optional<Stock::Made> Manager::take_ready(const CreateBox& command) {
    if (command.internal || command.nesting) return std::nullopt;
    return stock_.take({command.customer, command.image.layers, command.size});
}

Task<Result<std::shared_ptr<Box>>> Manager::create(CreateBox command) {
    CO_TRY_LET(const auto pass, enter());
    if (!command.name.empty() &&
        (names_.contains({command.customer, command.name}) || find(command.customer, command.name).ok())) {
        co_return Error{ErrorKind::kConflict, 0, "name: a box called \"" + command.name + "\" exists; choose another"};
    }
    if (!command.admission) {
        CO_TRY_LET(command.admission, admit(command));
    }
    auto ahead = take_ready(command);
    const Undo replenish([this] { stock_.replenish(); });
    BoxRecord record{.id = ahead ? ahead->record.id : random_id(),
                     .customer = command.customer,
                     .name = command.name,
                     .internal = command.internal,
                     .image = command.image.name,
                     .layers = command.image.layers,
                     .size = command.size,
                     .labels = command.labels,
                     .env = command.image.env};
    for (auto& variable : command.env) record.env.push_back(std::move(variable));
    record.network = command.network;
    record.clone_repo = command.clone_repo;
    record.git_token = command.git_token;
    record.nesting = command.nesting;
    record.keep_alive = command.keep_alive;
    record.init_command = command.init_command;
    record.idle_timeout = command.idle_timeout;
    if (ahead) {
        record.uid_slot = ahead->record.uid_slot;
    } else {
        CO_TRY_LET(record.uid_slot, mechanisms_.uid_slots.take());
    }
    record.created_at = record.last_activity_at = unix_now();
    if (command.ttl > 0) record.expires_at = record.created_at + command.ttl;
    auto box = std::make_shared<Box>(executor_, std::move(record), listener_);
    if (command.ttl > 0) box->expires_at = Moment::clock::now() + std::chrono::seconds(command.ttl);
    box->place = std::move(command.admission->place);
    box->memory = std::move(command.admission->memory);
    Lap lap;
    const bool shared = registry_.claim && !box->record.internal;
    Result<void> intent;
    if (shared) intent = co_await registry_.claim(box->record);
    if (intent.ok() && command.on_id) intent = command.on_id(box->record.id);
    if (intent.ok()) intent = save(*box);  // before the kernel is touched
    if (!intent.ok()) {
        if (shared) registry_.release(box->record);
        if (ahead) {
            stock_.give_up(std::move(*ahead));
        } else {
            mechanisms_.uid_slots.release(box->record.uid_slot);
        }
        co_return intent.error();
    }
    enlist(box);
    int64_t recording = 0;
    lap.to(recording);

    Result<void> made;
    {
        const Box::Change done(box);  // whoever wakes or deletes it now waits for the outcome
        std::optional<Prepared> life;
        if (ahead) life.emplace(std::move(ahead->life));
        made = co_await caught(start(box, Upper::kFresh, std::move(life)));
        box->record.phase = Phase::kReady;
        Lap commit;
        if (made.ok()) made = save(*box);
        commit.to(recording);
        box->times.record = recording;
    }
    if (!made.ok()) {
        events_.publish(EventType::kBoxFailed, box->record, made.error().message);
        (void)co_await remove(box);
        co_return std::move(made).error().in("creating box " + box->record.id);
    }
    note(*box, "info", "created from image " + box->record.image);
    events_.publish(EventType::kBoxCreated, box->record);
    box->touch();
    watch(*box);
    co_return box;
}

// A box of which another daemon has the ids (two of them had no common list, once) is given others: between two lives
// nothing depends on them.
Result<void> Manager::own_ids(Box& box) {
    if (mechanisms_.uid_slots.owns(box.record.uid_slot)) return {};
    box.record.uid_slot = TRY(mechanisms_.uid_slots.take());
    log_info("box {}: it has user ids of its own from now on", box.record.id);
    return save(box);
}

// What was made ahead may have ended meanwhile; what else is wrong, a life that is made now meets as well.
Task<Result<void>> Manager::start(std::shared_ptr<Box> box, Upper upper, std::optional<Prepared> ahead) {
    CO_TRY(own_ids(*box));
    BuildTimes times;  // the worker's own: anybody may look at the box's meanwhile
    const uint64_t most_disk = most_disk_of(*box);
    auto life = co_await workers_.run_for(box->record.customer, [&] {
        if (ahead) {
            auto finished = finish_life(mechanisms_, box->record, *std::move(ahead), most_disk, times);
            if (finished.ok()) return finished;
        }
        return build_life(mechanisms_, box->record, upper, most_disk, times);
    });
    box->disk_limit = 0;
    box->times = times;
    if (!life.ok()) {
        box->failure = life.error();
        co_return std::move(life).error();
    }
    const auto living = listen_to(box, life.value());
    if (living.ok() && started_) started_(box);
    if (living.ok()) co_return Result<void>();
    box->failure = living.error();
    const netns::Ipv4 address = life->address;
    const auto ended = co_await bury(box, std::move(life).value());
    if (ended.ok() && mechanisms_.policies->lift(address).ok()) mechanisms_.slots->release(address);
    co_return living.error();
}

Result<void> Manager::listen_to(const std::shared_ptr<Box>& box, Life& life) {
    return box->live(life, [this, weak = std::weak_ptr(box)] {
        if (const auto ended = weak.lock()) on_init_gone(ended);
    });
}

// The init of a box ends by itself only if the kernel kills it (out of memory) or an operator does. The files stay.
void Manager::on_init_gone(const std::shared_ptr<Box>& box) {
    constexpr std::chrono::seconds kWorthAnother{60};  // else one that kills itself at its start would do so for ever
    const bool again = box->record.keep_alive && Moment::clock::now() - box->life().since > kWorthAnother;
    log_warning("box {}: its init ended", box->record.id);
    note(*box, "error",
         again ? "its init ended; it is started afresh" : "its init ended; the box starts afresh when work arrives");
    const auto bury_it = [this, box, again, start = box->life().start]() -> Task<> {
        co_await box->unchanged();
        if (!box->alive() || box->life().start != start) co_return;  // somebody has given it another meanwhile
        (void)co_await stop(box);
        if (again) co_await start_kept(box);
    };
    spawn_lasting(executor_, "the end of the init of box " + box->record.id, bury_it);
}

// A box that is to be always awake, and has no init.
Task<> Manager::start_kept(std::shared_ptr<Box> box) {
    const auto started = co_await resume(box);
    if (!started.ok()) log_warning("{}", started.error().message);
}

// The one place where a box's life is changed, but for its first start and its end: what is done is action_for()'s to
// say, once nobody else is at it.
Task<Result<void>> Manager::apply(Trigger trigger, std::shared_ptr<Box> box) {
    CO_TRY_LET(const auto pass, enter());
    co_await box->unchanged();
    auto action = action_for(trigger, box->situation());
    if (!action.ok()) co_return std::move(action).error().in("box " + box->record.id);
    if (trigger == Trigger::kWork || trigger == Trigger::kResume) box->touch();
    if (action.value() == Action::kNothing) co_return Result<void>();
    if (action.value() == Action::kThaw || action.value() == Action::kStart) CO_TRY(take_memory(*box));
    const Box::Change done(box);
    auto result = co_await carry_out(action.value(), box);
    if (!box->alive() || box->sleep()) box->memory = {};
    if (const auto type = event_of(action.value(), result)) {
        events_.publish(*type, box->record, result.ok() ? reason_of(trigger) : result.error().message);
    }
    watch(*box);
    co_return result;
}

Task<Result<void>> Manager::carry_out(Action action, std::shared_ptr<Box> box) {
    switch (action) {
        case Action::kFreeze:
            co_return co_await freeze(*box, workers_);
        case Action::kThaw:
            co_return co_await thaw(*box, workers_);
        case Action::kStart:
            co_return co_await start_afresh(box);
        case Action::kStop:
            co_return co_await end(box);
        case Action::kNothing:
        case Action::kRemove:
            break;
    }
    co_return Result<void>();
}

Task<Result<void>> Manager::wake(std::shared_ptr<Box> box) {
    return apply(Trigger::kWork, std::move(box));
}

Task<Result<void>> Manager::resume(std::shared_ptr<Box> box) {
    return apply(Trigger::kResume, std::move(box));
}

Task<Result<void>> Manager::pause(std::shared_ptr<Box> box) {
    return apply(Trigger::kPause, std::move(box));
}

Task<Result<void>> Manager::stop(std::shared_ptr<Box> box) {
    return apply(Trigger::kInitGone, std::move(box));
}

Task<Result<Manager::Claim>> Manager::claim(std::shared_ptr<Box> box) {
    CO_TRY_LET(auto pass, enter());
    co_await box->unchanged();
    const auto action = action_for(Trigger::kWork, box->situation());
    if (!action.ok()) co_return Result<void>(action.error()).error().in("box " + box->record.id);
    Claim claim{std::move(pass), Box::Change(box)};
    CO_TRY(co_await settle(box));
    co_return claim;
}

void Manager::release(const std::shared_ptr<Box>& box, Claim claim, bool start) {
    if (!start && !box->old_root) {
        watch(*box);
        return;
    }
    const auto let_go = [this, box, start, held = std::make_shared<Claim>(std::move(claim))]() -> Task<> {
        UniqueFd root = std::move(box->old_root);
        (void)co_await reclaimers_.run([&root] {
            root.reset();
            return Result<void>();
        });
        Result<void> started;
        if (start) started = co_await start_afresh(box);
        if (!started.ok()) log_warning("{}", started.error().message);
        if (!box->alive()) box->memory = {};
        watch(*box);
    };
    spawn(executor_, "letting box " + box->record.id + " go", let_go);
}

Task<Result<void>> Manager::start_afresh(std::shared_ptr<Box> box) {
    CO_TRY(co_await settle(box));
    Result<void> started = co_await start(box, Upper::kExisting);
    if (started.ok()) started = save(*box);
    if (!started.ok()) co_return std::move(started).error().in("starting box " + box->record.id);
    note(*box, "info", "started afresh on its files");
    co_return Result<void>();
}

}  // namespace hutch::daemon
