#include "daemon/api/key_ring.h"

#include <algorithm>

#include "daemon/clock.h"
#include "daemon/log.h"
#include "daemon/secret.h"

namespace hutch::daemon {
namespace {

auto is_of(const std::string& customer) {
    return [&customer](const KeyRecord& key) { return key.customer == customer; };
}

}  // namespace

Result<KeyRing> KeyRing::load(Records& records) {
    KeyRing ring(records);
    ring.keys_ = TRY(records.keys());
    return ring;
}

Task<Result<std::string>> KeyRing::add(std::string customer) {
    if (customer == kLocalCustomer) co_return invalid("name: local is the host's own customer; choose another name");
    if (std::any_of(keys_.begin(), keys_.end(), is_of(customer))) {
        co_return Error{ErrorKind::kConflict, 0, "name: \"" + customer + "\" has a key; remove that first"};
    }
    std::string key = new_secret("hutch_");
    KeyRecord record{customer, secret_hash(key), unix_now()};
    if (sharers_.share) {
        CO_TRY(co_await sharers_.share(record));
        CO_TRY(keep(record));
        co_return key;
    }
    CO_TRY(records_->add_key(record));
    keys_.push_back(std::move(record));
    const auto safe = co_await records_->synced();
    if (safe.ok()) co_return key;
    if (records_->drop_key(customer).ok()) std::erase_if(keys_, is_of(customer));  // nobody has been told it
    co_return safe.error();
}

Result<void> KeyRing::check(const std::string& customer) const {
    if (std::any_of(keys_.begin(), keys_.end(), is_of(customer))) return {};
    return Error{ErrorKind::kNotFound, 0, "no API key is called \"" + customer + "\""};
}

Task<Result<void>> KeyRing::remove(std::string customer) {
    CO_TRY(check(customer));
    if (sharers_.drop) CO_TRY(co_await sharers_.drop(customer));
    if (!check(customer).ok()) co_return Result<void>();  // the sharers have said so meanwhile
    co_return co_await records_->durably([&] { return records_->drop_key(customer); },
                                         [&] { std::erase_if(keys_, is_of(customer)); });
}

// What is here is a copy, for a start while the sharers are away.
Result<void> KeyRing::keep(const KeyRecord& key) {
    const auto same = std::find_if(keys_.begin(), keys_.end(), is_of(key.customer));
    if (same != keys_.end() && same->hash == key.hash) return {};
    if (same != keys_.end()) {
        TRY(records_->drop_key(key.customer));
        keys_.erase(same);
    }
    TRY(records_->add_key(key));
    keys_.push_back(key);
    return {};
}

void KeyRing::take(std::vector<KeyRecord> keys) {
    const auto complain = [](const std::string& customer, const Result<void>& kept) {
        if (!kept.ok())
            log_warning("the API key of {} is not kept as the fleet has it: {}", customer, kept.error().message);
    };
    for (const KeyRecord& old : std::vector<KeyRecord>(keys_)) {
        if (std::any_of(keys.begin(), keys.end(), is_of(old.customer))) continue;
        complain(old.customer, records_->drop_key(old.customer));
        std::erase_if(keys_, is_of(old.customer));
    }
    for (const KeyRecord& key : keys) complain(key.customer, keep(key));
}

std::optional<std::string> KeyRing::owner_of(const std::string& key) const {
    const std::string hash = secret_hash(key);
    std::optional<std::string> owner;
    for (const KeyRecord& candidate : keys_) {
        if (is_same_secret(candidate.hash, hash)) owner = candidate.customer;
    }
    return owner;
}

}  // namespace hutch::daemon
