#include "daemon/box/stock.h"

#include <algorithm>
#include <chrono>

#include "base/ids.h"
#include "daemon/box/layers.h"
#include "runtime/launcher.h"

namespace hutch::daemon {
namespace {

constexpr std::chrono::minutes kWorthKeeping{10};
constexpr size_t kMostKinds = 64;  // that are remembered
constexpr size_t kFewest = 4;      // of a kind that is asked for again and again

BoxRecord record_of(const Stock::Kind& kind, std::string id, int64_t uid_slot) {
    BoxRecord record;
    record.id = std::move(id);
    record.customer = kind.customer;
    record.layers = kind.layers;
    record.size = kind.size;
    record.uid_slot = uid_slot;
    return record;
}

}  // namespace

Stock::Stock(const asio::any_io_executor& executor, Mechanisms& mechanisms, LetGo let_go)
    : mechanisms_(mechanisms), let_go_(std::move(let_go)), changed_(executor), over_(executor) {}

size_t Stock::count() const {
    size_t sum = making_ ? 1 : 0;
    for (const auto& [kind, shelf] : shelves_) sum += shelf.made.size();
    return sum;
}

std::vector<std::string> Stock::ids() const {
    std::vector<std::string> ids;
    for (const auto& [kind, shelf] : shelves_) {
        for (const Made& made : shelf.made) ids.push_back(made.record.id);
    }
    return ids;
}

size_t Stock::wanted() const {
    size_t sum = 0;
    for (const auto& [kind, shelf] : shelves_) sum += shelf.filling ? shelf.wanted : shelf.made.size();
    return std::min(sum, most_);
}

std::optional<Stock::Made> Stock::take(const Kind& kind) {
    if (most_ == 0 || closed_) return std::nullopt;
    const auto [found, first] = shelves_.try_emplace(kind);
    Shelf& shelf = found->second;
    shelf.asked = Moment::clock::now();
    while (!shelf.made.empty()) {
        Made made = std::move(shelf.made.front());
        shelf.made.pop_front();
        if (!runtime::has_ended(made.life.init.pidfd.get())) return made;
        give_up(std::move(made));  // the kernel or an operator has killed it
    }
    if (!first) shelf.wanted = std::clamp(shelf.wanted * 2, std::min(kFewest, most_), most_);
    return std::nullopt;
}

void Stock::give_up(Made made) {
    ending_.push_back(std::move(made));
    changed_.cancel();
}

void Stock::empty(Shelves::iterator shelf) {
    for (Made& made : shelf->second.made) ending_.push_back(std::move(made));
    shelves_.erase(shelf);
    changed_.cancel();
}

bool Stock::clear(const std::string& layer) {
    for (auto shelf = shelves_.begin(); shelf != shelves_.end();) {
        const auto here = shelf++;
        if (contains(here->first.layers, layer)) empty(here);
    }
    const auto stands = [&layer](const Made& made) { return contains(made.record.layers, layer); };
    return (making_ && contains(making_->layers, layer)) || std::any_of(ending_.begin(), ending_.end(), stands);
}

// Of those with too few the one that was asked for last.
Stock::Shelves::iterator Stock::most_wanting() {
    auto best = shelves_.end();
    for (auto at = shelves_.begin(); at != shelves_.end(); ++at) {
        Shelf& shelf = at->second;
        if (shelf.made.size() <= shelf.wanted / 2) shelf.filling = true;
        if (shelf.made.size() >= shelf.wanted) shelf.filling = false;
        if (!shelf.filling) continue;
        if (best == shelves_.end() || shelf.asked > best->second.asked) best = at;
    }
    return best;
}

// Takes from the kind that was asked for longest ago, if that is another and longer ago.
bool Stock::make_room(const Kind& kind) {
    if (count() < most_) return true;
    auto oldest = shelves_.end();
    for (auto shelf = shelves_.begin(); shelf != shelves_.end(); ++shelf) {
        if (shelf->second.made.empty()) continue;
        if (oldest == shelves_.end() || shelf->second.asked < oldest->second.asked) oldest = shelf;
    }
    if (oldest == shelves_.end() || oldest->first == kind) return false;
    Shelf& shelf = oldest->second;
    if (shelf.asked >= shelves_[kind].asked) return false;
    give_up(std::move(shelf.made.back()));
    shelf.made.pop_back();
    shelf.wanted = shelf.made.size();
    return true;
}

// Answers when the next will be stale.
std::optional<Moment> Stock::drop_stale() {
    std::optional<Moment> next;
    auto oldest = shelves_.end();
    for (auto shelf = shelves_.begin(); shelf != shelves_.end();) {
        const auto here = shelf++;
        const Moment stale = here->second.asked + kWorthKeeping;
        if (stale <= Moment::clock::now()) {
            empty(here);
            continue;
        }
        next = std::min(next.value_or(stale), stale);
        if (oldest == shelves_.end() || here->second.asked < oldest->second.asked) oldest = here;
    }
    if (shelves_.size() > kMostKinds) empty(oldest);
    return next;
}

Task<> Stock::make(Kind kind) {
    const auto uid_slot = mechanisms_.uid_slots.take();
    if (!uid_slot.ok()) {
        shelves_[kind].wanted = shelves_[kind].made.size();
        co_return;
    }
    BoxRecord record = record_of(kind, random_id(), uid_slot.value());
    making_ = kind;
    auto life = co_await maker_.run([this, &record] {
        BuildTimes times;
        return prepare_life(mechanisms_, record, Upper::kFresh, times);
    });
    making_.reset();
    const auto shelf = shelves_.find(kind);
    if (!life.ok()) {
        mechanisms_.uid_slots.release(record.uid_slot);
        if (shelf == shelves_.end()) {
            let_go_(kind.layers);
        } else {
            // No try by a clock: whoever creates one next meets the same failure, and reports it; or is missing one.
            shelf->second.wanted = shelf->second.made.size();
        }
        co_return;
    }
    Made made{std::move(record), std::move(life).value()};
    if (shelf == shelves_.end()) {
        give_up(std::move(made));
    } else {
        shelf->second.made.push_back(std::move(made));
    }
}

// It is among those until it is over: what it stands on is in use.
Task<> Stock::end_first() {
    Made& made = ending_.front();
    (void)co_await maker_.run([this, &made] {
        drop_prepared(mechanisms_, made.record, std::move(made.life));
        mechanisms_.reaper->nudge();
        return true;
    });
    const BoxRecord gone = std::move(made.record);
    ending_.pop_front();
    mechanisms_.uid_slots.release(gone.uid_slot);
    let_go_(gone.layers);
}

Task<> Stock::wait(std::optional<Moment> until) {
    changed_.expires_at(until.value_or(Moment::max()));
    co_await changed_.async_wait(kAwait);
}

Task<> Stock::keep(size_t most) {
    if (closed_) co_return;
    most_ = most;
    making_.reset();
    keeping_ = true;
    for (;;) {
        const auto next = closed_ ? std::nullopt : drop_stale();
        if (!ending_.empty()) {
            co_await end_first();
            continue;
        }
        if (closed_) break;
        const auto shelf = most_wanting();
        if (shelf != shelves_.end() && make_room(shelf->first)) {
            co_await make(shelf->first);
        } else {
            co_await wait(next);
        }
    }
    over_.set();
}

Task<> Stock::close() {
    closed_ = true;
    while (!shelves_.empty()) empty(shelves_.begin());
    changed_.cancel();
    if (keeping_) co_await over_.wait();
}

}  // namespace hutch::daemon
