#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "daemon/store/records.h"

namespace hutch::daemon {

/// The API keys that were made here. Each is a customer. Event loop thread only.
///
/// A key is 256 bits of the kernel's random source, so its SHA-256 is all that is kept: a slow hash makes guessing what
/// people choose expensive, and this nobody can guess; it would only make every request slow.
class KeyRing {
  public:
    static Result<KeyRing> load(Records& records);

    /// Those who keep the keys of several hosts, each good at all of them: told of a key before it is handed out, and
    /// of its end before that is answered. Their errors are its own.
    struct Sharers {
        std::function<Task<Result<void>>(KeyRecord)> share;
        std::function<Task<Result<void>>(std::string customer)> drop;
    };
    void set_sharers(Sharers sharers) { sharers_ = std::move(sharers); }
    /// These are the keys, as the sharers know them, in place of all that were here.
    void take(std::vector<KeyRecord> keys);

    /// Makes the key of a new customer, and tells it, for the only time. kConflict when the customer has one.
    Task<Result<std::string>> add(std::string customer);
    /// Not accepted from now on; what is the customer's stays, and is its next key's. kNotFound.
    Task<Result<void>> remove(std::string customer);
    /// kNotFound for a customer that has none.
    [[nodiscard]] Result<void> check(const std::string& customer) const;
    [[nodiscard]] const std::vector<KeyRecord>& list() const { return keys_; }
    /// Whose key it is. Compares with every one, each in constant time.
    [[nodiscard]] std::optional<std::string> owner_of(const std::string& key) const;

  private:
    explicit KeyRing(Records& records) : records_(&records) {}
    Result<void> keep(const KeyRecord& key);
    Records* records_;
    std::vector<KeyRecord> keys_;
    Sharers sharers_{};
};

}  // namespace hutch::daemon
