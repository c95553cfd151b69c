#include "daemon/agent/spend.h"

#include "daemon/clock.h"
#include "daemon/log.h"

namespace hutch::daemon {
namespace {

constexpr int64_t kDay = 24 * 3600;  // seconds

}  // namespace

Result<Spend> Spend::load(Records& records) {
    Spend spend(records);
    for (TokenRecord& record : TRY(records.tokens())) {
        const std::string customer = record.customer;
        spend.used_[customer] = std::move(record);
    }
    return spend;
}

int64_t Spend::today(const std::string& customer) const {
    const auto found = used_.find(customer);
    return found == used_.end() || found->second.day != unix_now() / kDay ? 0 : found->second.tokens;
}

void Spend::add(const std::string& customer, int64_t tokens) {
    TokenRecord& record = used_[customer];
    record = {customer, unix_now() / kDay, today(customer) + tokens};
    const auto kept = records_->put_tokens(record);
    if (!kept.ok()) log_warning("tokens of {} cannot be recorded: {}", customer, kept.error().message);
}

void SpendOfCall::take(std::string_view piece) {
    bytes_ += piece.size();
    scan_.feed(piece);
}

// Who breaks a call off before its answer tells what it took is charged by what went over the wire, which is more.
SpendOfCall::~SpendOfCall() {
    constexpr size_t kBytesOfToken = 4;
    const int64_t told = scan_.tokens();
    if (answered_) spend_.add(customer_, told > 0 ? told : static_cast<int64_t>(bytes_ / kBytesOfToken));
}

}  // namespace hutch::daemon
