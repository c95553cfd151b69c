#include "daemon/turns.h"

#include <algorithm>

#include "base/undo.h"
#include "daemon/store/records.h"

namespace hutch::daemon {

bool Turns::State::may_go(const std::string& customer, const Lane& lane) const {
    return taken < total && (lane.taken < each || customer == kLocalCustomer);
}

// From the customer after the last one on, round and round, until there is none that waits and may go.
void Turns::State::serve() {
    auto lane = lanes.upper_bound(last);
    for (size_t passed = 0; passed < lanes.size() && taken < total; ++lane) {
        if (lane == lanes.end()) lane = lanes.begin();
        auto& [customer, its] = *lane;
        if (its.waiting.empty() || !may_go(customer, its)) {
            ++passed;
            continue;
        }
        passed = 0;
        last = customer;
        ++taken;
        ++its.taken;
        its.waiting.front()->granted.set();
        its.waiting.pop_front();
    }
}

void Turns::State::give_back(const std::string& customer) {
    const auto lane = lanes.find(customer);
    --taken;
    if (--lane->second.taken == 0 && lane->second.waiting.empty()) lanes.erase(lane);
    serve();
}

void Turns::State::leave(const std::string& customer, const std::shared_ptr<Waiter>& waiter) {
    if (waiter->granted.is_set()) return give_back(customer);
    const auto lane = lanes.find(customer);
    auto& waiting = lane->second.waiting;
    waiting.erase(std::find(waiting.begin(), waiting.end(), waiter));
    if (lane->second.taken == 0 && waiting.empty()) lanes.erase(lane);
}

Task<Turns::Turn> Turns::take(std::string customer) {
    const auto state = state_;
    Lane& lane = state->lanes[customer];
    if (lane.waiting.empty() && state->may_go(customer, lane)) {
        ++state->taken;
        ++lane.taken;
        state->last = customer;
        co_return Turn(state, std::move(customer));
    }
    const auto waiter = std::make_shared<Waiter>(co_await asio::this_coro::executor);
    state->lanes[customer].waiting.push_back(waiter);
    Undo leave([&] { state->leave(customer, waiter); });
    while (!waiter->granted.is_set()) co_await waiter->granted.wait();
    leave.commit();
    co_return Turn(state, std::move(customer));
}

}  // namespace hutch::daemon
