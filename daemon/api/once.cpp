#include "daemon/api/once.h"

#include <algorithm>

#include "base/ids.h"
#include "daemon/clock.h"
#include "daemon/log.h"
#include "daemon/secret.h"
#include "daemon/spawn.h"

namespace hutch::daemon {
namespace {

constexpr size_t kLongestKey = 255;
constexpr int64_t kSweptAtOnce = 100;  // keys; each call adds one

// Of a call without one: no key holds a blank.
std::string nameless_key() {
    constexpr size_t kLength = 20;
    return ' ' + random_id(kLength);
}
bool is_nameless(const std::string& key) {
    return key.starts_with(' ');
}

Error conflict(const std::string& key, const std::string& why) {
    return {ErrorKind::kConflict, 0, "Idempotency-Key: " + key + " " + why};
}

Error used_otherwise(const std::string& key) {
    return conflict(key, "came with another call or another body before; use a new key for a new call");
}

}  // namespace

Result<std::string> idempotency_key(const Request& request) {
    if (!request.headers.contains("idempotency-key")) return std::string();
    const std::string key = request.header("idempotency-key");
    const auto plain = [](char c) { return c > ' ' && c < 0x7f; };
    if (key.empty() || key.size() > kLongestKey || !std::all_of(key.begin(), key.end(), plain)) {
        return invalid("Idempotency-Key: must be 1 to 255 characters of ASCII without blanks");
    }
    return key;
}

struct Once::State {
    explicit State(Manager& its_boxes) : boxes(its_boxes), records(its_boxes.records()) {}

    struct UnderWay {
        std::string call;
        std::shared_ptr<Event> ended;
    };
    using Key = std::pair<std::string, std::string>;  ///< customer, key

    [[nodiscard]] int64_t keys_of(const std::string& customer) const {
        const auto found = keys.find(customer);
        return found == keys.end() ? 0 : found->second;
    }
    void count(const std::string& customer, int64_t more) {
        int64_t& now = keys[customer];
        now += more;
        if (now <= 0) keys.erase(customer);
    }
    Result<void> drop(const Key& key) {
        if (TRY(records.drop_creation(key.first, key.second))) count(key.first, -1);
        return {};
    }
    Result<void> sweep() {
        const auto old = TRY(records.creations_before(unix_now() - kSeconds + 1, kSweptAtOnce));
        for (const CreationRecord& record : old) {
            if (!under_way.contains({record.customer, record.key})) TRY(drop({record.customer, record.key}));
        }
        return {};
    }
    Result<std::vector<std::shared_ptr<Box>>> made_by(const CreationRecord& record);
    static void unmake(const std::shared_ptr<State>& self, const CreationRecord& record);
    static Task<> unmake_one(std::shared_ptr<State> self, std::string id);
    void forget(const CreationRecord& record);

