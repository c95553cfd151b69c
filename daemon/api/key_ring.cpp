#include "daemon/api/key_ring.h"

#include <algorithm>

#include "daemon/clock.h"
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
    co_return co_await records_->durably([&] { return records_->drop_key(customer); },
                                         [&] { std::erase_if(keys_, is_of(customer)); });
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