    Manager& boxes;
    Records& records;
    std::map<Key, UnderWay> under_way;
    std::map<std::string, int64_t> keys;  ///< on record, by customer
};

Result<std::vector<std::shared_ptr<Box>>> Once::State::made_by(const CreationRecord& record) {
    std::vector<std::shared_ptr<Box>> made;
    for (const std::string& id : record.boxes) {
        auto box = boxes.find_of_any(id);
        if (!box.ok()) {
            return conflict(record.key, "made box " + id + ", which was deleted; use a new key to make another");
        }
        made.push_back(std::move(box).value());
    }
    return made;
}

Task<> Once::State::unmake_one(std::shared_ptr<State> self, std::string id) {
    const auto box = self->boxes.find_of_any(id);
    if (!box.ok()) co_return;
    log_warning("box {}: the last daemon ended before anybody was told of it; removed", id);
    (void)co_await self->boxes.remove(box.value());
}

// All of them before the first call comes, which then finds none. The record last: while it is there, the next daemon
// finds them too.
void Once::State::unmake(const std::shared_ptr<State>& self, const CreationRecord& record) {
    const auto left = std::make_shared<size_t>(record.boxes.size());
    const auto one_less = [self, record, left](const Result<void>&) {
        if (--*left == 0) self->forget(record);
    };
    for (const std::string& id : record.boxes) {
        spawn(self->boxes.executor(), "a box of a call that the last daemon did not finish", unmake_one(self, id),
              one_less);
    }
}

// Somebody may have used the key meanwhile.
void Once::State::forget(const CreationRecord& record) {
    const auto now = records.creation(record.customer, record.key);
    if (now.ok() && now.value() && now.value()->boxes == record.boxes) (void)drop({record.customer, record.key});
}

Result<Once> Once::load(Manager& boxes) {
    auto state = std::make_shared<State>(boxes);
    state->keys = TRY(state->records.creation_counts());
    for (const CreationRecord& record : TRY(state->records.unfinished_creations())) State::unmake(state, record);
    return Once(std::move(state));
}

Task<Result<Once::Attempt>> Once::attempt(Exchange& exchange, std::string_view body) {
    const Request& request = exchange.request();
    CO_TRY_LET(const std::string key, idempotency_key(request));
    if (key.empty()) {
        co_return Attempt(state_, {.customer = request.caller.customer, .key = "", .created_at = unix_now()});
    }
    const State::Key whose(request.caller.customer, key);
    const std::string call = secret_hash(request.method + ' ' + request.path + '\n' + std::string(body));
    for (;;) {
        const auto other = state_->under_way.find(whose);
        if (other == state_->under_way.end()) break;
        if (other->second.call != call) co_return used_otherwise(key);
        const auto ended = other->second.ended;
        co_await ended->wait();
    }
    CO_TRY(state_->sweep());
    CO_TRY_LET(const auto record, state_->records.creation(whose.first, key));
    if (record && record->finished && record->created_at > unix_now() - kSeconds) {
        if (record->call != call) co_return used_otherwise(key);
        Attempt again;
        CO_TRY_LET(again.made, state_->made_by(*record));
        co_return again;
    }
    if (record) CO_TRY(state_->drop(whose));
    if (state_->keys_of(whose.first) >= kMostKeys) {
        co_return Error{ErrorKind::kLimit, 0,
                        "Idempotency-Key: " + std::to_string(kMostKeys) +
                            " of this customer in the last 24 hours, the most there may be; leave it out"};
    }
    co_return Attempt(state_, {.customer = whose.first, .key = key, .call = call, .created_at = unix_now()});
}

Once::Attempt::Attempt(std::shared_ptr<State> state, CreationRecord record)
    : state_(std::move(state)), record_(std::move(record)) {
    if (record_.key.empty()) return;
    state_->under_way[{record_.customer, record_.key}] = {record_.call,
                                                          std::make_shared<Event>(state_->boxes.executor())};
}

Once::Attempt::Attempt(Attempt&& other) noexcept
    : made(std::move(other.made)), state_(std::move(other.state_)), record_(std::move(other.record_)) {}

Once::Attempt::~Attempt() {
    if (!state_) return;
    const State::Key whose(record_.customer, record_.key);
    if (!record_.finished && !record_.boxes.empty()) {
        const auto dropped = state_->drop(whose);
        if (!dropped.ok()) log_warning("an Idempotency-Key stays as it is: {}", dropped.error().message);
    }
    const auto own = state_->under_way.extract(whose);
    if (!own.empty()) own.mapped().ended->set();
}

void Once::Attempt::follow(std::span<CreateBox> commands, bool more) {
    if (record_.key.empty() && !more) return;
    if (record_.key.empty()) record_.key = nameless_key();
    for (CreateBox& command : commands) {
        command.on_id = [this](const std::string& id) { return write_down(id); };
    }
}

Result<void> Once::Attempt::write_down(const std::string& id) {
    record_.boxes.push_back(id);
    TRY(state_->records.put_creation(record_));
    if (!std::exchange(counted_, true)) state_->count(record_.customer, 1);
    return {};
}

Task<Result<void>> Once::Attempt::keep(std::vector<std::shared_ptr<Box>> boxes) {
    if (record_.boxes.empty()) co_return Result<void>();
    const bool nameless = is_nameless(record_.key);
    record_.finished = true;
    record_.boxes.clear();  // in their order, whichever was made first
    for (const auto& box : boxes) record_.boxes.push_back(box->record.id);
    const auto kept = nameless ? state_->drop({record_.customer, record_.key}) : state_->records.put_creation(record_);
    if (kept.ok()) co_return kept;
    record_.finished = false;
    for (const auto& box : boxes) (void)co_await state_->boxes.remove(box);
    co_return kept;
}

}  // namespace hutch::daemon
